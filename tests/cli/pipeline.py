"""A whole pipeline for commands: ingest, worker and Firehose's stand-in on a fresh stack."""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import orjson

from aws.client import Connection
from local.emulator.stack import StackOutputs
from local.firehose import stand_in as firehose
from tests import programs

SECRET: Final = "a secret of more than thirty-two bytes"
_ROOT: Final = Path(__file__).resolve().parents[2]
_COMMAND_WITHIN_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document that it wrote."""
        assert self.out, self.err
        return orjson.loads(self.out)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Where it is."""

    environment: Mapping[str, str]
    url: str
    """Ingest's."""

    async def command(self, *arguments: str, code: int = 0) -> Ran:
        """Run a command to its end, as an operator does; it must end with the code."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with anyio.fail_after(_COMMAND_WITHIN_S):
            done = await anyio.run_process(
                [sys.executable, "-m", "cli.main", *arguments],
                input=b"",
                check=False,
                cwd=_ROOT,
                env={**inherited, **self.environment},
            )
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def environment(connection: Connection, stack: StackOutputs, folder: Path) -> dict[str, str]:
    """The variables that lead each program and command to the stack; files go to the folder."""
    return programs.variables(
        connection,
        stack,
        LAKE_BUCKET=stack.bucket_name,
        XDG_CACHE_HOME=str(folder),
        JWT_SECRET=SECRET,
        RECEIVE_WAIT_S="1",
        EVENT_CACHE_TTL_S="0.1",
    )


@asynccontextmanager
async def running(
    connection: Connection,
    stack: StackOutputs,
    folder: Path,
    *,
    with_worker: bool = True,
    with_firehose: bool = True,
) -> AsyncIterator[Pipeline]:
    """Run it until the block ends."""
    variables = environment(connection, stack, folder)
    async with AsyncExitStack() as running:
        if with_firehose:
            await running.enter_async_context(
                firehose.standing_in(connection, stack.event_bus_name, buffer_interval_s=0.2)
            )
        if with_worker:
            program = programs.participation("worker", environment=variables)
            await (await running.enter_async_context(program)).logged("worker_started")
        _, url = await running.enter_async_context(programs.ingest(variables))
        yield Pipeline(variables, url)
