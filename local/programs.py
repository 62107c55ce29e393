"""The worker and ingest as programs of their own, the way they run in production."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any, Final

import anyio
import orjson
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from local.errors import LocalError

_START_WITHIN_S: Final = 30.0
_STOP_WITHIN_S: Final = 40.0
_TAIL_LINES: Final = 5
_RESTART_AFTER_S: Final = 1.0

LineListener = Callable[[str, Mapping[str, Any]], None]
"""Receives each log line: the program's name, and the line's fields."""


@dataclass(slots=True)
class Program:
    """A running program: where it listens, and how it ended."""

    name: str
    process: Process
    log_path: Path
    url: str = ""
    started: anyio.Event = field(default_factory=anyio.Event)
    tail: list[str] = field(default_factory=list)
    stopping: anyio.Event = field(default_factory=anyio.Event)

    @property
    def is_running(self) -> bool:
        """Whether its process has not ended."""
        return self.process.returncode is None

    def kill(self) -> None:
        """End it by SIGKILL, as a host that is lost would; harmless after the end."""
        if self.is_running:
            self.process.kill()

    async def stop(self) -> int:
        """Ask it to drain and wait until it has; returns its exit code."""
        self.stopping.set()
        if self.process.returncode is None:
            self.process.terminate()
        with anyio.move_on_after(_STOP_WITHIN_S):
            return await self.process.wait()
        self.process.kill()
        return await self.process.wait()


@asynccontextmanager
async def running(
    name: str,
    environment: Mapping[str, str],
    log_path: Path,
    listener: LineListener = lambda _name, _line: None,
    *,
    is_restarted: bool = False,
) -> AsyncIterator[Program]:
    """Run `participation NAME` until the block ends, on a free port of 127.0.0.1.

    Its log goes to a file, and line by line to `listener`. Where `is_restarted`, a program that
    ends by itself or is killed is started again, as ECS would; its URL may then be another one.
    Raises LocalError where it does not start.
    """

    async def spawn() -> Process:
        return await anyio.open_process(
            [sys.executable, "-m", "local.tethered", name],
            stdin=PIPE,
            stdout=None,
            stderr=PIPE,
            env={**os.environ, **environment, "HTTP_HOST": "127.0.0.1", "LOG_FORMAT": "json"},
            # The terminal's Ctrl-C is ours to answer: the programs drain in a given order.
            start_new_session=True,
        )

    program = Program(name, await spawn(), log_path)
    async with AsyncExitStack() as cleanup:
        cleanup.push_async_callback(_end, program)
        tasks = await cleanup.enter_async_context(anyio.create_task_group())
        tasks.start_soon(_follow, program, listener, spawn if is_restarted else None)
        await _wait_until_started(program)
        try:
            yield program
        finally:
            with anyio.CancelScope(shield=True):
                await program.stop()


async def until_interrupted() -> None:
    """Wait for Ctrl-C or SIGTERM, and return: the blocks around then end in their order."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            return


async def _end(program: Program) -> None:
    with anyio.CancelScope(shield=True):
        if program.process.returncode is None:
            program.process.kill()
        await program.process.aclose()


async def _wait_until_started(program: Program) -> None:
    with anyio.move_on_after(_START_WITHIN_S):
        await program.started.wait()
    if not program.url:
        if program.process.returncode is None:
            program.process.kill()
        raise LocalError(
            f"the {program.name} did not start; its log ({program.log_path}) ends with: "
            + (" | ".join(program.tail) or "(nothing)")
        )


async def _follow(
    program: Program, listener: LineListener, spawn: Callable[[], Awaitable[Process]] | None
) -> None:
    """Read the log until the program has ended for good."""
    await _read_log(program, listener)
    while spawn is not None and program.url and not program.stopping.is_set():
        exit_code = await program.process.wait()
        listener(
            program.name,
            {"event": f"{program.name}_ended", "level": "warning", "exit_code": exit_code},
        )
        with anyio.move_on_after(_RESTART_AFTER_S):
            await program.stopping.wait()
            return
        await program.process.aclose()
        program.process = await spawn()
        if program.stopping.is_set():
            program.process.terminate()
        await _read_log(program, listener)


async def _read_log(program: Program, listener: LineListener) -> None:
    stream = program.process.stderr
    assert stream is not None  # noqa: S101 - it was asked for
    left = ""
    async with await anyio.open_file(program.log_path, "a") as log:
        async for text in TextReceiveStream(stream, errors="replace"):
            *lines, left = (left + text).split("\n")
            await log.writelines(f"{line}\n" for line in lines)
            await log.flush()
            for line in filter(None, lines):
                program.tail = [*program.tail[1 - _TAIL_LINES :], line]
                _notice(program, line, listener)
    program.started.set()


def _notice(program: Program, line: str, listener: LineListener) -> None:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        fields = {"event": line, "level": "error"}
    if not isinstance(fields, dict):
        return
    if fields.get("event") == f"{program.name}_started":
        program.url = str(fields.get("url") or f"http://127.0.0.1:{fields['port']}")
        program.started.set()
    listener(program.name, fields)
