"""Brings messages of the dead-letter queue back to the main queue."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
import structlog

from aws.errors import Rejected
from aws.queue import Delivery, OutgoingMessage, Queue
from config.limits import SQS_BATCH_BYTES, SQS_BATCH_ENTRIES, SQS_MESSAGE_ATTRIBUTES
from operations.dead_letters import Selection, browse, reason_of
from operations.received import that_fit_a_call
from schema import names

_OURS: Final = frozenset(
    {
        names.REASON_CODE_ATTRIBUTE,
        names.SOURCE_MESSAGE_ID_ATTRIBUTE,
        names.ATTEMPT_ATTRIBUTE,
        names.REDRIVEN_AT_ATTRIBUTE,
    }
)

log = structlog.get_logger("redrive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redriven:
    """What a redrive did."""

    by_reason: Counter[str] = field(default_factory=Counter)
    """The messages moved."""
    failed: int = 0
    """Left in the DLQ because of an error; run the redrive again."""
    twice: int = 0
    """Sent, but not deleted from the DLQ: they may come twice, which the worker handles."""

    passed_over: int = 0
    """Seen, and not selected."""

    @property
    def moved(self) -> int:
        """Messages that are in the main queue now."""
        return self.by_reason.total()

    def __add__(self, other: "Redriven") -> "Redriven":
        return Redriven(
            by_reason=self.by_reason + other.by_reason,
            failed=self.failed + other.failed,
            twice=self.twice + other.twice,
            passed_over=self.passed_over + other.passed_over,
        )


async def redrive(
    main: Queue,
    dlq: Queue,
    selection: Selection,
    at_ms: int,
    advanced: Callable[[Redriven], None] = lambda _done: None,
    *,
    per_second: int | None = None,
) -> Redriven:
    """Send the selected messages to the main queue, then delete them from the DLQ.

    In this order nothing is lost if the process is killed in between; the message then exists
    twice, and its request is still decided once. Cut off, it finishes the batch at hand. A second
    run continues where the first ended. It moves at most `per_second`; `advanced` learns of all
    that is done so far.
    """
    done = Redriven()
    size = min(SQS_BATCH_ENTRIES, per_second or SQS_BATCH_ENTRIES)
    async with browse(dlq, size) as batches:
        async for batch in batches:
            chosen = [delivery for delivery in batch if selection.takes(delivery)]
            passed_over = len(batch) - len(chosen)
            if selection.limit is not None:
                chosen = chosen[: selection.limit - done.moved]
            with anyio.CancelScope(shield=True):
                done += await _move(main, dlq, chosen, at_ms, batches.gone)
            done += Redriven(passed_over=passed_over)
            advanced(done)
            if selection.limit is not None and done.moved >= selection.limit:
                break
            if per_second is not None:
                await anyio.sleep(len(chosen) / per_second)
    return done


async def _move(
    main: Queue,
    dlq: Queue,
    chosen: Sequence[Delivery],
    at_ms: int,
    gone: Callable[[Iterable[Delivery]], None],
) -> Redriven:
    sent: list[Delivery] = []
    copies = [(delivery, _copy(delivery, at_ms)) for delivery in chosen]
    for run in that_fit_a_call(copies, SQS_BATCH_BYTES):
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
    gone(d for d, error in zip(sent, errors, strict=True) if error is None)
    for delivery, error in zip(sent, errors, strict=True):
        if error is not None:
            log.warning("redriven_not_deleted", message_id=delivery.message_id, error=str(error))
    return Redriven(
        by_reason=Counter(map(reason_of, sent)),
        failed=failed,
        twice=sum(error is not None for error in errors),
    )


def _copy(delivery: Delivery, at_ms: int) -> OutgoingMessage:
    """The same body and the producer's attributes; the mark of the redrive replaces ours."""
    attributes = {k: v for k, v in delivery.attributes.items() if k not in _OURS}
    kept = dict(list(attributes.items())[: SQS_MESSAGE_ATTRIBUTES - 1])
    return OutgoingMessage(delivery.body, kept | {names.REDRIVEN_AT_ATTRIBUTE: str(at_ms)})
