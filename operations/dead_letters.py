"""Looks at the dead-letter queue, and brings its messages back to the main queue."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from aws.client import Connection
from aws.errors import Rejected
from aws.queue import Delivery, OutgoingMessage, Queue, VisibilityChange
from aws.sdk import open_client
from config.limits import SQS_BATCH_BYTES, SQS_BATCH_ENTRIES, SQS_MESSAGE_ATTRIBUTES
from schema import names

RETRIES_EXHAUSTED: Final = "RETRIES_EXHAUSTED"
"""The reason of a message that SQS itself moved, after maxReceiveCount: it carries none."""
_SHOWN_CHARACTERS: Final = 100
_HOLD_S: Final = 120
_LOOK_S: Final = 1
"""A short poll may come back empty from a queue that is not (AWS: "Short polling")."""
_OURS: Final = frozenset(
    {
        names.REASON_CODE_ATTRIBUTE,
        names.SOURCE_MESSAGE_ID_ATTRIBUTE,
        names.ATTEMPT_ATTRIBUTE,
        names.REDRIVEN_AT_ATTRIBUTE,
    }
)

log = structlog.get_logger("redrive")


def reason_of(delivery: Delivery) -> str:
    """Why a message is in the DLQ."""
    return delivery.attributes.get(names.REASON_CODE_ATTRIBUTE, RETRIES_EXHAUSTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which messages are meant."""

    reason: str | None = None
    """None: all."""
    limit: int | None = None
    sent_before_ms: int | None = None
    """Leaves out what enters the DLQ later, so that a message that fails again can't circle."""

    def takes(self, delivery: Delivery) -> bool:
        """Whether a message is meant."""
        return (self.reason is None or reason_of(delivery) == self.reason) and (
            self.sent_before_ms is None or delivery.sent_at_ms < self.sent_before_ms
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message in the DLQ, for a person to read."""

    message_id: str
    reason: str
    beginning: str
    """The body's first characters, on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redriven:
    """What a redrive did."""

    by_reason: Counter[str] = field(default_factory=Counter)
    """The messages moved."""
    failed: int = 0
    """Left in the DLQ because of an error; run the redrive again."""
    twice: int = 0
    """Sent, but not deleted from the DLQ: they may come twice, which the worker handles."""

    @property
    def moved(self) -> int:
        """Messages that are in the main queue now."""
        return self.by_reason.total()

    def __add__(self, other: "Redriven") -> "Redriven":
        return Redriven(
            by_reason=self.by_reason + other.by_reason,
            failed=self.failed + other.failed,
            twice=self.twice + other.twice,
        )


@asynccontextmanager
async def queues(
    connection: Connection, queue_url: str, dlq_url: str
) -> AsyncIterator[tuple[Queue, Queue]]:
    """The main queue and its DLQ."""
    async with open_client("sqs", connection) as sqs:
        yield Queue(sqs, queue_url), Queue(sqs, dlq_url, is_dlq=True)


@asynccontextmanager
async def browse(dlq: Queue) -> AsyncIterator[AsyncIterator[list[Delivery]]]:
    """Go through the DLQ, each message once; all of them are visible again at the end.

    SQS shows messages only by a receive: they are hidden from others for as long as
    the block lasts, two minutes at most.
    """
    held: dict[str, str] = {}

    async def batches() -> AsyncGenerator[list[Delivery], None]:
        while True:
            received = await dlq.receive(SQS_BATCH_ENTRIES, _LOOK_S, _HOLD_S)
            fresh = [delivery for delivery in received if delivery.message_id not in held]
            held.update((delivery.message_id, delivery.receipt_handle) for delivery in received)
            if not fresh:
                return
            yield fresh

    try:
        async with aclosing(batches()) as found:
            yield found
    finally:
        await _show_again(dlq, list(held.values()))


async def look(dlq: Queue, selection: Selection) -> list[DeadLetter]:
    """The selected messages; they stay where they are."""
    found: list[DeadLetter] = []
    async with browse(dlq) as batches:
        async for batch in batches:
            found += map(_described, filter(selection.takes, batch))
            if selection.limit is not None and len(found) >= selection.limit:
                break
    return found[: selection.limit]


async def redrive(
    main: Queue,
    dlq: Queue,
    selection: Selection,
    at_ms: int,
    advanced: Callable[[int], None] = lambda _count: None,
) -> Redriven:
    """Send the selected messages to the main queue, then delete them from the DLQ.

    In this order nothing is lost if the process is killed in between; the message then exists
    twice, and its request is still decided once. A second run continues where the first ended.
    """
    result = Redriven()
    async with browse(dlq) as batches:
        async for batch in batches:
            chosen = [delivery for delivery in batch if selection.takes(delivery)]
            if selection.limit is not None:
                chosen = chosen[: selection.limit - result.moved]
            result += await _move(main, dlq, chosen, at_ms)
            advanced(len(batch))
            if selection.limit is not None and result.moved >= selection.limit:
                break
    return result


async def _move(main: Queue, dlq: Queue, chosen: Sequence[Delivery], at_ms: int) -> Redriven:
    sent: list[Delivery] = []
    for run in _that_fit_a_call([(delivery, _copy(delivery, at_ms)) for delivery in chosen]):
        answers: Sequence[str | Exception]
        try:
            answers = await main.send([copy for _, copy in run])
        except Rejected as refused:
            answers = [refused] * len(run)
        for (delivery, _), answer in zip(run, answers, strict=True):
            if isinstance(answer, Exception):
                log.warning("redrive_failed", message_id=delivery.message_id, error=str(answer))
            else:
                sent.append(delivery)
    failed = len(chosen) - len(sent)
    if not sent:
        return Redriven(failed=failed)
    errors = await dlq.delete([delivery.receipt_handle for delivery in sent])
    for delivery, error in zip(sent, errors, strict=True):
        if error is not None:
            log.warning("redriven_not_deleted", message_id=delivery.message_id, error=str(error))
    return Redriven(
        by_reason=Counter(map(reason_of, sent)),
        failed=failed,
        twice=sum(error is not None for error in errors),
    )


def _that_fit_a_call(
    copies: Sequence[tuple[Delivery, OutgoingMessage]],
) -> list[list[tuple[Delivery, OutgoingMessage]]]:
    """Cut into runs of at most a batch's bytes each."""
    runs: list[list[tuple[Delivery, OutgoingMessage]]] = []
    size = 0
    for pair in copies:
        if not runs or size + pair[1].size > SQS_BATCH_BYTES:
            runs.append([])
            size = 0
        runs[-1].append(pair)
        size += pair[1].size
    return runs


def _described(delivery: Delivery) -> DeadLetter:
    body = delivery.body.replace("\n", " ")
    cut = "…" if len(body) > _SHOWN_CHARACTERS else ""
    return DeadLetter(
        message_id=delivery.message_id,
        reason=reason_of(delivery),
        beginning=body[:_SHOWN_CHARACTERS] + cut,
    )


def _copy(delivery: Delivery, at_ms: int) -> OutgoingMessage:
    """The same body and the producer's attributes; the mark of the redrive replaces ours."""
    attributes = {k: v for k, v in delivery.attributes.items() if k not in _OURS}
    kept = dict(list(attributes.items())[: SQS_MESSAGE_ATTRIBUTES - 1])
    return OutgoingMessage(delivery.body, kept | {names.REDRIVEN_AT_ATTRIBUTE: str(at_ms)})


async def _show_again(dlq: Queue, held: Sequence[str]) -> None:
    for start in range(0, len(held), SQS_BATCH_ENTRIES):
        chunk = held[start : start + SQS_BATCH_ENTRIES]
        # What was moved is gone, and its receipt with it: that error says nothing new.
        await dlq.change_visibility([VisibilityChange(handle, 0) for handle in chunk])
