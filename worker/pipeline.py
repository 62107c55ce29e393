"""One message's path through the worker, wired; read this first.

SQS -> receive -> [inbox of lists] -> process -> publish -> acknowledge -> SQS. Credits bound
what is in flight; leases keep it invisible to others. The blocks below end from the inside out,
and each drains its stage as it ends: a stop travels the same way as the messages.
"""

import anyio

from aws.publisher import Publisher, PublishPolicy
from aws.queue import OutgoingMessage, Queue
from config.limits import SQS_BATCH_BYTES, SQS_BATCH_ENTRIES
from runtime.batcher import Batcher, BatchLimits
from worker.channel import Channel
from worker.commit import Committer
from worker.credits import Credits
from worker.inbox import Inbox
from worker.metrics import Stage
from worker.outage import Outage
from worker.parts import Parts
from worker.process import Processing
from worker.receive import Receiver
from worker.settle import Settler


async def run(parts: Parts) -> None:
    """Run until the stop is requested, then drain."""
    settings, metrics = parts.settings, parts.metrics
    credits = Credits(settings.max_in_flight)
    metrics.in_flight_limit.set(settings.max_in_flight)
    parts.stop.calls(credits.close)
    committer = Committer(parts)
    sqs = Outage("sqs", parts.metrics.paused["sqs"], parts.random, parts.stop)
    inboxes: list[Inbox] = []
    metrics.stream_depth.set_function(lambda: sum(inbox.depth for inbox in inboxes))
    async with (
        _batcher_of_quarantine(parts) as quarantine,
        Publisher(
            parts.bus,
            PublishPolicy.of(settings),
            random=parts.random,
            observer=metrics,
            flushes=metrics.batches,
            lost_events=parts.lost_events,
        ) as publisher,
    ):

        async def serve(queue: Queue, pollers: int, processors: int) -> None:
            """One queue's messages, from their receive to their delete."""
            inbox = Inbox()
            inboxes.append(inbox)
            async with (
                Channel.open(parts, queue, credits) as channel,
                anyio.create_task_group() as settling,
            ):
                settler = Settler(parts, channel, quarantine, publisher)
                processing = Processing(parts, committer, settler, processors)
                receiver = Receiver(parts, channel, pollers, committer.outage, sqs)
                async with anyio.create_task_group() as working:
                    working.start_soon(processing.run, inbox, settling, name="process")
                    await receiver.run(inbox)
                    inbox.close()

        async with anyio.create_task_group() as queues:
            queues.start_soon(serve, parts.queue, settings.pollers, settings.processors)
            if settings.dlq_pollers:
                # One processor per poller is enough: dead letters leave the core to the main queue.
                processors = min(settings.dlq_pollers, settings.processors)
                queues.start_soon(serve, parts.dlq, settings.dlq_pollers, processors)


def _batcher_of_quarantine(parts: Parts) -> Batcher[OutgoingMessage, str]:
    limits = BatchLimits(max_items=SQS_BATCH_ENTRIES, max_bytes=SQS_BATCH_BYTES)
    return Batcher(
        parts.dlq.send,
        limits,
        stage=Stage.QUARANTINE,
        size_of=lambda outgoing: outgoing.size,
        observer=parts.metrics.batches,
    )
