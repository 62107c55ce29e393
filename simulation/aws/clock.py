"""The time that the model lives in: the machine's, or a simulation's."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """Something that will happen, unless it is cancelled before."""

    def cancel(self) -> None:
        """Keep it from happening."""
        ...


class Clock(Protocol):
    """What time it is, and what is to happen later."""

    def time(self) -> float:
        """Seconds that only ever grow."""
        ...

    def epoch_ms(self) -> int:
        """Milliseconds since 1970, as AWS's own clocks have them."""
        ...

    def call_later(self, delay_s: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        """Have a function called after a while."""
        ...


class MachineClock:
    """The machine's own time, on a running event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call_later = loop.call_later

    def time(self) -> float:
        """The monotonic clock, which is finer than the loop's."""
        return time.monotonic()

    def epoch_ms(self) -> int:
        """The machine's clock."""
        return time.time_ns() // 1_000_000
