"""Runs a coroutine on uvloop, as every command does."""

import os
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple, Unpack

import anyio

from config.near_misses import near_misses
from config.settings import AwsSettings
from runtime.errors import unwrapped
from runtime.stop import Stop

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from aws.client import Connection

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run_async(function: Callable[[Unpack[Ts]], Awaitable[T]], *arguments: *Ts) -> T:
    """Run to the end and return the result."""
    return anyio.run(function, *arguments, backend_options={"use_uvloop": True})


def run_shielded(function: Callable[[Unpack[Ts]], Awaitable[T]], *arguments: *Ts) -> T:
    """As `run_async`; Ctrl-C does not cut off what the function shields from cancellation.

    The runner cancels its own task, which no shield keeps off; the function runs in another one.
    """

    results: list[T] = []

    async def keep() -> None:
        results.append(await function(*arguments))

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep)

    with unwrapped():
        run_async(run)
    return results[0]


def log_as_program(settings: AwsSettings) -> None:
    """Log as a long-running program does, and warn of variables that nothing reads."""
    import structlog

    from config import logs

    logs.write_in_background()
    logs.configure(settings.log_level, settings.log_format)
    for name, meant in near_misses(os.environ).items():
        structlog.get_logger("settings").warning("unknown_variable", name=name, meant=meant)


def run_stoppable(function: "Callable[[Stop], Awaitable[T]]") -> T:
    """Run to the end; Ctrl-C and SIGTERM request a stop, and a second signal cancels.

    Raises the function's own error, and KeyboardInterrupt where it was cancelled.
    """
    results: list[T] = []

    async def run() -> None:
        stop = Stop()
        async with anyio.create_task_group() as tasks:
            await tasks.start(_stop_on_signals, stop, tasks.cancel_scope)
            results.append(await function(stop))
            tasks.cancel_scope.cancel()

    with unwrapped():
        run_async(run)
    if not results:
        raise KeyboardInterrupt
    return results[0]


async def _stop_on_signals(
    stop: Stop, scope: anyio.CancelScope, *, task_status: "TaskStatus[None]"
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        await anext(signals)
        stop.request()
        await anext(signals)
    scope.cancel()


def log_to_stderr(settings: AwsSettings) -> None:
    """Keep log lines out of what a command writes for others to read."""
    from config import logs

    logs.configure("info", settings.log_format)


def audited(settings: AwsSettings, event: str, **fields: object) -> None:
    """Log what an operator changed; CloudTrail has who called AWS, this who typed it."""
    import structlog

    log_to_stderr(settings)
    by = os.environ.get("USER") or f"uid {os.getuid()}"
    structlog.get_logger("audit").info(event, by=by, **fields)


def connection_of(settings: AwsSettings) -> "Connection":
    """Where AWS is, from the settings; credentials come from the SDK's own chain."""
    from aws.client import Connection

    return Connection(settings.aws_region, settings.aws_endpoint_url, client=settings.aws_client)
