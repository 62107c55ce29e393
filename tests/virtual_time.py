"""Tests of coroutines on an event loop whose clock jumps: waiting costs no time and is exact.

Whenever every task waits, the clock moves straight to the next timer. Where there is none, nothing
could ever go on: that fails the test instead of hanging it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

from simulation.loop import DeadlockError, VirtualLoop, run

__all__ = ["DeadlockError", "block", "run", "virtual_time"]

P = ParamSpec("P")


def block(seconds: float) -> None:
    """Let time pass as a step that keeps the loop busy does: nothing else runs meanwhile."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.busy(seconds)


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test of a coroutine run on virtual time."""

    @wraps(test)
    def on_virtual_time(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            await test(*args, **kwargs)

        run(main)

    return on_virtual_time
