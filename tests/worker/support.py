"""What the worker's tests share: seeded requests, a running worker, and what it left behind."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from time import monotonic, time_ns
from typing import Any

import anyio
import orjson
from prometheus_client import CollectorRegistry

from aws.client import Client, Connection
from aws.queue import OutgoingMessage, Queue
from aws.sdk import open_client, opener
from aws.table import Table
from config.settings import WorkerSettings
from local.emulator.stack import StackOutputs
from schema import keys
from schema.items import Capacity, EventConfig, RequestItem
from schema.message import ParticipationMessage
from schema.states import EventType, Status
from tests import programs
from tests.faults.program import Program
from worker import pipeline
from worker.assembly import assemble, wait_until_ready
from worker.parts import Parts

FAST: dict[str, Any] = {
    "receive_wait_s": 1,
    "visibility_timeout_s": 30,
    "retry_backoff_base_s": 0.5,
    "retry_backoff_max_s": 1,
    "shutdown_timeout_s": 20,
    "http_port": 0,
    "http_host": "127.0.0.1",
    "worker_id": "worker-1",
    "aws_region": "ap-northeast-2",
}
"""Settings that keep a test short; everything else is the default."""


def now_ms() -> int:
    """Epoch milliseconds."""
    return time_ns() // 1_000_000


def request(event_id: str, user: str, **changes: Any) -> RequestItem:
    """A queued request of one user."""
    queued_at = changes.pop("queued_at_ms", now_ms())
    item = RequestItem(
        request_id=keys.request_id(event_id, user),
        event_id=event_id,
        user_id=user,
        event_type=EventType.FIRST_COME,
        status=Status.QUEUED,
        requested_at_ms=queued_at,
        queued_at_ms=queued_at,
    )
    return replace(item, **changes)


def message_of(item: RequestItem) -> OutgoingMessage:
    """The message that ingest sends for a request."""
    body = ParticipationMessage(item.request_id, item.event_id, item.user_id)
    return OutgoingMessage(body.encode())


async def until(holds: Callable[[], Awaitable[bool]], timeout_s: float = 60) -> None:
    """Wait until something outside of this process holds, which can't wake us; TimeoutError."""
    with anyio.fail_after(timeout_s):
        while True:
            began = monotonic()
            if await holds():
                return
            # Looking must not take the time that the work needs.
            await anyio.sleep(max(0.05, 3 * (monotonic() - began)))


