"""One queue's way back: its deletes and visibility changes, batched, and its messages' leases."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Self

import anyio
import structlog

from aws.errors import Fatal, Transient
from aws.queue import Delivery, Queue, VisibilityChange, is_lost_handle
from config.limits import SQS_BATCH_ENTRIES
from runtime import backoff
from runtime.batcher import Batcher, BatchLimits
from worker.credits import Credits
from worker.leases import Leases
from worker.metrics import Stage
from worker.parts import Parts

_DELETE_CONCURRENCY: Final = 32
_DELETE_TRIES: Final = 4
_DELETE_BACKOFF_BASE_S: Final = 0.1
_DELETE_BACKOFF_MAX_S: Final = 2.0

log = structlog.get_logger("settle")


class Channel:
    """Where deliveries of one queue end: deleted or handed back, lease and credit released last."""

    def __init__(
        self,
        parts: Parts,
        queue: Queue,
        credits: Credits,
        deletes: Batcher[str, None],
        visibility: Batcher[VisibilityChange, None],
    ) -> None:
        self.queue = queue
        self.credits = credits
        self.leases = Leases(
            visibility.submit_many, parts.settings.visibility_timeout_s, parts.metrics
        )
        self._parts = parts
        self._deletes = deletes
        self._visibility = visibility

    @classmethod
    @asynccontextmanager
    async def open(cls, parts: Parts, queue: Queue, credits: Credits) -> AsyncIterator[Self]:
        """A channel that sends what still waits when the block ends."""
        observer = parts.metrics.batches
        deletes = BatchLimits(
            max_items=SQS_BATCH_ENTRIES,
            linger_s=parts.settings.delete_linger_ms / 1000,
            concurrency=_DELETE_CONCURRENCY,
            eager=True,
        )
        # One call at a time keeps the order: no extension may overtake a hand-back.
        visibility = BatchLimits(max_items=SQS_BATCH_ENTRIES, concurrency=1)
        change = partial(change_visibility, queue, parts.settings.visibility_timeout_s)
        async with (
            Batcher(queue.delete, deletes, stage=Stage.DELETE, observer=observer) as deleting,
            Batcher(change, visibility, stage=Stage.VISIBILITY, observer=observer) as changing,
            anyio.create_task_group() as keeper,
        ):
            channel = cls(parts, queue, credits, deleting, changing)
            parts.state.leases.append((queue, channel.leases))
            keeper.start_soon(channel.leases.run, name="leases")
            yield channel
            keeper.cancel_scope.cancel()

    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        """Delete, with a bounded number of tries for each.

        A message whose delete SQS never confirmed comes again, finds its request decided, and
        is deleted then.
        """
        left = await self._delete_once(deliveries)
        for attempt in range(1, _DELETE_TRIES):
            if not left:
                return
            await anyio.sleep(
                backoff.delay_s(
                    attempt, _DELETE_BACKOFF_BASE_S, _DELETE_BACKOFF_MAX_S, self._parts.random
                )
            )
            left = await self._delete_once(left)
        if left:
            self._parts.metrics.delete_failures.inc(len(left))
            log.warning("delete_failed", message_ids=[delivery.message_id for delivery in left])
            self._let_go(left)

    async def _delete_once(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Let go of what is deleted; returns the rest."""
        errors = await self._deletes.submit_many([d.receipt_handle for d in deliveries])
        if not any(errors):
            self._let_go(deliveries)
            return ()
        for error in errors:
            if isinstance(error, Fatal):
                self._parts.fail(error)
        results = list(zip(deliveries, errors, strict=True))
        failed = [d for d, error in results if error is not None and not is_lost_handle(error)]
        self._let_go([d for d, error in results if error is None or is_lost_handle(error)])
        return failed

    async def hand_back(self, deliveries: Sequence[Delivery], delays_s: Sequence[int]) -> None:
        """Make each visible to others after its delay; zero means immediately."""
        # The lease ends first, so that no extension undoes the new timeout.
        for delivery in deliveries:
            self.leases.release(delivery)
        changes = map(VisibilityChange, (d.receipt_handle for d in deliveries), delays_s)
        for error in await self._visibility.submit_many(list(changes)):
            # Without it the message comes again when its visibility timeout ends.
            if error is not None:
                log.warning("hand_back_failed", error=str(error))
        self._free(len(deliveries))

    def _let_go(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.leases.release(delivery)
        self._free(len(deliveries))

    def _free(self, places: int) -> None:
        self._parts.metrics.in_flight.dec(places)
        self.credits.give_back(places)


async def change_visibility(
    queue: Queue, timeout_s: int, changes: Sequence[VisibilityChange]
) -> Sequence[Exception | None]:
    """One call, bounded: one that hangs must not let every other lease run out behind it.

    Of an extension and a hand-back of one message only the later is sent: AWS promises no
    order within a batch.
    """
    last = {change.receipt_handle: change for change in changes}
    limit_s = max(0.25, min(5.0, timeout_s / 8))
    try:
        with anyio.fail_after(limit_s):
            answers = await queue.change_visibility(list(last.values()))
    except TimeoutError:
        raise Transient(
            "sqs", "ChangeMessageVisibilityBatch", "ReadTimeoutError", f"none in {limit_s:g} s"
        ) from None
    by_handle = dict(zip(last, answers, strict=True))
    return [by_handle[change.receipt_handle] for change in changes]
