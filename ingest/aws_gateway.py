"""The gateway to AWS: many callers' operations share each call, and each gets its own result."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Final, TypeVar

import anyio
import structlog
from anyio.abc import TaskGroup

from aws.errors import Rejected
from aws.publisher import Publisher
from aws.queue import OutgoingMessage, Queue
from aws.table import Table
from config import limits
from ingest.breaker import Breaker, BreakerObserver
from ingest.calls import PageQuery, TableCalls, reporting
from ingest.gateway import (
    Advance,
    Event,
    Failure,
    Insertion,
    Position,
    Progress,
    RequestPage,
    Unavailable,
)
from ingest.metrics import SERVICES
from ingest.retries import Retries, RetryPolicy
from runtime.batcher import Batcher, BatchLimits, ClosedError, FlushObserver
from schema.events import ParticipationRequested
from schema.items import RequestItem
from schema.message import ParticipationMessage, message_of

INSERT: Final = "insert"
SEND: Final = "send"
UPDATE: Final = "update"
LOAD: Final = "load"
LOAD_AGAIN: Final = "load_again"
EVENT: Final = "event"
QUERY: Final = "query"
STAGES: Final = (INSERT, SEND, UPDATE, LOAD, LOAD_AGAIN, EVENT)
CALLS_PER_STAGE: Final = 16
"""Concurrent calls of one stage: more than a core can keep busy with full batches."""
QUERIES: Final = 64
"""Concurrent queries of the index, which cannot share a call."""
READS_AGAIN: Final = 4
"""Concurrent calls for those who wait for decisions: what keeps up with them, and no more."""
READ_AGAIN_LINGER_S: Final = 0.2
"""How long the first of them waits for others to share its call."""
TABLE_CONNECTIONS: Final = 4 * CALLS_PER_STAGE + QUERIES + READS_AGAIN
PATIENCE_S: Final = 2.0
"""How long a try of a step may take, its wait for others' calls included: DynamoDB and SQS answer
within milliseconds, so what takes a second is lost, or waits behind what is lost."""
MARK_PATIENCE_S: Final = 0.5
"""For the step to QUEUED, without which a click is accepted, too (domain §5)."""

_PUBLISH_WITHIN_S: Final = 1.5
"""What events may take when all else is done; then they are lost, and counted and kept as such."""
_GROUP: Final = 100
"""Clicks that go through their steps together: those that came in one turn of the event loop."""
_GROUPS: Final = 1_024
"""Groups under way: where a step hangs, as many as come in its patience."""

_EXISTS: Final = Advance(Progress.EXISTS)
_OVERTAKEN: Final = Advance(Progress.OVERTAKEN)

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger("ingest")


class AwsGateway:
    """Table, queue and bus, each operation coalesced with those of other callers.

    Operations that fail temporarily are tried again by their own caller, so that one of a
    batch never holds up the others. While a service is away, they are refused without a call.
    """

    def __init__(
        self,
        table: Table,
        queue: Queue,
        publisher: Publisher | None,
        *,
        linger_s: float,
        clock_ms: Callable[[], int],
        random: Random,
        observer: BreakerObserver | None = None,
        flushes: FlushObserver | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        calls = TableCalls(table)
        self._publisher = publisher
        self._clock_ms = clock_ms
        statements = limits.DYNAMODB_BATCH_STATEMENTS
        keys = limits.DYNAMODB_BATCH_GET_KEYS
        policy = retries or RetryPolicy()
        dynamodb, sqs = (Breaker(service, random, observer) for service in SERVICES)
        breakers = {step: sqs if step == SEND else dynamodb for step in (*STAGES, QUERY)}
        self._retries = {
            step: Retries(step, policy, breaker, random) for step, breaker in breakers.items()
        }

        def batcher(
            stage: str,
            send: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
            max_items: int,
            max_bytes: int | None = None,
            size_of: Callable[[T], int] | None = None,
        ) -> Batcher[T, R]:
            is_query, is_again = stage == QUERY, stage == LOAD_AGAIN
            return Batcher(
                reporting(stage, breakers[stage], send),
                BatchLimits(
                    max_items=max_items,
                    max_bytes=max_bytes,
                    linger_s=READ_AGAIN_LINGER_S if is_again else linger_s,
                    concurrency={QUERY: QUERIES, LOAD_AGAIN: READS_AGAIN}.get(
                        stage, CALLS_PER_STAGE
                    ),
                    eager=not is_again,
                    patience_s=MARK_PATIENCE_S if stage == UPDATE else PATIENCE_S,
                ),
                stage=stage,
                size_of=size_of,
                observer=None if is_query else flushes,
            )

        self._inserts: Batcher[RequestItem, bool] = batcher(INSERT, calls.insert, statements)
        self._sends: Batcher[OutgoingMessage, str] = batcher(
            SEND,
            queue.send,
            limits.SQS_BATCH_ENTRIES,
            limits.SQS_BATCH_BYTES,
            lambda message: message.size,
        )
        self._updates: Batcher[tuple[RequestItem, int], bool] = batcher(
            UPDATE, calls.mark_queued, statements
        )
        self._loads: Batcher[str, RequestItem | None] = batcher(LOAD, calls.load_requests, keys)
        self._loads_again: Batcher[str, RequestItem | None] = batcher(
            LOAD_AGAIN, calls.load_requests, keys
        )
        # An event's configuration is read together with its capacity: two keys each.
        self._events: Batcher[str, Event | None] = batcher(EVENT, calls.load_events, keys // 2)
        self._queries: Batcher[PageQuery, RequestPage] = batcher(QUERY, calls.query, 1)
        self._clicks: Batcher[RequestItem, Advance] = Batcher(
            self._advance,
            BatchLimits(max_items=_GROUP, linger_s=linger_s, concurrency=_GROUPS, eager=True),
            stage="click",
        )
        self._background: TaskGroup

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take operations; at the end, finish what was taken, then what is to be published."""
        async with AsyncExitStack() as stack:
            if self._publisher is not None:
                await stack.enter_async_context(self._publisher)
            self._background = await stack.enter_async_context(anyio.create_task_group())
            for batcher in (
                self._inserts,
                self._sends,
                self._updates,
                self._loads,
                self._loads_again,
                self._events,
                self._queries,
                self._clicks,
            ):
                await stack.enter_async_context(batcher)
            yield
            if self._publisher is not None:
                self._publisher.hurry(_PUBLISH_WITHIN_S)

    async def load_event(self, event_id: str) -> Event | None:
        """Read an event; None where there is no such event."""
        event, _ = await self._retries[EVENT].run(self._events.submit, event_id)
        return event

    async def load_request(self, request_id: str) -> RequestItem | None:
        """Read a request, strongly consistently; None where there is no such request."""
        request, _ = await self._retries[LOAD].run(self._loads.submit, request_id)
        return request

    async def load_request_again(self, request_id: str) -> RequestItem | None:
        """As `load_request`, with all others that are read again within a moment."""
        request, _ = await self._retries[LOAD_AGAIN].run(self._loads_again.submit, request_id)
        return request

    async def advance(self, request: RequestItem) -> Advance:
        """Take a new request through all three steps, with whatever else came in this moment."""
        try:
            return await self._clicks.submit(request)
        except ClosedError as error:
            return Advance(Progress.NEW, Failure(error, anyio.current_time()))

    async def insert(self, request: RequestItem, failed: Failure | None = None) -> Insertion:
        """Store a new request on condition that it does not exist."""
        is_new, tries = await self._retries[INSERT].run(self._inserts.submit, request, failed)
        return Insertion(is_new, was_retried=tries > 1)

    async def send(self, message: ParticipationMessage, failed: Failure | None = None) -> None:
        """Hand a message to the queue."""
        await self._retries[SEND].run(self._sends.submit, OutgoingMessage(message.encode()), failed)

    async def mark_queued(
        self, request: RequestItem, queued_at_ms: int, failed: Failure | None = None
    ) -> bool:
        """Write a request's step to QUEUED; False where it has left RECEIVED already."""
        try:
            was_received, _ = await self._retries[UPDATE].run(
                self._updates.submit, (request, queued_at_ms), failed
            )
        except Rejected as error:
            log.error("mark_rejected", request_id=request.request_id, error=str(error))  # noqa: TRY400 - the sentence says it all
            raise Unavailable(UPDATE, error.code) from error
        except Unavailable:
            raise
        except Exception as error:
            # Whatever it is, the message is on the queue: a click may not fail by it (domain §5).
            log.exception("mark_failed", request_id=request.request_id)
            raise Unavailable(UPDATE, type(error).__name__) from error
        return was_received

    async def user_requests(self, user_id: str, limit: int, after: Position | None) -> RequestPage:
        """One page of a user's requests by one index query, newest first (g1 §7.2)."""
        page, _ = await self._retries[QUERY].run(
            self._queries.submit, PageQuery(user_id, limit, after)
        )
        return page

    def publish(self, event: ParticipationRequested) -> None:
        """Have an event published, without waiting for it and without ever failing."""
        if self._publisher is not None:
            self._background.start_soon(self._publisher.publish, (event,))

    async def _advance(self, requests: Sequence[RequestItem]) -> list[Advance]:
        """Try each step once for a group of requests; one that stops at a step goes no further."""
        come: dict[str, Advance] = {}
        since_s, stored = await self._try(INSERT, self._inserts.submit_many, requests)
        new: list[RequestItem] = []
        for request, is_new in zip(requests, stored, strict=True):
            if is_new is True:
                new.append(request)
            elif is_new is False:
                come[request.request_id] = _EXISTS
            else:
                come[request.request_id] = Advance(Progress.NEW, Failure(is_new, since_s))
        messages = [OutgoingMessage(message_of(request).encode()) for request in new]
        since_s, sent = await self._try(SEND, self._sends.submit_many, messages)
        now_ms = self._clock_ms()
        on_queue: list[tuple[RequestItem, int]] = []
        for request, message_id in zip(new, sent, strict=True):
            if isinstance(message_id, Exception):
                failure = Failure(message_id, since_s)
                come[request.request_id] = Advance(Progress.STORED, failure)
            else:
                on_queue.append((request, now_ms))
        since_s, marked = await self._try(UPDATE, self._updates.submit_many, on_queue)
        recorded = Advance(Progress.QUEUED, queued_at_ms=now_ms)
        for (request, _), was_received in zip(on_queue, marked, strict=True):
            if isinstance(was_received, Exception):
                failure = Failure(was_received, since_s)
                come[request.request_id] = Advance(Progress.SENT, failure)
            else:
                come[request.request_id] = recorded if was_received else _OVERTAKEN
        return [come[request.request_id] for request in requests]

    async def _try(
        self,
        step: str,
        submit: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        items: Sequence[T],
    ) -> tuple[float, Sequence[R | ClosedError]]:
        """Submit a group's items of one step: when that began, and each one's result."""
        since_s = anyio.current_time()
        results: Sequence[R | ClosedError]
        try:
            results = await submit(items)
        except ClosedError as error:
            results = [error] * len(items)
        failed = [result for result in results if isinstance(result, Exception)]
        self._retries[step].succeeded(len(items) - len(failed))
        return since_s, results
