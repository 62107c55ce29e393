"""Looks at the dead-letter queue, and deletes from it what nobody can use."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Self

import anyio
import structlog

from aws.client import Connection
from aws.queue import Delivery, Queue
from aws.sdk import open_client
from config.limits import SQS_BATCH_ENTRIES
from operations.received import show_again
from schema import message, names

RETRIES_EXHAUSTED: Final = "RETRIES_EXHAUSTED"
"""The reason of a message that SQS itself moved, after maxReceiveCount: it carries none."""
_HOLD_S: Final = 120
_LOOK_S: Final = 1
"""A short poll may come back empty from a queue that is not (AWS: "Short polling")."""
_SHOW_AGAIN_S: Final = 10.0

log = structlog.get_logger("dead_letters")


def reason_of(delivery: Delivery) -> str:
    """Why a message is in the DLQ."""
    return delivery.attributes.get(names.REASON_CODE_ATTRIBUTE, RETRIES_EXHAUSTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which messages are meant: those of which all that is given is true."""

    message_ids: Collection[str] = ()
    reason: str | None = None
    """None: all, as far as `with_quarantined` allows."""
    with_quarantined: bool = True
    """Whether those with other reasons than RETRIES_EXHAUSTED are meant without being named."""
    event_id: str | None = None
    limit: int | None = None
    sent_before_ms: int | None = None
    """Leaves out what enters the DLQ later, so that a message that fails again can't circle.

    SQS keeps the time of the first queueing when it moves a message itself.
    """

    def takes(self, delivery: Delivery) -> bool:
        """Whether a message is meant."""
        reason = reason_of(delivery)
        if self.reason is not None:
            is_meant = reason == self.reason
        else:
            is_meant = self.with_quarantined or reason == RETRIES_EXHAUSTED
        return (
            is_meant
            and (not self.message_ids or delivery.message_id in self.message_ids)
            and (self.sent_before_ms is None or delivery.sent_at_ms < self.sent_before_ms)
            and (self.event_id is None or message.decode(delivery.body).event_id == self.event_id)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message in the DLQ, for a person to read."""

    message_id: str
    reason: str
    sent_at_ms: int
    """When it was first queued, where SQS moved it; else when it was quarantined."""
    receives: int
    """How often it was received, in the main queue and by looks such as this one."""
    request_id: str | None
    event_id: str | None
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What a deletion did."""

    by_reason: Counter[str] = field(default_factory=Counter)
    """The messages that are gone for good."""
    failed: int = 0
    """Found, and not deleted because of an error."""

    def __add__(self, other: "Deleted") -> "Deleted":
        return Deleted(
            by_reason=self.by_reason + other.by_reason, failed=self.failed + other.failed
        )


class Browse:
    """Goes through a queue, each message once, and hides them from others meanwhile."""

    def __init__(self, queue: Queue, batch: int) -> None:
        self._queue = queue
        self._batch = batch
        self._seen: set[str] = set()
        self._held: dict[str, str] = {}
        self._again = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Delivery]:
        """The next messages; what was seen comes back after two minutes, and is left out."""
        while True:
            with anyio.CancelScope(shield=True):
                # A poll that is cut off goes on at SQS, and hides messages from everybody.
                received = await self._queue.receive(self._batch, _LOOK_S, _HOLD_S)
                self._held.update((d.message_id, d.receipt_handle) for d in received)
            fresh = [d for d in received if d.message_id not in self._seen]
            if fresh:
                self._again = 0
                self._seen.update(d.message_id for d in fresh)
                return fresh
            self._again += len(received)
            if not received or self._again > len(self._held):
                raise StopAsyncIteration

    def gone(self, deliveries: Iterable[Delivery]) -> None:
        """Take note that messages were deleted."""
        for delivery in deliveries:
            self._held.pop(delivery.message_id, None)

    async def show_again(self) -> None:
        """Make what is left visible to others."""
        await show_again(self._queue, self._held.values(), log)


@asynccontextmanager
async def queues(
    connection: Connection, queue_url: str, dlq_url: str
) -> AsyncIterator[tuple[Queue, Queue]]:
    """The main queue and its DLQ."""
    async with open_client("sqs", connection) as sqs:
        yield Queue(sqs, queue_url), Queue(sqs, dlq_url, is_dlq=True)


@asynccontextmanager
async def browse(queue: Queue, batch: int = SQS_BATCH_ENTRIES) -> AsyncIterator[Browse]:
    """Go through a queue, up to `batch` messages at a time; all are visible again at the end.

    SQS shows messages only by a receive: they are hidden from others for as long as
    the block lasts, two minutes at most.
    """
    found = Browse(queue, batch)
    try:
        yield found
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_SHOW_AGAIN_S):
            await found.show_again()


async def look(dlq: Queue, selection: Selection) -> list[DeadLetter]:
    """The selected messages; they stay where they are."""
    found: list[DeadLetter] = []
    async with browse(dlq) as batches:
        async for batch in batches:
            found += map(_described, filter(selection.takes, batch))
            if selection.limit is not None and len(found) >= selection.limit:
                break
    return found[: selection.limit]


async def delete(
    dlq: Queue,
    message_ids: Collection[str],
    advanced: Callable[[Deleted], None] = lambda _done: None,
) -> Deleted:
    """Delete messages by their ids, for good; `advanced` learns of all that is done so far.

    Cut off, it has deleted whole batches, and the rest is untouched.
    """
    done = Deleted()
    left = set(message_ids)
    async with browse(dlq) as batches:
        async for batch in batches:
            chosen = [delivery for delivery in batch if delivery.message_id in left]
            if chosen:
                with anyio.CancelScope(shield=True):
                    errors = await dlq.delete([delivery.receipt_handle for delivery in chosen])
                gone = [d for d, error in zip(chosen, errors, strict=True) if error is None]
                for delivery, error in zip(chosen, errors, strict=True):
                    if error is not None:
                        log.warning("not_deleted", message_id=delivery.message_id, error=str(error))
                batches.gone(gone)
                done += Deleted(
                    by_reason=Counter(map(reason_of, gone)), failed=len(chosen) - len(gone)
                )
                advanced(done)
            left.difference_update(delivery.message_id for delivery in chosen)
            if not left:
                break
    return done


def _described(delivery: Delivery) -> DeadLetter:
    named = message.decode(delivery.body)
    return DeadLetter(
        message_id=delivery.message_id,
        reason=reason_of(delivery),
        sent_at_ms=delivery.sent_at_ms,
        receives=delivery.attempt,
        request_id=named.request_id,
        event_id=named.event_id,
        body=delivery.body,
    )
