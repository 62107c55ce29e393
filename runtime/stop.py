"""How a program ends: the request to stop, and the exit codes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

import anyio


class ExitCode(IntEnum):
    """How a program ended."""

    DRAINED = 0
    DEADLINE = 1
    """Draining took longer than SHUTDOWN_TIMEOUT_S."""
    CANNOT_RUN = 2
    """Wrong settings, a missing resource, no permission, a taken port."""
    CRASHED = 70
    """An error that nobody foresaw (sysexits.h: EX_SOFTWARE)."""
    INTERRUPTED = 130
    """A second signal ended it immediately."""


class Stop:
    """The request to stop: ends waiting for more work, and no work that has begun."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        # A dictionary for its order: waits end in the order in which they began.
        self._waits: dict[anyio.CancelScope, None] = {}
        self._followers: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Whether the stop was requested."""
        return self._event.is_set()

    def request(self) -> None:
        """Stop starting new work; a second call changes nothing."""
        if self.requested:
            return
        self._event.set()
        for scope in self._waits:
            scope.cancel()
        for follower in self._followers:
            follower()

    def calls(self, follower: Callable[[], None]) -> None:
        """Have a function called when the stop is requested; immediately if it has been."""
        if self.requested:
            follower()
        else:
            self._followers.append(follower)

    async def wait(self) -> None:
        """Return once the stop is requested."""
        await self._event.wait()

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Make a block of pure waiting end as soon as the stop is requested."""
        scope = anyio.CancelScope()
        if self.requested:
            scope.cancel()
        self._waits[scope] = None
        try:
            with scope:
                yield
        finally:
            del self._waits[scope]
