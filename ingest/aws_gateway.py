"""The gateway to AWS: many callers' operations share each call, and each gets its own result."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

import anyio
import structlog
from anyio.abc import TaskGroup

from aws.errors import AwsError, Fatal, Transient
from aws.publisher import Publisher
from aws.queue import OutgoingMessage, Queue
from aws.table import EventState, Table, is_condition_failed, is_duplicate
from config import limits
from ingest.gateway import CorruptItem, Insertion, Position, RequestPage, Unavailable
from runtime import backoff
from runtime.batcher import Batcher, BatchLimits, ClosedError, FlushObserver
from schema.attributes import ItemError
from schema.events import ParticipationRequested
from schema.items import Change, EventConfig, RequestItem
from schema.message import ParticipationMessage

INSERT: Final = "insert"
SEND: Final = "send"
UPDATE: Final = "update"
LOAD: Final = "load"
EVENT: Final = "event"
QUERY: Final = "query"
STAGES: Final = (INSERT, SEND, UPDATE, LOAD, EVENT)
CALLS_PER_STAGE: Final = 16
"""Concurrent calls of one stage: more than a core can keep busy with full batches."""

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger("ingest")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often one operation is tried, and for how long: a person is waiting for it."""

    max_attempts: int = 3
    base_s: float = 0.025
    max_s: float = 0.2
    window_s: float = 1.5
    """No try begins later than this after the first one began."""


