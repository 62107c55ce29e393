"""What the page reads once a second: both programs' figures, three queues, the event's items."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

import httpx

from aws.client import Client, ClientOptions
from aws.errors import AwsError
from aws.sdk import open_client
from aws.table import EventState, Table
from local.demo.scrape import Samples, scrape
from local.pipeline_stack import PipelineStack
from local.programs import Program

_WITHIN_S: Final = 2.0
_OPTIONS: Final = ClientOptions(read_timeout_s=_WITHIN_S)
_WORKER_FIGURES: Final = (
    "aws_call_seconds_count",
    "worker_messages_settled_total",
    "worker_publish_failures_total",
)
_INGEST_FIGURES: Final = ("ingest_requests_total",)
_VISIBLE: Final = "ApproximateNumberOfMessages"
_HELD: Final = "ApproximateNumberOfMessagesNotVisible"


@dataclass(frozen=True, slots=True)
class Depth:
    """The messages of a queue."""

    waiting: int = 0
    held: int = 0
    """Received by somebody and not deleted."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.waiting + self.held


@dataclass(frozen=True, slots=True)
class Readings:
    """One second's figures; what could not be read is None."""

    worker: Samples | None = None
    ingest: Samples | None = None
    queue: Depth | None = None
    dlq: Depth | None = None
    lost_events: Depth | None = None
    event: EventState | None = None


class Reader:
    """Reads the embedded AWS directly: the page's own faults do not blind it."""

    def __init__(
        self, stack: PipelineStack, http: httpx.AsyncClient, sqs: Client, table: Table
    ) -> None:
        self._stack = stack
        self._http = http
        self._sqs = sqs
        self.table = table

    async def read(self, event_id: str) -> Readings:
        """Read once; never raises for what does not answer."""
        outputs = self._stack.outputs
        return Readings(
            worker=await self._figures(self._stack.worker, _WORKER_FIGURES),
            ingest=await self._figures(self._stack.ingest, _INGEST_FIGURES),
            queue=await self._depth_if_known(outputs.queue_url),
            dlq=await self._depth_if_known(outputs.dlq_url),
            lost_events=await self._depth_if_known(outputs.lost_events_queue_url),
            event=await self._event(event_id),
        )

    async def depth(self, url: str) -> Depth:
        """How many messages a queue holds; raises AwsError."""
        answer = await self._sqs.call(
            "GetQueueAttributes", QueueUrl=url, AttributeNames=[_VISIBLE, _HELD]
        )
        attributes = answer["Attributes"]
        return Depth(int(attributes[_VISIBLE]), int(attributes[_HELD]))

    async def _depth_if_known(self, url: str) -> Depth | None:
        try:
            return await self.depth(url)
        except AwsError:
            return None

    async def _figures(self, program: Program, names: tuple[str, ...]) -> Samples | None:
        try:
            return await scrape(self._http, program.url, names)
        except httpx.HTTPError:
            return None

    async def _event(self, event_id: str) -> EventState | None:
        try:
            return (await self.table.load([], [event_id])).events[event_id]
        except AwsError:
            return None


@asynccontextmanager
async def reader_of(stack: PipelineStack) -> AsyncIterator[Reader]:
    """Open what is needed to read a stack's figures."""
    connection = stack.emulator.connection
    async with AsyncExitStack() as clients:
        http = await clients.enter_async_context(
            httpx.AsyncClient(timeout=_WITHIN_S, trust_env=False)
        )
        sqs = await clients.enter_async_context(open_client("sqs", connection, _OPTIONS))
        dynamodb = await clients.enter_async_context(open_client("dynamodb", connection, _OPTIONS))
        table = Table(dynamodb, stack.outputs.table_name, Random())  # noqa: S311 - no secret
        yield Reader(stack, http, sqs, table)
