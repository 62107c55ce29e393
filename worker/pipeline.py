"""One message's way through the worker, wired; read this first.

SQS -> receive -> [inbox of lists] -> process -> publish -> acknowledge -> SQS. Credits bound
what is in flight; leases keep it invisible to others. The blocks below end from the inside out,
and each drains its stage as it ends: a stop travels the same way as the messages.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio

from aws.errors import Transient
from aws.publisher import Publisher
from aws.queue import OutgoingMessage, Queue, VisibilityChange
from config.limits import SQS_BATCH_BYTES, SQS_BATCH_ENTRIES
from runtime.batcher import Batcher, BatchLimits
from worker.commit import Committer
from worker.credits import Credits
from worker.inbox import Inbox
from worker.leases import Leases
from worker.parts import Parts
from worker.process import Processing
from worker.receive import Receiver
from worker.settle import Channel, Settler

_DELETE_CONCURRENCY = 8


async def run(parts: Parts) -> None:
    """Run until the stop is requested, then drain."""
    settings, metrics = parts.settings, parts.metrics
    credits = Credits(settings.max_in_flight)
    metrics.in_flight_limit.set(settings.max_in_flight)
    inbox = Inbox()
    metrics.stream_depth.set_function(lambda: inbox.depth)
    async with (
        _batcher_of_quarantine(parts) as quarantine,
        _channel(parts, parts.queue) as main,
        _channel(parts, parts.dlq) as dlq,
        Publisher(
            parts.bus, parts.publish_policy, observer=metrics, flushes=metrics.batches
        ) as publisher,
        anyio.create_task_group() as settling,
    ):
        settler = Settler(
            parts, main=main, dlq=dlq, quarantine=quarantine, publisher=publisher, credits=credits
        )
        processing = Processing(parts=parts, committer=Committer(parts), settler=settler)
        pollers = (
            (parts.queue, main.leases, settings.pollers),
            (parts.dlq, dlq.leases, settings.dlq_pollers),
        )
        async with anyio.create_task_group() as working:
            working.start_soon(processing.run, inbox, settling, name="process")
            async with anyio.create_task_group() as receiving:
                for queue, leases, count in pollers:
                    receiver = Receiver(
                        queue=queue,
                        pollers=count,
                        parts=parts,
                        credits=credits,
                        leases=leases,
                    )
                    receiving.start_soon(receiver.run, inbox, name="receive")
            inbox.close()


@asynccontextmanager
async def _channel(parts: Parts, queue: Queue) -> AsyncIterator[Channel]:
    """One queue's batched deletes and visibility changes, and the leases on its messages."""
    observer = parts.metrics.batches
    deletes = BatchLimits(
        max_items=SQS_BATCH_ENTRIES,
        linger_s=parts.settings.delete_linger_ms / 1000,
        concurrency=_DELETE_CONCURRENCY,
        eager=True,
    )
    # One call at a time keeps the order: no extension may overtake a hand-back.
    visibility = BatchLimits(max_items=SQS_BATCH_ENTRIES, concurrency=1)
    async with (
        Batcher(queue.delete, deletes, stage="delete", observer=observer) as delete,
        Batcher(
            partial(_change_visibility, queue, parts.settings.visibility_timeout_s),
            visibility,
            stage="visibility",
            observer=observer,
        ) as change_visibility,
        anyio.create_task_group() as keeper,
    ):
        leases = Leases(
            change_visibility.submit_many, parts.settings.visibility_timeout_s, parts.metrics
        )
        parts.state.leases.append((queue, leases))
        keeper.start_soon(leases.run, name="leases")
        yield Channel(deletes=delete, visibility=change_visibility, leases=leases)
        keeper.cancel_scope.cancel()


async def _change_visibility(
    queue: Queue, timeout_s: int, changes: Sequence[VisibilityChange]
) -> Sequence[Exception | None]:
    """One call, bounded: one that hangs must not let every other lease run out behind it.

    Of an extension and a hand-back of one message the later counts: AWS promises no order
    within a batch.
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


def _batcher_of_quarantine(parts: Parts) -> Batcher[OutgoingMessage, str]:
    limits = BatchLimits(max_items=SQS_BATCH_ENTRIES, max_bytes=SQS_BATCH_BYTES)
    return Batcher(
        parts.dlq.send,
        limits,
        stage="quarantine",
        size_of=lambda outgoing: outgoing.size,
        observer=parts.metrics.batches,
    )
