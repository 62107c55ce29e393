"""The checks at the end: seats exact, stored = published, nothing in the dead-letter queue."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import anyio.to_thread
import orjson

from analytics import lake_files
from local.live.snapshot import Check
from schema.items import Capacity, RequestItem
from schema.states import Status


def judge(
    capacity: Capacity,
    requests: Collection[RequestItem],
    winners: Collection[str],
    lake: Mapping[str, str],
    broken_lines: int,
    undecided: int,
    dlq: int,
    kept: int,
) -> tuple[Check, ...]:
    """Check one event: its stored requests and winners, and the lake's result of each request."""
    succeeded = {r.request_id for r in requests if r.status is Status.SUCCEEDED}
    final = {r.request_id: str(r.result_code) for r in requests if r.status.is_final}
    open_requests = len(requests) - len(final)
    seats = min(capacity.total, len(requests))
    differing = sum(lake.get(request_id) != code for request_id, code in final.items())
    return (
        Check(
            "Seats exact",
            len(succeeded) == seats == capacity.total - capacity.remaining
            and succeeded == set(winners),
            f"{len(succeeded):,} winners for {capacity.total:,} seats and {len(requests):,} "
            f"requests; {capacity.remaining:,} seats left",
        ),
        Check(
            "Every request decided",
            not open_requests and not undecided,
            f"{len(final):,} of {len(requests):,}; {undecided:,} messages in the queue",
        ),
        Check(
            "Stored = published",
            not differing and lake.keys() == final.keys(),
            f"{len(final):,} results in the table, {len(lake):,} in the lake, "
            f"{differing:,} missing or different",
        ),
        Check("No event lost", not kept, f"{kept:,} lost events wait to be published again"),
        Check("Dead-letter queue empty", not dlq, f"{dlq:,} messages"),
        Check(
            "Every line sound",
            not broken_lines,
            f"{broken_lines:,} lines are unreadable or run backwards in time",
        ),
    )


async def read_lake(lake_dir: Path, event_id: str) -> tuple[dict[str, str], int]:
    """An event's results by request, and how many lines of the whole lake are not sound."""
    return await anyio.to_thread.run_sync(_read_lake, lake_dir, event_id)


def _read_lake(lake_dir: Path, event_id: str) -> tuple[dict[str, str], int]:
    results: dict[str, str] = {}
    broken = 0
    for line in _lines(lake_dir):
        try:
            event = orjson.loads(line)
            times = event["timestamps"]
            if not times["queuedAt"] <= times["startedAt"] <= times["finishedAt"]:
                broken += 1
            if event["eventId"] == event_id:
                results[event["requestId"]] = event["resultCode"]
        except (KeyError, TypeError, orjson.JSONDecodeError):
            broken += 1
    return results, broken


def _lines(lake_dir: Path) -> Iterator[bytes]:
    for files in lake_files.find(lake_dir).values():
        for file in files:
            yield from file.path.read_bytes().splitlines()