@dataclass(frozen=True, slots=True)
class World:
    """A deployed stack, seen past every fault that a test injects."""

    stack: StackOutputs
    connection: Connection
    table: Table
    queue: Queue
    dlq: Queue
    tap: Queue
    dynamodb: Client
    sqs: Client

    async def create_event(
        self, event_id: str, capacity: int, event_type: str = EventType.FIRST_COME
    ) -> None:
        """Create an event with its seats."""
        created = await self.table.create_event(
            EventConfig(event_id=event_id, event_type=event_type),
            Capacity(event_id=event_id, total=capacity, remaining=capacity),
        )
        assert created

    async def store(self, items: Sequence[RequestItem]) -> None:
        """Write request items as they are."""
        for start in range(0, len(items), 25):
            assert not any(await self.table.insert(items[start : start + 25]))

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Put messages on the main queue."""
        for start in range(0, len(messages), 10):
            results = await self.queue.send(messages[start : start + 10])
            assert all(isinstance(result, str) for result in results)

    async def enqueue(self, items: Sequence[RequestItem], duplicates: int = 0) -> None:
        """Store requests and send their messages, the first `duplicates` of them twice."""
        await self.store(items)
        await self.send([message_of(item) for item in (*items, *items[:duplicates])])

    async def items(self, event_id: str) -> dict[str, RequestItem]:
        """An event's requests from QUEUED on, by id, whoever stored them."""
        found: dict[str, RequestItem] = {}
        start: dict[str, Any] = {}
        while True:
            page = await self.dynamodb.call(
                "Scan", TableName=self.table.name, ConsistentRead=True, **start
            )
            for stored in page.get("Items", ()):
                if stored["SK"]["S"] == keys.REQUEST_SORT_KEY:
                    item = RequestItem.from_item(stored)
                    if item.event_id == event_id and item.status is not Status.RECEIVED:
                        found[item.request_id] = item
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    async def item(self, request_id: str) -> RequestItem:
        """One request."""
        return (await self.table.load([request_id])).requests[request_id]

    async def statuses(self, event_id: str) -> Counter[str]:
        """How many requests stand where."""
        return Counter(item.status.value for item in (await self.items(event_id)).values())

    async def seats(self, event_id: str) -> Capacity:
        """An event's capacity item."""
        capacity = (await self.table.load([], [event_id])).events[event_id].capacity
        assert capacity is not None
        return capacity

    async def published(self) -> list[dict[str, Any]]:
        """Take all events off the tap: each as EventBridge delivered it."""
        envelopes: list[dict[str, Any]] = []
        while deliveries := await self.tap.receive(10, 0, 60):
            envelopes += [orjson.loads(delivery.body) for delivery in deliveries]
            await self.tap.delete([delivery.receipt_handle for delivery in deliveries])
        return envelopes

    async def dead_letters(self) -> list[Any]:
        """Take all messages off the DLQ."""
        found = []
        while deliveries := await self.dlq.receive(10, 0, 60):
            found += deliveries
            await self.dlq.delete([delivery.receipt_handle for delivery in deliveries])
        return found

    async def until_decided(self, event_id: str, count: int, timeout_s: float = 60) -> None:
        """Wait until as many of an event's requests are final."""

        async def decided() -> bool:
            items = (await self.items(event_id)).values()
            return sum(item.status.is_final for item in items) >= count

        await until(decided, timeout_s)

    async def until_empty(self, timeout_s: float = 60) -> None:
        """Wait until the main queue holds nothing, in flight or not."""

        async def empty() -> bool:
            return not (await self.queue.describe()).approximate_messages

        await until(empty, timeout_s)

    def settings(self, **changes: Any) -> WorkerSettings:
        """A worker's settings for this stack."""
        return WorkerSettings(
            **{
                **FAST,
                "aws_endpoint_url": self.connection.endpoint_url,
                "table_name": self.stack.table_name,
                "queue_url": self.stack.queue_url,
                "dlq_url": self.stack.dlq_url,
                "lost_events_queue_url": self.stack.lost_events_queue_url,
                "event_bus_name": self.stack.event_bus_name,
                **changes,
            }
        )

    @asynccontextmanager
    async def worker(
        self, *, endpoint_url: str | None = None, **changes: Any
    ) -> AsyncIterator[Parts]:
        """A worker that runs in this process for the length of the block, then drains."""
        connection = self.connection
        if endpoint_url is not None:
            connection = replace(connection, endpoint_url=endpoint_url)
        async with (
            assemble(
                self.settings(**changes), opener(connection), clock=now_ms, random=Random()
            ) as parts,
            anyio.create_task_group() as tasks,
        ):
            await wait_until_ready(parts)
            tasks.start_soon(pipeline.run, parts)
            try:
                yield parts
            finally:
                parts.stop.request()

    @asynccontextmanager
    async def through(self, endpoint_url: str) -> AsyncIterator[tuple[Queue, Queue]]:
        """The main queue and the DLQ by another way than the direct one."""
        connection = replace(self.connection, endpoint_url=endpoint_url)
        async with open_client("sqs", connection) as sqs:
            yield Queue(sqs, self.stack.queue_url), Queue(sqs, self.stack.dlq_url, is_dlq=True)

    @asynccontextmanager
    async def program(
        self, *, endpoint_url: str | None = None, **variables: str
    ) -> AsyncIterator[Program]:
        """A worker in a process of its own; it is killed at the end of the block."""
        connection = self.connection
        if endpoint_url is not None:
            connection = replace(connection, endpoint_url=endpoint_url)
        quick = {
            "RECEIVE_WAIT_S": "1",
            "VISIBILITY_TIMEOUT_S": "2",
            "RETRY_BACKOFF_BASE_S": "0.5",
            "RETRY_BACKOFF_MAX_S": "1",
            "SHUTDOWN_TIMEOUT_S": "10",
            "WORKER_ID": "worker-1",
        }
        environment = programs.variables(connection, self.stack, **{**quick, **variables})
        async with programs.participation("worker", environment=environment) as worker:
            yield worker


def figure(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """One sample of a registry; fails where there is none."""
    value = registry.get_sample_value(name, labels)
    assert value is not None, f"no sample {name}{labels}"
    return value


@asynccontextmanager
async def world_of(stack: StackOutputs, connection: Connection) -> AsyncIterator[World]:
    """Open a stack, with a tap on its bus that catches every event."""
    async with (
        open_client("sqs", connection) as sqs,
        open_client("dynamodb", connection) as dynamodb,
        open_client("events", connection) as events,
    ):
        name = f"{stack.table_name}-tap"
        tap = Queue(sqs, (await sqs.call("CreateQueue", QueueName=name))["QueueUrl"])
        bus = stack.event_bus_name
        await events.call(
            "PutRule",
            Name=name,
            EventBusName=bus,
            EventPattern='{"source": [{"prefix": "kr.ac.dongduk."}]}',
        )
        arn = (await tap.describe()).arn
        await events.call(
            "PutTargets", Rule=name, EventBusName=bus, Targets=[{"Id": "tap", "Arn": arn}]
        )
        yield World(
            stack=stack,
            connection=connection,
            table=Table(dynamodb, stack.table_name, Random(0)),
            queue=Queue(sqs, stack.queue_url),
            dlq=Queue(sqs, stack.dlq_url, is_dlq=True),
            tap=tap,
            dynamodb=dynamodb,
            sqs=sqs,
        )
