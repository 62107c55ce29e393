"""Publishes lost events after all: each is deleted from its queue only once the bus has it."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Final

import anyio
import structlog

from aws import lost_events
from aws.bus import Bus, BusEntry
from aws.client import ClientOptions, Connection
from aws.errors import AwsError, Transient
from aws.lost_events import LostEventError
from aws.pace import Pace
from aws.queue import Delivery, Queue
from aws.sdk import open_client
from config.limits import EVENTBRIDGE_BATCH_BYTES, SQS_BATCH_ENTRIES
from operations import dead_letters
from operations.received import show_again, that_fit_a_call
from runtime import backoff
from runtime.errors import leaves

_CONCURRENCY: Final = 4
_HOLD_S: Final = 300
"""Long enough for the attempts of ten messages; whoever is killed leaves them hidden as long."""
_LOOK_S: Final = 1
_ATTEMPTS: Final = 8
_BACKOFF_BASE_S: Final = 0.2
_BACKOFF_MAX_S: Final = 10.0
_SHOW_AGAIN_S: Final = 10.0

log = structlog.get_logger("republish")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is on the queue of lost events."""

    by_type: Counter[str] = field(default_factory=Counter)
    """Events by their detail type."""
    unreadable: int = 0
    oldest_sent_at_ms: int | None = None
    """When the oldest of them all was lost; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Republished:
    """What became of the messages."""

    published: int = 0
    """Events that the bus accepted."""
    failed: int = 0
    """Messages whose events it did not take; they stay."""
    unreadable: int = 0
    """Messages that hold no event; they stay."""
    not_deleted: int = 0
    """Published, and still on the queue: a later run publishes them again, which is harmless."""

    @property
    def stayed(self) -> int:
        """Messages that are left for somebody to look at."""
        return self.failed + self.unreadable

    def __add__(self, other: "Republished") -> "Republished":
        return Republished(
            published=self.published + other.published,
            failed=self.failed + other.failed,
            unreadable=self.unreadable + other.unreadable,
            not_deleted=self.not_deleted + other.not_deleted,
        )


@asynccontextmanager
async def queue_and_bus(
    connection: Connection, queue_url: str, bus_name: str, events_endpoint_url: str | None
) -> AsyncIterator[tuple[Queue, Bus]]:
    """The queue of lost events, and the bus."""
    options = ClientOptions(endpoint_url=events_endpoint_url)
    async with (
        open_client("sqs", connection) as sqs,
        open_client("events", connection, options) as events,
    ):
        yield Queue(sqs, queue_url), Bus(events, bus_name)


async def look(queue: Queue, limit: int | None = None) -> Found:
    """Count what is there; all of it is visible again at the end."""
    by_type: Counter[str] = Counter()
    unreadable, oldest_ms = 0, None
    async with dead_letters.browse(queue) as batches:
        async for batch in batches:
            for delivery in batch:
                if isinstance(entry := _read(delivery), BusEntry):
                    by_type[entry.detail_type] += 1
                else:
                    unreadable += 1
                oldest_ms = min(oldest_ms or delivery.sent_at_ms, delivery.sent_at_ms)
            if limit is not None and by_type.total() + unreadable >= limit:
                break
    return Found(by_type=by_type, unreadable=unreadable, oldest_sent_at_ms=oldest_ms)


async def republish(
    queue: Queue,
    bus: Bus,
    *,
    random: Random,
    limit: int | None = None,
    advanced: Callable[[Republished], None] = lambda _done: None,
) -> Republished:
    """Publish the queue's events, at most `limit` of them, and delete those that the bus took.

    In this order nothing is lost if the process is killed in between. Such an event is published
    again by the next run; the lake's view keeps one row for each request. Raises Fatal where the
    bus does not exist, which would take every event and drop it.
    """
    await bus.check()
    run = _Run(queue, bus, random, inf if limit is None else limit, advanced)
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(_CONCURRENCY):
                tasks.start_soon(run.work)
    except ExceptionGroup as group:
        raise leaves(group)[0] from None
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_SHOW_AGAIN_S):
            await run.show_again()
    return run.done


class _Run:
    """One run: its workers take from the queue what nobody else holds."""

    def __init__(
        self,
        queue: Queue,
        bus: Bus,
        random: Random,
        limit: float,
        advanced: Callable[[Republished], None],
    ) -> None:
        self.done = Republished()
        self._queue = queue
        self._bus = bus
        self._random = random
        self._left = limit
        self._advanced = advanced
        self._held: dict[str, str] = {}
        """The receipts of what is not deleted, by message: they are to be visible again."""
        self._stays: set[str] = set()
        """Messages that this run does not try again."""
        self._pace = Pace(inf, anyio.current_time())
        self._is_away = False

    async def work(self) -> None:
        """Take messages until there are no more, enough are published, or the bus is away."""
        while self._left >= 1 and not self._is_away:
            wanted = int(min(SQS_BATCH_ENTRIES, self._left))
            self._left -= wanted
            with anyio.CancelScope(shield=True):
                # A poll that is cut off goes on at SQS, and hides messages from everybody.
                received = await self._queue.receive(wanted, _LOOK_S, _HOLD_S)
                self._held.update((d.message_id, d.receipt_handle) for d in received)
            fresh = [d for d in received if d.message_id not in self._stays]
            if not fresh:
                return
            done = await self._republish(fresh)
            self._left += wanted - done.published
            self.done += done
            self._advanced(done)

    async def _republish(self, deliveries: Sequence[Delivery]) -> Republished:
        read = [(delivery, _read(delivery)) for delivery in deliveries]
        readable = [(d, entry) for d, entry in read if isinstance(entry, BusEntry)]
        for delivery, found in read:
            if isinstance(found, LostEventError):
                log.warning("unreadable", message_id=delivery.message_id, error=str(found))
        accepted: list[Delivery] = []
        for call in that_fit_a_call(readable, EVENTBRIDGE_BATCH_BYTES):
            errors = await self._put([entry for _, entry in call])
            accepted += [d for (d, _), error in zip(call, errors, strict=True) if error is None]
            for (delivery, _), error in zip(call, errors, strict=True):
                if error is not None:
                    log.warning("not_published", message_id=delivery.message_id, error=str(error))
        not_deleted = await self._delete(accepted)
        taken = {delivery.message_id for delivery in accepted}
        self._stays.update(d.message_id for d in deliveries if d.message_id not in taken)
        return Republished(
            published=len(accepted),
            failed=len(readable) - len(accepted),
            unreadable=len(read) - len(readable),
            not_deleted=not_deleted,
        )

    async def _put(self, entries: Sequence[BusEntry]) -> list[Exception | None]:
        """Put up to ten events, what fails for the moment several times."""
        errors: list[Exception | None] = [None] * len(entries)
        left = list(range(len(entries)))
        for attempt in range(1, _ATTEMPTS + 1):
            results = await self._call([entries[index] for index in left])
            for index, result in zip(left, results, strict=True):
                errors[index] = result
            left = [index for index in left if isinstance(errors[index], Transient)]
            if not left:
                return errors
            await anyio.sleep(
                backoff.full_delay_s(attempt, _BACKOFF_BASE_S, _BACKOFF_MAX_S, self._random)
            )
        # Nothing else would fare better: the rest stays where it is.
        self._is_away = True
        return errors

    async def _call(self, entries: Sequence[BusEntry]) -> Sequence[Exception | None]:
        now_s = anyio.current_time()
        while (wait_s := self._pace.wait_s(now_s, is_repeat=False)) > 0.0:
            await anyio.sleep(wait_s)
            now_s = anyio.current_time()
        self._pace.take_turn(now_s)
        try:
            results: Sequence[Exception | None] = await self._bus.put(entries)
        except AwsError as error:
            results = [error] * len(entries)
        if any(isinstance(error, Transient) and error.is_throttle for error in results):
            self._pace.throttled(now_s, anyio.current_time())
        elif None in results:
            self._pace.accepted(now_s, anyio.current_time())
        return results

    async def _delete(self, deliveries: Sequence[Delivery]) -> int:
        """Delete what is published; returns of how many it is unknown."""
        if not deliveries:
            return 0
        errors: Sequence[Exception | None]
        try:
            errors = await self._queue.delete([d.receipt_handle for d in deliveries])
        except Transient as away:
            errors = [away] * len(deliveries)
        for delivery, error in zip(deliveries, errors, strict=True):
            if error is None:
                self._held.pop(delivery.message_id, None)
            else:
                log.warning("not_deleted", message_id=delivery.message_id, error=str(error))
        return sum(error is not None for error in errors)

    async def show_again(self) -> None:
        """Make what is left visible to others."""
        await show_again(self._queue, self._held.values(), log)


def _read(delivery: Delivery) -> BusEntry | LostEventError:
    try:
        return lost_events.decode(delivery.body)
    except LostEventError as error:
        return error
