"""Runs a coroutine on an event loop whose clock jumps: waiting costs no time and is exact.

Whenever every task waits, the clock moves straight to the next timer. Where there is none, nothing
could ever go on: that fails the test instead of hanging it.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, TypeVarTuple, Unpack

import anyio

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_START_S: Final = 1_000.0
_LEAST_STEP_S: Final = 1e-9
"""More than a rounding error of the clock, so that each step makes headway."""


class DeadlockError(AssertionError):
    """Every task waits, and no timer will ever wake one."""


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = _START_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if timeout is None:
            raise DeadlockError("every task waits, and nothing will wake one")
        self.now += max(timeout, _LEAST_STEP_S)
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def busy(self, seconds: float) -> None:
        self._virtual.now += seconds


def run(function: Callable[[Unpack[Ts]], Awaitable[T]], *arguments: *Ts) -> T:
    """Run to the end on virtual time; raises DeadlockError where it can never end."""
    return anyio.run(
        function,
        *arguments,
        backend="asyncio",
        backend_options={"loop_factory": _VirtualLoop},
    )


def block(seconds: float) -> None:
    """Let time pass as a step that keeps the loop busy does: nothing else runs meanwhile."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _VirtualLoop)
    loop.busy(seconds)


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test of a coroutine run on virtual time."""

    @wraps(test)
    def on_virtual_time(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            await test(*args, **kwargs)

        run(main)

    return on_virtual_time