class AwsGateway:
    """Table, queue and bus, each operation coalesced with those of other callers.

    Operations that fail temporarily are tried again by their own caller, so that one of a
    batch never holds up the others.
    """

    def __init__(
        self,
        table: Table,
        queue: Queue,
        publisher: Publisher | None,
        *,
        linger_s: float,
        random: Random,
        flushes: FlushObserver | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._table = table
        self._queue = queue
        self._publisher = publisher
        self._random = random
        self._retries = retries or RetryPolicy()
        statements = limits.DYNAMODB_BATCH_STATEMENTS
        keys = limits.DYNAMODB_BATCH_GET_KEYS

        def batcher(
            stage: str,
            send: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
            max_items: int,
            max_bytes: int | None = None,
            size_of: Callable[[T], int] | None = None,
        ) -> Batcher[T, R]:
            return Batcher(
                _reporting(stage, send),
                BatchLimits(
                    max_items=max_items,
                    max_bytes=max_bytes,
                    linger_s=linger_s,
                    concurrency=CALLS_PER_STAGE,
                    eager=True,
                ),
                stage=stage,
                size_of=size_of,
                observer=flushes,
            )

        self._inserts: Batcher[RequestItem, bool] = batcher(INSERT, self._insert, statements)
        self._sends: Batcher[OutgoingMessage, str] = batcher(
            SEND,
            queue.send,
            limits.SQS_BATCH_ENTRIES,
            limits.SQS_BATCH_BYTES,
            lambda message: message.size,
        )
        self._updates: Batcher[Change, bool] = batcher(UPDATE, self._update, statements)
        self._loads: Batcher[str, RequestItem | None] = batcher(LOAD, self._load_requests, keys)
        # An event's configuration is read together with its capacity: two keys each.
        self._events: Batcher[str, EventConfig | None] = batcher(
            EVENT, self._load_events, keys // 2
        )
        self._background: TaskGroup

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take operations; at the end, finish what was taken, then what is to be published."""
        async with AsyncExitStack() as stack:
            if self._publisher is not None:
                await stack.enter_async_context(self._publisher)
            self._background = await stack.enter_async_context(anyio.create_task_group())
            for batcher in (self._inserts, self._sends, self._updates, self._loads, self._events):
                await stack.enter_async_context(batcher)
            yield

    async def load_event(self, event_id: str) -> EventConfig | None:
        """Read an event's configuration; None where there is no such event."""
        config, _ = await self._tried(EVENT, self._events.submit, event_id)
        return config

    async def load_request(self, request_id: str) -> RequestItem | None:
        """Read a request, strongly consistently; None where there is no such request."""
        request, _ = await self._tried(LOAD, self._loads.submit, request_id)
        return request

    async def insert(self, request: RequestItem) -> Insertion:
        """Store a new request on condition that it does not exist."""
        is_new, attempts = await self._tried(INSERT, self._inserts.submit, request)
        return Insertion(is_new, was_retried=attempts > 1)

    async def send(self, message: ParticipationMessage) -> None:
        """Hand a message to the queue."""
        await self._tried(SEND, self._sends.submit, OutgoingMessage(message.encode()))

    async def mark_queued(self, change: Change) -> bool:
        """Write a request's step to QUEUED; False where it has left RECEIVED already."""
        was_received, _ = await self._tried(UPDATE, self._updates.submit, change)
        return was_received

    async def user_requests(self, user_id: str, limit: int, after: Position | None) -> RequestPage:
        """One page of a user's requests by one index query, newest first (g1 §7.2)."""
        start = None if after is None else (after.queued_at_ms, after.request_id)

        async def query(user_id: str) -> RequestPage:
            page = await self._table.user_requests(user_id, limit, start)
            last = page.last
            if last is None or last.queued_at_ms is None:
                return RequestPage(page.requests)
            return RequestPage(page.requests, Position(last.queued_at_ms, last.request_id))

        try:
            page, _ = await self._tried(QUERY, query, user_id)
        except ItemError as error:
            raise CorruptItem(str(error)) from error
        return page

    def publish(self, event: ParticipationRequested) -> None:
        """Have an event published, without waiting for it and without ever failing."""
        if self._publisher is not None:
            self._background.start_soon(self._publisher.publish, (event,))

    async def _tried(
        self, step: str, operation: Callable[[T], Awaitable[R]], item: T
    ) -> tuple[R, int]:
        """Run one operation, and again while that may help: its result, and how many tries it took.

        Raises Unavailable.
        """
        attempt = 1
        now_s = asyncio.get_running_loop().time
        began_s = now_s()
        while True:
            try:
                return await operation(item), attempt
            except Transient as error:
                wait_s = backoff.delay_s(
                    attempt, self._retries.base_s, self._retries.max_s, self._random
                )
                late = now_s() + wait_s > began_s + self._retries.window_s
                if late or attempt >= self._retries.max_attempts:
                    raise Unavailable(step, error.code) from error
            except Fatal as error:
                raise Unavailable(step, error.code) from error
            except ClosedError as error:
                raise Unavailable(step, "closing") from error
            attempt += 1
            await anyio.sleep(wait_s)

    async def _insert(self, requests: Sequence[RequestItem]) -> list[bool | Exception]:
        return [_met(error, is_duplicate) for error in await self._table.insert(requests)]

    async def _update(self, changes: Sequence[Change]) -> list[bool | Exception]:
        return [_met(error, is_condition_failed) for error in await self._table.write(changes)]

    async def _load_requests(
        self, request_ids: Sequence[str]
    ) -> list[RequestItem | Exception | None]:
        loaded = await self._table.load(request_ids)
        return [
            CorruptItem(loaded.unreadable[request_id])
            if request_id in loaded.unreadable
            else loaded.requests.get(request_id)
            for request_id in request_ids
        ]

    async def _load_events(self, event_ids: Sequence[str]) -> list[EventConfig | Exception | None]:
        loaded = await self._table.load((), event_ids)
        nothing = EventState()
        states = [loaded.events.get(event_id, nothing) for event_id in event_ids]
        return [CorruptItem(state.defect) if state.defect else state.config for state in states]


def _met(error: Exception | None, is_condition: Callable[[Exception], bool]) -> bool | Exception:
    """Whether a write's condition was met; any other error stays one."""
    if error is None:
        return True
    return False if is_condition(error) else error


def _reporting(
    stage: str, send: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]
) -> Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]:
    """Have each call that fails, as a whole or for some entries, logged by one warning."""

    async def sent(batch: Sequence[T]) -> Sequence[R | Exception]:
        try:
            results = await send(batch)
        except AwsError as error:
            log.warning("call_failed", stage=stage, items=len(batch), error=str(error))
            raise
        failed = [result for result in results if isinstance(result, Transient | Fatal)]
        if failed:
            log.warning("entries_failed", stage=stage, items=len(failed), error=str(failed[0]))
        return results

    return sent
