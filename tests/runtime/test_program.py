"""A program as a process: what signals do to it, and which exit code says how it ended."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import anyio
import pytest
import structlog

from runtime import program
from runtime.program import StartError
from runtime.stop import ExitCode, Stop


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """The garbage collector is afterwards as it was before."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


async def failing(*errors: Exception) -> tuple[ExitCode, list[tuple[str, object]]]:
    """Run a program that fails this way: its exit code, and its log lines with their errors."""

    async def main(_stop: Stop) -> ExitCode:
        raise ExceptionGroup("", errors)

    with structlog.testing.capture_logs() as logged:
        code = await program.run("test", main, OSError)
    return code, [(line["event"], line.get("error")) for line in logged]


async def test_its_exit_code_is_what_main_returns() -> None:
    async def main(_stop: Stop) -> ExitCode:
        return ExitCode.DEADLINE

    assert await program.run("test", main) is ExitCode.DEADLINE


async def test_what_only_an_operator_can_fix_is_logged_line_by_line_and_ends_with_2() -> None:
    assert await failing(StartError("no table"), OSError("port in use")) == (
        ExitCode.CANNOT_RUN,
        [("cannot_run", "no table"), ("cannot_run", "port in use")],
    )


async def test_an_unforeseen_error_is_a_crash_even_beside_a_foreseen_one() -> None:
    code, lines = await failing(StartError("no table"), KeyError("unforeseen"))

    assert code is ExitCode.CRASHED
    assert [event for event, _ in lines] == ["crashed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_requests_the_stop(number: signal.Signals) -> None:
    async def main(stop: Stop) -> ExitCode:
        await anyio.wait_all_tasks_blocked()
        os.kill(os.getpid(), number)
        await stop.wait()
        return ExitCode.DRAINED

    with anyio.fail_after(5):
        assert await program.run("test", main) is ExitCode.DRAINED


def test_a_second_signal_ends_the_process_immediately_whatever_it_is_doing() -> None:
    code = """
import anyio, os, signal
from runtime import program

async def main(stop):
    await anyio.wait_all_tasks_blocked()
    with anyio.CancelScope(shield=True):
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep(60)

anyio.run(program.run, "test", main)
"""
    ended = subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )

    assert ended.returncode == ExitCode.INTERRUPTED
    assert "interrupted" in ended.stdout
