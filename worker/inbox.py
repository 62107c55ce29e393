"""Where received deliveries wait for a processor: lists go in, batches come out."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from aws.queue import Delivery
from runtime.batcher import Trigger


class Inbox:
    """Fills batches for one processor at a time, so that they are as full as the load allows.

    What the credits allow to be received is all that it can hold. Its taker sleeps until a batch
    is due; a memory stream would wake it for each list.
    """

    def __init__(self) -> None:
        self._lists: deque[Sequence[Delivery]] = deque()
        self._count = 0
        self._wanted = 0
        self._reached: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        self._closed = asyncio.Event()

    @property
    def depth(self) -> int:
        """How many lists wait, begun ones included."""
        return len(self._lists)

    def put(self, deliveries: Sequence[Delivery]) -> None:
        """Take in what one receive brought."""
        self._lists.append(deliveries)
        self._count += len(deliveries)
        if self._count >= self._wanted:
            self._wake()

    def close(self) -> None:
        """Announce that no more will come, and wake whoever waits for it."""
        self._closed.set()
        self._wake()

    async def wait_closed(self) -> None:
        """Return once no more will come."""
        await self._closed.wait()

    async def take(
        self, most: int, linger_s: float, is_idle: Callable[[], bool]
    ) -> tuple[list[Delivery], Trigger]:
        """The next batch, and what made it leave; empty once closed and empty.

        It leaves with `most` deliveries, when the taker has waited `linger_s` for more than it
        found, or immediately while nothing is under way: a lone message waits for nobody.
        """
        async with self._turn:
            await self._until(1)
            if self._count < most and not is_idle():
                await self._until(most, linger_s)
            batch = self.take_nowait(most)
        if len(batch) == most:
            return batch, Trigger.COUNT
        return batch, Trigger.CLOSE if self._closed.is_set() else Trigger.LINGER

    def take_nowait(self, most: int | None = None) -> list[Delivery]:
        """What waits, in the order in which it came; up to `most`."""
        batch: list[Delivery] = []
        while self._lists and (most is None or len(batch) < most):
            deliveries = self._lists.popleft()
            room = len(deliveries) if most is None else most - len(batch)
            batch += deliveries[:room]
            if len(deliveries) > room:
                self._lists.appendleft(deliveries[room:])
        self._count -= len(batch)
        return batch

    async def _until(self, count: int, limit_s: float | None = None) -> None:
        """Wait until `count` deliveries are there, no more will come, or the time is up."""
        if self._count >= count or self._closed.is_set():
            return
        loop = asyncio.get_running_loop()
        self._wanted, self._reached = count, loop.create_future()
        alarm = None if limit_s is None else loop.call_later(limit_s, self._wake)
        try:
            await self._reached
        finally:
            self._reached = None
            if alarm is not None:
                alarm.cancel()

    def _wake(self) -> None:
        if self._reached is not None and not self._reached.done():
            self._reached.set_result(None)
