"""The project's programs, run as their users run them: by the command line, led by variables."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from aws.client import Connection
from local.emulator.stack import StackOutputs
from tests.faults.program import Program, started


def variables(connection: Connection, stack: StackOutputs, **more: str) -> dict[str, str]:
    """The environment that leads any command to a stack of the embedded AWS."""
    return {
        "AWS_REGION": connection.region,
        "AWS_ENDPOINT_URL": connection.endpoint_url or "",
        "AWS_CLIENT": connection.client,
        "AWS_ACCESS_KEY_ID": connection.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": connection.secret_access_key or "",
        "TABLE_NAME": stack.table_name,
        "QUEUE_URL": stack.queue_url,
        "DLQ_URL": stack.dlq_url,
        "LOST_EVENTS_QUEUE_URL": stack.lost_events_queue_url,
        "EVENT_BUS_NAME": stack.event_bus_name,
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": "0",
        **more,
    }


def participation(
    *arguments: str, environment: Mapping[str, str]
) -> AbstractAsyncContextManager[Program]:
    """Run `participation` in a process of its own; it is killed at the end of the block."""
    return started([sys.executable, "-m", "cli.main", *arguments], environment)


@asynccontextmanager
async def ingest(environment: Mapping[str, str]) -> AsyncIterator[tuple[Program, str]]:
    """Run ingest in a process of its own, and give its URL."""
    async with participation("ingest", environment=environment) as program:
        yield program, str((await program.logged("ingest_started"))["url"])
