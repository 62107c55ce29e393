"""The checks: they pass for an event in which nothing is lost, and each finds what it is for."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from local.live import checks
from schema.items import Capacity, RequestItem
from schema.states import EventType, ResultCode, Status

RESULTS = {"a": ResultCode.SUCCESS, "b": ResultCode.SUCCESS, "c": ResultCode.REJECTED_CAPACITY}


def request(request_id: str, code: ResultCode) -> RequestItem:
    won = code is ResultCode.SUCCESS
    return RequestItem(
        request_id=request_id,
        event_id="e",
        user_id=request_id,
        event_type=EventType.FIRST_COME,
        status=Status.SUCCEEDED if won else Status.REJECTED,
        requested_at_ms=1,
        result_code=code,
    )


SOUND: Mapping[str, Any] = {
    "capacity": Capacity(event_id="e", total=2, remaining=0),
    "requests": [request(*result) for result in RESULTS.items()],
    "winners": {"a", "b"},
    "lake": {request_id: code.value for request_id, code in RESULTS.items()},
    "broken_lines": 0,
    "undecided": 0,
    "dlq": 0,
    "kept": 0,
}
UNDECIDED = replace(request("c", ResultCode.SUCCESS), status=Status.QUEUED, result_code=None)


def failing(**changes: Any) -> list[str]:
    return [check.name for check in checks.judge(**{**SOUND, **changes}) if not check.holds]


def test_nothing_fails_where_nothing_is_lost() -> None:
    assert failing() == []


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"capacity": Capacity(event_id="e", total=2, remaining=1)}, ["Seats exact"]),
        ({"capacity": Capacity(event_id="e", total=3, remaining=1)}, ["Seats exact"]),
        ({"winners": {"a"}}, ["Seats exact"]),
        ({"winners": {"a", "c"}}, ["Seats exact"]),
        ({"undecided": 1}, ["Every request decided"]),
        (
            {"requests": [*SOUND["requests"][:2], UNDECIDED]},
            ["Every request decided", "Stored = published"],
        ),
        ({"lake": {"a": "SUCCESS", "b": "SUCCESS"}}, ["Stored = published"]),
        ({"lake": {**SOUND["lake"], "c": "SUCCESS"}}, ["Stored = published"]),
        ({"lake": {**SOUND["lake"], "d": "SUCCESS"}}, ["Stored = published"]),
        ({"kept": 1}, ["No event lost"]),
        ({"dlq": 1}, ["Dead-letter queue empty"]),
        ({"broken_lines": 1}, ["Every line sound"]),
    ],
)
def test_each_check_finds_what_it_is_for(changes: dict[str, Any], names: list[str]) -> None:
    assert failing(**changes) == names


async def test_the_lake_is_read_by_event_and_its_unsound_lines_are_counted(tmp_path: Path) -> None:
    def line(request_id: str, event_id: str = "e", finished_at: int = 3) -> bytes:
        times = {"queuedAt": 1, "startedAt": 2, "finishedAt": finished_at}
        return orjson.dumps(
            {
                "eventId": event_id,
                "requestId": request_id,
                "resultCode": "SUCCESS",
                "timestamps": times,
            }
        )

    folder = tmp_path / "events/dt=2026-01-04/hour=09"
    folder.mkdir(parents=True)
    lines = [line("a"), line("a"), line("b", "other"), line("c", finished_at=1), b"{", b"{}"]
    (folder / "one").write_bytes(b"\n".join(lines) + b"\n")

    assert await checks.read_lake(tmp_path, "e") == ({"a": "SUCCESS", "c": "SUCCESS"}, 3)
    assert await checks.read_lake(tmp_path / "missing", "e") == ({}, 0)
