"""The calls that clicks share, each with a result for each item."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from aws.errors import AwsError, Fatal, Transient
from aws.table import EventState, Table, is_condition_failed, is_duplicate
from ingest.breaker import Breaker
from ingest.gateway import CorruptItem, Event, Position, RequestPage
from schema.attributes import ItemError
from schema.items import RequestItem

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger("ingest")


@dataclass(frozen=True, slots=True)
class PageQuery:
    """One page of a user's requests that somebody asks for."""

    user_id: str
    limit: int
    after: Position | None


class TableCalls:
    """The table as batchers call it."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def insert(self, requests: Sequence[RequestItem]) -> Sequence[bool | Exception]:
        """Store new requests; False for one that exists."""
        return [_met(error, is_duplicate) for error in await self._table.insert(requests)]

    async def mark_queued(
        self, received: Sequence[tuple[RequestItem, int]]
    ) -> Sequence[bool | Exception]:
        """Write requests' step to QUEUED, with queuedAt; False for one that left RECEIVED."""
        errors = await self._table.mark_queued(received)
        return [_met(error, is_condition_failed) for error in errors]

    async def load_requests(
        self, request_ids: Sequence[str]
    ) -> Sequence[RequestItem | Exception | None]:
        """Read requests; None for one that does not exist."""
        loaded = await self._table.load(request_ids)
        return [
            CorruptItem(loaded.unreadable[request_id])
            if request_id in loaded.unreadable
            else loaded.requests.get(request_id)
            for request_id in request_ids
        ]

    async def load_events(self, event_ids: Sequence[str]) -> Sequence[Event | Exception | None]:
        """Read events; None for one that does not exist."""
        loaded = await self._table.load((), event_ids)
        nothing = EventState()
        return [_event(loaded.events.get(event_id, nothing)) for event_id in event_ids]

    async def query(self, queries: Sequence[PageQuery]) -> Sequence[RequestPage | Exception]:
        """Read the page of the only query: queries cannot share a call."""
        (query,) = queries
        after = query.after
        start = None if after is None else (after.queued_at_ms, after.request_id)
        try:
            page = await self._table.user_requests(query.user_id, query.limit, start)
        except ItemError as error:
            return [CorruptItem(str(error))]
        last = page.last
        if last is None or last.queued_at_ms is None:
            return [RequestPage(page.requests)]
        return [RequestPage(page.requests, Position(last.queued_at_ms, last.request_id))]


def _event(state: EventState) -> Event | Exception | None:
    if state.defect:
        return CorruptItem(state.defect)
    return None if state.config is None else Event(state.config, state.capacity)


def _met(error: Exception | None, is_condition: Callable[[Exception], bool]) -> bool | Exception:
    """Whether a write's condition was met; any other error stays one."""
    if error is None:
        return True
    return False if is_condition(error) else error


def reporting(
    stage: str,
    breaker: Breaker,
    send: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
) -> Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]:
    """Have each call go through the breaker, and one that fails, as a whole or for some entries,
    logged by one warning.
    """

    async def sent(batch: Sequence[T]) -> Sequence[R | Exception]:
        try:
            results = await breaker.call(send, batch)
        except AwsError as error:
            log.warning("call_failed", stage=stage, items=len(batch), error=str(error))
            raise
        failed = [result for result in results if isinstance(result, Transient | Fatal)]
        if failed:
            log.warning("entries_failed", stage=stage, items=len(failed), error=str(failed[0]))
        return results

    return sent
