"""The one bound on deliveries that are received and not yet settled."""

import asyncio


class Credits:
    """Counts free places; taken before a receive, given back when a delete is confirmed."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = limit
        self._closed = False
        # Cheaper than anyio's, which look up the running loop and task at each step.
        self._returned = asyncio.Event()
        # Fair: a poller that comes back immediately queues behind those that already wait.
        self._turn = asyncio.Lock()

    @property
    def used(self) -> int:
        """How many places are taken."""
        return self.limit - self._free

    async def take(self, most: int) -> int:
        """Take what is free, up to `most`; waits only while none is. Once closed, takes 0."""
        if self._free and not self._turn.locked():
            return self._take(most)
        async with self._turn:
            while not self._free and not self._closed:
                self._returned.clear()
                await self._returned.wait()
            return self._take(most)

    def _take(self, most: int) -> int:
        taken = 0 if self._closed else min(most, self._free)
        self._free -= taken
        return taken

    def close(self) -> None:
        """Let nothing more be taken, and end all waiting for it."""
        self._closed = True
        self._returned.set()

    def give_back(self, count: int) -> None:
        """Return places; raises ValueError for more than were taken."""
        if count > self.used:
            raise ValueError(f"{count} credits given back, only {self.used} were taken")
        self._free += count
        if count:
            self._returned.set()
