"""Ingest on the embedded AWS: in this process, or as a program of its own, behind the proxy."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import anyio
import httpx
from anyio.abc import TaskStatus

from aws.client import ClientOptions, Connection
from aws.queue import Queue
from aws.sdk import open_client
from aws.table import Table
from config.settings import IngestSettings
from ingest import server
from ingest.aws_gateway import AwsGateway
from ingest.retries import RetryPolicy
from runtime.program import epoch_ms
from runtime.stop import Stop
from schema.message import ParticipationMessage, decode
from tests import programs
from tests.faults.program import Program
from tests.faults.proxy import FaultProxy
from tests.ingest.support import SECRET, bearer
from tests.worker.support import World

CLICK: Final = "/events/event-1/participations"
_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Live:
    """A deployed stack, and the proxy by which ingest sees it."""

    world: World
    proxy: FaultProxy

    @property
    def connection(self) -> Connection:
        """How ingest reaches the stack: by the proxy."""
        return replace(self.world.connection, endpoint_url=self.proxy.endpoint_url)

    def settings(self, **changes: Any) -> IngestSettings:
        """Ingest's settings for this stack."""
        stack = self.world.stack
        return IngestSettings(
            **{
                "aws_region": self.connection.region,
                "aws_endpoint_url": self.proxy.endpoint_url,
                "table_name": stack.table_name,
                "queue_url": stack.queue_url,
                "dlq_url": stack.dlq_url,
                "event_bus_name": stack.event_bus_name,
                "jwt_secret": SECRET,
                "http_port": 0,
                "http_host": "127.0.0.1",
                "log_level": "warning",
                "shutdown_timeout_s": 10,
                **changes,
            }
        )

    @asynccontextmanager
    async def ingest(self, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        """Ingest in this process, for the length of the block, and a client of it."""
        settings = self.settings(**changes)
        stop = Stop()

        async def serve(*, task_status: TaskStatus[str]) -> None:
            await server.serve(
                settings, connection=self.connection, stop=stop, task_status=task_status
            )

        async with anyio.create_task_group() as tasks:
            url: str = await tasks.start(serve)
            async with client_of(url) as http:
                yield http
            stop.request()

    @asynccontextmanager
    async def program(self, **variables: str) -> AsyncIterator[tuple[Program, str]]:
        """Ingest in a process of its own, and its URL; it is killed at the end of the block."""
        environment = programs.variables(
            self.connection, self.world.stack, JWT_SECRET=SECRET, **variables
        )
        async with programs.ingest(environment) as started:
            yield started

    @asynccontextmanager
    async def gateway(
        self, retries: RetryPolicy | None = None, read_timeout_s: float = 10.0
    ) -> AsyncIterator[AwsGateway]:
        """The gateway alone."""
        options = ClientOptions(max_connections=50, read_timeout_s=read_timeout_s)
        async with (
            open_client("dynamodb", self.connection, options) as dynamodb,
            open_client("sqs", self.connection, options) as sqs,
        ):
            gateway = AwsGateway(
                Table(dynamodb, self.world.stack.table_name, Random(0)),
                Queue(sqs, self.world.stack.queue_url),
                None,
                linger_s=0.003,
                clock_ms=epoch_ms,
                random=Random(0),
                retries=retries,
            )
            async with gateway.running():
                yield gateway

    async def messages(self) -> Sequence[ParticipationMessage]:
        """Take all messages off the main queue."""
        found: list[ParticipationMessage] = []
        while deliveries := await self.world.queue.receive(10, 0, 60):
            for delivery in deliveries:
                message = decode(delivery.body)
                assert isinstance(message, ParticipationMessage), message
                found.append(message)
            await self.world.queue.delete([delivery.receipt_handle for delivery in deliveries])
        return found


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running ingest."""
    limits = httpx.Limits(max_connections=256, max_keepalive_connections=256)
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, limits=limits) as http:
        yield http


async def click(http: httpx.AsyncClient, user: str) -> httpx.Response:
    """One user's click on the event."""
    return await http.post(CLICK, headers=bearer(user))
