"""A whole pipeline for commands: ingest, worker and Firehose's stand-in on a fresh stack."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aws.client import Connection
from local.emulator.stack import StackOutputs
from local.firehose import stand_in as firehose
from tests import programs
from tests.faults.program import Ended

SECRET = "a secret of more than thirty-two bytes"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Where it is."""

    environment: Mapping[str, str]
    url: str
    """Ingest's."""

    async def command(self, *arguments: str, timeout_s: float = 60.0) -> Ended:
        """Run a command to its end, as an operator does; its outputs come together."""
        async with programs.participation(*arguments, environment=self.environment) as program:
            return await program.ended(timeout_s=timeout_s)


def environment(connection: Connection, stack: StackOutputs) -> dict[str, str]:
    """The variables that lead each program and command to the stack."""
    return programs.variables(
        connection,
        stack,
        LAKE_BUCKET=stack.bucket_name,
        JWT_SECRET=SECRET,
        RECEIVE_WAIT_S="1",
        EVENT_CACHE_TTL_S="0.1",
    )


@asynccontextmanager
async def running(
    connection: Connection, stack: StackOutputs, *, with_worker: bool = True
) -> AsyncIterator[Pipeline]:
    """Run it until the block ends."""
    variables = environment(connection, stack)
    async with (
        firehose.standing_in(connection, stack.event_bus_name, buffer_interval_s=0.2),
        programs.ingest(variables) as (_, url),
    ):
        if not with_worker:
            yield Pipeline(variables, url)
            return
        async with programs.participation("worker", environment=variables) as worker:
            await worker.logged("worker_started")
            yield Pipeline(variables, url)
