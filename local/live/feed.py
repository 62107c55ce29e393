"""Hands the latest state to whoever watches: who reads slowly misses states, and delays nobody."""

from collections.abc import AsyncIterator

import anyio


class Feed:
    """The latest state, and the wish to learn of the next."""

    def __init__(self) -> None:
        self._latest = b""
        self._changed = anyio.Event()
        self._is_closed = False

    def publish(self, state: bytes) -> None:
        """Replace the state."""
        self._latest = state
        self._wake()

    def close(self) -> None:
        """End every reader."""
        self._is_closed = True
        self._wake()

    async def follow(self) -> AsyncIterator[bytes]:
        """The state that there is, and from then on the latest whenever the reader is ready."""
        seen = b""
        while not self._is_closed:
            changed = self._changed
            if self._latest is not seen:
                seen = self._latest
                yield seen
            else:
                await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
