"""Waits until the requests of a load are decided, by reading them from the table."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio

from aws.errors import Transient
from aws.table import Table
from config.limits import DYNAMODB_BATCH_GET_KEYS
from runtime.stop import Stop
from schema.items import Capacity
from schema.states import Status

_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Clicked:
    """The requests of a load, by their ids."""

    accepted: Sequence[str]
    """In the order of their answers."""
    doubtful: Sequence[str] = ()
    """Of clicks that were not accepted, but may have been stored and decided all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What the table holds of an event's requests."""

    by_status: Counter[Status] = field(default_factory=Counter)
    """The decided ones."""
    undecided: int = 0
    """Requests that ingest accepted, and that are not decided."""
    capacity: Capacity | None = None

    @property
    def decided(self) -> int:
        """Requests that are decided."""
        return self.by_status.total()


async def decisions_of(
    table: Table,
    event_id: str,
    clicked: Clicked,
    *,
    patience_s: float,
    advanced: Callable[[int], None],
    stop: Stop,
) -> Decisions:
    """Wait until all accepted requests are decided, none is for `patience_s`, or a stop.

    Only those are read again that were not decided when they were read before, the oldest first:
    about as many reads as there are requests, and no scan. `advanced` gets how many are decided.
    """
    by_status: Counter[Status] = Counter()
    left = deque(clicked.accepted)
    moved_at = anyio.current_time()
    while left and not stop.requested:
        asked = [left.popleft() for _ in range(min(DYNAMODB_BATCH_GET_KEYS, len(left)))]
        found = await _final(table, asked)
        by_status.update(found.values())
        left.extend(request_id for request_id in asked if request_id not in found)
        advanced(by_status.total())
        if found:
            moved_at = anyio.current_time()
        elif anyio.current_time() > moved_at + patience_s:
            break
        if 2 * len(found) < len(asked):
            with stop.interrupts():
                await anyio.sleep(_POLL_S)
    for start in range(0, len(clicked.doubtful), DYNAMODB_BATCH_GET_KEYS):
        doubtful = clicked.doubtful[start : start + DYNAMODB_BATCH_GET_KEYS]
        by_status.update((await _final(table, doubtful)).values())
    capacity = await table.capacity(event_id)
    return Decisions(by_status=by_status, undecided=len(left), capacity=capacity)


async def _final(table: Table, ids: Sequence[str]) -> Mapping[str, Status]:
    """Those that are decided; a table that cannot answer now knows of none."""
    try:
        requests = (await table.load(ids)).requests
    except Transient:
        return {}
    return {name: found.status for name, found in requests.items() if found.status.is_final}
