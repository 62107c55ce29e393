"""Stands in for EventBridge → Firehose → S3, which the emulator accepts but does not perform.

Each rule with a Firehose target gets a second target, an SQS queue that taps the same events in
the same form; what arrives in that queue is written to S3 as the stream's own settings say.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import reduce
from operator import add
from typing import Final

import anyio
import structlog

from aws.client import Client, ClientOptions, Connection
from aws.errors import AwsError
from aws.queue import Queue
from aws.sdk import open_client
from local.errors import LocalError
from local.firehose.delivery import Delivered, StreamDelivery
from local.firehose.settings import FirehoseTarget, firehose_targets, stream_settings
from runtime.errors import unwrapped

_CONNECTIONS: Final = 16
_DRAIN_WITHIN_S: Final = 30.0
_UNTAP_WITHIN_S: Final = 5.0

_log: Final = structlog.get_logger(__name__)


class FirehoseStandIn:
    """The streams of one bus, while they are delivered."""

    def __init__(self, streams: Sequence[StreamDelivery]) -> None:
        self.streams = tuple(streams)

    @property
    def delivered(self) -> Delivered:
        """How much has reached S3, all streams together."""
        return reduce(add, (stream.delivered for stream in self.streams), Delivered())

    async def flush(self) -> None:
        """Write to S3 whatever was published before this call, without waiting for the buffers."""
        async with anyio.create_task_group() as tasks:
            for stream in self.streams:
                tasks.start_soon(stream.flush)


@asynccontextmanager
async def standing_in(
    connection: Connection,
    event_bus_name: str = "default",
    *,
    buffer_interval_s: float | None = None,
    arrived: Callable[[str], None] = lambda _record: None,
) -> AsyncIterator[FirehoseStandIn]:
    """Deliver a bus's events to S3 until the block ends.

    A block that ends well ends with a drain; one that fails or is cancelled does not.
    `buffer_interval_s` replaces the streams' own buffer intervals, which may be minutes; `arrived`
    is given each record as it comes. Raises LocalError where no rule of the bus has a Firehose
    target, or a stream is not imitated.
    """
    options = ClientOptions(max_connections=_CONNECTIONS)
    async with AsyncExitStack() as clients:
        events, firehose, sqs, s3 = [
            await clients.enter_async_context(open_client(service, connection, options))
            for service in ("events", "firehose", "sqs", "s3")
        ]
        targets = await firehose_targets(events, event_bus_name)
        if not targets:
            raise LocalError(f"no rule of the bus {event_bus_name!r} has a Firehose target")
        streams = [
            await stream_settings(firehose, name)
            for name in sorted({target.stream_name for target in targets})
        ]
        async with _tapped(events, sqs, targets) as queues:
            deliveries = [
                StreamDelivery(stream, queues[stream.name], s3, buffer_interval_s, arrived)
                for stream in streams
            ]
            async with _running(deliveries) as stand_in:
                yield stand_in


@asynccontextmanager
async def _running(deliveries: Sequence[StreamDelivery]) -> AsyncIterator[FirehoseStandIn]:
    with unwrapped():
        async with anyio.create_task_group() as tasks:
            for delivery in deliveries:
                tasks.start_soon(delivery.run)
            stand_in = FirehoseStandIn(deliveries)
            yield stand_in
            with anyio.move_on_after(_DRAIN_WITHIN_S) as deadline:
                await stand_in.flush()
            if deadline.cancelled_caught:
                _log.warning("firehose_drain_unfinished", within_s=_DRAIN_WITHIN_S)
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def _tapped(
    events: Client, sqs: Client, targets: Sequence[FirehoseTarget]
) -> AsyncIterator[Mapping[str, Queue]]:
    """Tap every Firehose target; gives one queue for each stream."""
    queues: dict[str, Queue] = {}
    try:
        for name in {target.stream_name for target in targets}:
            response = await sqs.call("CreateQueue", QueueName=f"{name}-tap")
            queues[name] = Queue(sqs, response["QueueUrl"])
        for target in targets:
            await _tap(events, target, queues[target.stream_name])
        yield queues
    finally:
        with anyio.move_on_after(_UNTAP_WITHIN_S, shield=True):
            await _untap(events, sqs, targets, queues)


async def _tap(events: Client, target: FirehoseTarget, queue: Queue) -> None:
    tap = {"Id": _tap_id(target), "Arn": (await queue.describe()).arn, **target.payload}
    response = await events.call(
        "PutTargets",
        EventBusName=target.event_bus_name,
        Rule=target.rule_name,
        Targets=[tap],
    )
    if response.get("FailedEntryCount"):
        raise LocalError(f"the rule {target.rule_name!r} cannot be tapped: {response!r}")


async def _untap(
    events: Client, sqs: Client, targets: Sequence[FirehoseTarget], queues: Mapping[str, Queue]
) -> None:
    try:
        for target in targets:
            await events.call(
                "RemoveTargets",
                EventBusName=target.event_bus_name,
                Rule=target.rule_name,
                Ids=[_tap_id(target)],
            )
        for queue in queues.values():
            await sqs.call("DeleteQueue", QueueUrl=queue.url)
    except AwsError as error:
        # The emulator may be gone already, and the taps with it.
        _log.warning("firehose_untap_failed", error=str(error))


def _tap_id(target: FirehoseTarget) -> str:
    return f"{target.target_id}-tap"
