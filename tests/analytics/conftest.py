"""Lakes for the tests: a synthetic one with every irregularity, and hand-made ones."""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest

from analytics.synthetic import LakeSpec, LakeSummary, generate
from schema import events

FIRST_DAY = date(2026, 1, 3)
LAST_DAY = date(2026, 1, 6)
"""A day after the last event's, for late arrivals."""

Make: TypeAlias = Callable[[dict[str, Iterable[bytes]]], Path]


@pytest.fixture(scope="session")
def synthetic_requests() -> int:
    """How many requests the synthetic lake holds: `LAKE_TEST_REQUESTS`, or 50,000."""
    return int(os.environ.get("LAKE_TEST_REQUESTS", "50000"))


@pytest.fixture(scope="session")
def synthetic_summary(
    tmp_path_factory: pytest.TempPathFactory, synthetic_requests: int
) -> tuple[Path, LakeSummary]:
    """The synthetic lake and what was counted while it was written."""
    folder = tmp_path_factory.mktemp("synthetic")
    return folder, generate(folder, LakeSpec(requests=synthetic_requests, first_day=FIRST_DAY))


@pytest.fixture(scope="session")
def synthetic_lake(synthetic_summary: tuple[Path, LakeSummary]) -> Path:
    """The synthetic lake's folder."""
    return synthetic_summary[0]


@pytest.fixture
def make_lake(tmp_path: Path) -> Make:
    """Write a lake from lines by partition, such as `2026-01-04/08`."""

    def make(partitions: dict[str, Iterable[bytes]]) -> Path:
        folder = tmp_path / "lake"
        for partition, lines in partitions.items():
            day, hour = partition.split("/")
            place = folder / "events" / f"dt={day}" / f"hour={hour}"
            place.mkdir(parents=True, exist_ok=True)
            (place / "object-1").write_bytes(b"".join(line + b"\n" for line in lines))
        return folder

    return make


def ms(text: str) -> int:
    """Epoch milliseconds of a UTC time such as `2026-01-04T08:00:00.250`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def line(request_id: str | None, queued: int, started: int, finished: int, **other: Any) -> bytes:
    """One event as the worker publishes it; `other` replaces fields, nested ones by `a__b`."""
    event = events.ParticipationProcessed(
        env="test",
        eventId="event-1",
        requestId=request_id or "",
        eventType="FIRST_COME",
        finalStatus="SUCCEEDED",
        resultCode="SUCCESS",
        timestamps=events.Timestamps(queued, started, finished),
        delivery=events.DeliveryInfo(attempt=1, isDlq=False),
        meta=events.Meta(workerId="worker-1"),
    )
    document = orjson.loads(events.encode(event))
    document["requestId"] = request_id
    for path, value in other.items():
        *parents, name = path.split("__")
        place = document
        for parent in parents:
            place = place[parent]
        place[name] = value
    return orjson.dumps(document)
