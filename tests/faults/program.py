"""Runs a program as its users do, in a process of its own, to signal it and read what it logged.

gate = proxy.hold("TransactWriteItems", "forwarded")
async with programs.participation("worker", environment=environment) as worker:
    call = await kill_at(gate, worker)
"""

import os
import signal
import tempfile
from asyncio.subprocess import DEVNULL, STDOUT, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from time import monotonic
from typing import Final

import anyio
import orjson

from local.faults.actions import Document
from local.faults.calls import Call
from tests.faults.calls import Gate

_ROOT: Final = Path(__file__).resolve().parents[2]
# What a program needs of its surroundings; settings of whoever runs the tests must not reach it.
_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended; by a signal, if the exit code is negative."""

    exit_code: int
    output: str
    logs: list[Document]


class Program:
    """A running program whose output goes to a file."""

    def __init__(self, process: Process, output: Path) -> None:
        self._process = process
        self._output = output

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    @property
    def output(self) -> str:
        """All that it has written so far, to stdout and stderr."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    @property
    def logs(self) -> list[Document]:
        """Those lines of the output that are JSON objects."""
        return [line for text in self.output.splitlines() if (line := _json(text)) is not None]

    def send(self, number: Signals) -> None:
        """Send a signal; harmless after the end."""
        if self.is_running:
            self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait for the end, however long; returns the exit code."""
        return await self._process.wait()

    async def ended(self, *, timeout_s: float = 30.0) -> Ended:
        """Wait for the end; raises TimeoutError with the output, and leaves it running."""
        try:
            with anyio.fail_after(timeout_s):
                exit_code = await self.wait()
        except TimeoutError:
            raise TimeoutError(f"still running after {timeout_s} s:\n{self.output}") from None
        return Ended(exit_code, self.output, self.logs)

    async def logged(
        self,
        event: str,
        *,
        where: Callable[[Document], bool] = lambda _: True,
        timeout_s: float = 30.0,
    ) -> Document:
        """Wait for a JSON line with this `event`; raises AssertionError where none will come."""
        deadline_s = monotonic() + timeout_s
        while True:
            was_running = self.is_running
            for line in self.logs:
                if line.get("event") == event and where(line):
                    return line
            if not was_running or monotonic() > deadline_s:
                state = "still running" if was_running else "ended"
                raise AssertionError(f"{state}, has not logged {event!r}:\n{self.output}")
            await anyio.sleep(_POLL_S)


@asynccontextmanager
async def started(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[Program]:
    """Start a program in the project's root; it is killed, if need be, when the block ends.

    It gets `environment`, and of the tests' own environment the likes of PATH only.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="program-") as directory:
        output = Path(directory) / "output"
        with output.open("wb") as file:
            process = await create_subprocess_exec(
                *command,
                cwd=_ROOT,
                env={**inherited, "PYTHONUNBUFFERED": "1", **environment},
                stdin=DEVNULL,
                stdout=file,
                stderr=STDOUT,
            )
        program = Program(process, output)
        try:
            yield program
        finally:
            program.send(signal.SIGKILL)
            with anyio.CancelScope(shield=True):
                await program.wait()


async def ran(command: Sequence[str], environment: Mapping[str, str]) -> Ended:
    """Run a program to its end."""
    async with started(command, environment) as program:
        return await program.ended(timeout_s=60)


async def kill_at(gate: Gate, program: Program, *, timeout_s: float = 30.0) -> Call:
    """Wait until a call stands at the gate, and end the program there by SIGKILL.

    The calls at the gate are then discarded: at `arrived` they never take effect, at `forwarded`
    they have, and nobody knows. Returns the call; raises AssertionError where the program ends
    without coming to the gate.
    """
    call: Call | None = None
    too_late: TimeoutError | None = None
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            await program.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        try:
            call = await gate.reached(timeout_s=timeout_s)
        except TimeoutError as error:
            too_late = error
        tasks.cancel_scope.cancel()
    if call is None:
        raise AssertionError(f"did not come to the gate:\n{program.output}") from too_late
    program.send(signal.SIGKILL)
    await program.wait()
    gate.discard()
    return call


def _json(text: str) -> Document | None:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
