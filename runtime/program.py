"""A long-running program as a process: signals ask it to stop, an exit code says how it ended."""

import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import structlog

from config import logs
from runtime.errors import leaves
from runtime.stop import ExitCode, Stop

_COLLECT_AFTER_OBJECTS: Final = 50_000


class StartError(Exception):
    """The program cannot start; the text names each thing that an operator must fix."""


def epoch_ms() -> int:
    """The machine's clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


async def run(
    name: str, main: Callable[[Stop], Awaitable[ExitCode]], *operator_errors: type[Exception]
) -> ExitCode:
    """Run a program to its end; `name` is the logger's.

    The first SIGTERM or SIGINT requests the stop, a second ends the process immediately. A
    StartError, and `operator_errors`, mean that only an operator can help; any other is a crash.
    """
    _tune_collector()
    log = structlog.get_logger(name)
    try:
        async with anyio.create_task_group() as tasks:
            stop = Stop()
            tasks.start_soon(_stop_on_signal, stop, name)
            code = await main(stop)
            tasks.cancel_scope.cancel()
    except Exception as raised:
        errors = leaves(raised)
        if not all(isinstance(error, (StartError, *operator_errors)) for error in errors):
            log.exception("crashed")
            return ExitCode.CRASHED
        for error in errors:
            log.error("cannot_run", error=str(error))  # noqa: TRY400 - the sentence says it all
        return ExitCode.CANNOT_RUN
    return code


async def _stop_on_signal(stop: Stop, name: str) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        await anext(signals)
        stop.request()
        second = await anext(signals)
    structlog.get_logger(name).warning("interrupted", signal=signal.Signals(second).name)
    logs.flush()
    os._exit(ExitCode.INTERRUPTED)


def _tune_collector() -> None:
    """Look for cyclic garbage less often: we make very little, and many objects that live on.

    With Python's own thresholds the collector takes a sixth of the time under load, mostly over
    the documents of AWS's answers.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS, 20, 50)
