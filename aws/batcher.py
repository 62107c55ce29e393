"""Turns single operations into batch calls: each submitter gets its own item's result."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")
R = TypeVar("R")


class ItemTooLargeError(ValueError):
    """An item alone is larger than a whole batch may be; it was not sent."""


class OverloadedError(RuntimeError):
    """More items wait than the batcher may hold; this one was not taken."""


class ClosedError(RuntimeError):
    """The batcher was closed, or ended by an error, before this item was sent."""


class Trigger(StrEnum):
    """What made a batch leave."""

    COUNT = "count"
    BYTES = "bytes"
    LINGER = "linger"
    IDLE = "idle"
    CLOSE = "close"


class FlushObserver(Protocol):
    """Is told of every batch that leaves."""

    def flushed(self, stage: str, items: int, trigger: Trigger) -> None:
        """Take note of one batch."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """When a batch leaves, and how many may be under way at once."""

    max_items: int
    max_bytes: int | None = None
    linger_s: float = 0.0
    concurrency: int = 1
    eager: bool = False
    """Send at once while no batch is under way: only what a call keeps waiting lingers."""
    max_pending: int | None = None
    """Items that may wait or be under way; beyond them `submit` raises OverloadedError."""


class _Group:
    """The results of the items that one caller submitted together."""

    __slots__ = ("done", "left", "results")

    def __init__(self, size: int) -> None:
        self.results: list[object] = [None] * size
        self.left = size
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, index: int, result: object) -> None:
        self.results[index] = result
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


@dataclass(slots=True)
class _Entry(Generic[T]):
    item: T
    size: int
    group: _Group
    index: int
    since: float


class Batcher(Generic[T, R]):
    """Collects items and sends them in batches, in the order of their submission.

    `send` takes up to `max_items` items of together at most `max_bytes` and returns one result
    an item, in order; a result that is an exception fails its own item alone. What `send`
    raises fails every item of that batch and of no other. Leaving the `async with` block sends
    what still waits; leaving it by an error fails what waits with ClosedError.
    """

    def __init__(
        self,
        send: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        limits: BatchLimits,
        *,
        stage: str = "",
        size_of: Callable[[T], int] | None = None,
        observer: FlushObserver | None = None,
    ) -> None:
        self._send = send
        self._limits = limits
        self._stage = stage
        self._size_of = size_of
        self._observer = observer
        self._pending: deque[_Entry[T]] = deque()
        self._pending_bytes = 0
        self._batches: dict[int, list[_Entry[T]]] = {}
        self._items_under_way = 0
        self._closing = False
        # Cheaper than anyio's, which find out at each step what loop and what task they are in.
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._now = asyncio.get_running_loop().time
        # Senders that stay cost a third of a task for each batch.
        for index in range(self._limits.concurrency):
            self._tasks.start_soon(self._send_on, name=f"batcher {self._stage} {index}")
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        self._closing = True
        self._changed.set()
        try:
            return await self._tasks.__aexit__(error_type, error, trace)
        finally:
            self._fail_what_is_left()

    async def submit(self, item: T) -> R:
        """Have one item sent and return its result; raises what its sending raised."""
        (result,) = await self.submit_many((item,))
        if isinstance(result, Exception):
            raise result
        return result

    async def submit_many(self, items: Sequence[T]) -> Sequence[R | Exception]:
        """Have items sent, in as few batches as they fit, and return their results in order.

        Raises OverloadedError or ClosedError where none of them was taken.
        """
        if not items:
            return ()
        if self._closing:
            raise ClosedError(f"batcher {self._stage} is closed")
        limit = self._limits.max_pending
        if limit is not None and self.load + len(items) > limit:
            raise OverloadedError(f"batcher {self._stage} holds {limit} items already")
        group = _Group(len(items))
        was_empty = not self._pending
        self._add(items, group)
        if self._pending and (was_empty or self._is_full() is not None):
            self._changed.set()
        await group.done
        return group.results  # type: ignore[return-value]  # settled by _deliver with R's

    @property
    def load(self) -> int:
        """How many items wait or are under way."""
        return len(self._pending) + self._items_under_way

    def _add(self, items: Sequence[T], group: _Group) -> None:
        now = self._now()
        max_bytes = self._limits.max_bytes
        for index, item in enumerate(items):
            size = self._size_of(item) if self._size_of is not None else 0
            if max_bytes is not None and size > max_bytes:
                group.settle(
                    index, ItemTooLargeError(f"{size} bytes are more than {max_bytes} a batch")
                )
                continue
            self._pending.append(_Entry(item, size, group, index, now))
            self._pending_bytes += size

    def _is_full(self) -> Trigger | None:
        if len(self._pending) >= self._limits.max_items:
            return Trigger.COUNT
        if self._limits.max_bytes is not None and self._pending_bytes >= self._limits.max_bytes:
            return Trigger.BYTES
        return None

    async def _send_on(self) -> None:
        """One of the senders: they wait for a due batch in turns, and send at the same time."""
        while True:
            async with self._turn:
                trigger = await self._due()
                if trigger is None:
                    return
                batch = self._take()
                self._batches[id(batch)] = batch
                self._items_under_way += len(batch)
            if self._observer is not None:
                self._observer.flushed(self._stage, len(batch), trigger)
            await self._deliver(batch)

    async def _due(self) -> Trigger | None:
        """Wait until a batch should leave; None when closed and empty."""
        while True:
            full = self._is_full()
            if full is not None:
                return full
            if self._closing:
                return Trigger.CLOSE if self._pending else None
            self._changed.clear()
            if not self._pending:
                await self._changed.wait()
                continue
            if self._limits.eager and not self._batches:
                return Trigger.IDLE
            deadline = self._pending[0].since + self._limits.linger_s
            if self._now() >= deadline:
                return Trigger.LINGER
            with anyio.CancelScope(deadline=deadline):
                await self._changed.wait()

    def _take(self) -> list[_Entry[T]]:
        batch: list[_Entry[T]] = []
        size = 0
        max_bytes = self._limits.max_bytes
        while self._pending and len(batch) < self._limits.max_items:
            if max_bytes is not None and batch and size + self._pending[0].size > max_bytes:
                break
            entry = self._pending.popleft()
            size += entry.size
            batch.append(entry)
        self._pending_bytes -= size
        return batch

    async def _deliver(self, batch: list[_Entry[T]]) -> None:
        results: Sequence[R | Exception]
        try:
            results = await self._send([entry.item for entry in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - it is handed to the submitters
            results = [error] * len(batch)
        del self._batches[id(batch)]
        self._items_under_way -= len(batch)
        if self._limits.eager and not self._batches:
            self._changed.set()
        for entry, result in zip(batch, results, strict=True):
            entry.group.settle(entry.index, result)

    def _fail_what_is_left(self) -> None:
        left = [*self._pending, *(entry for batch in self._batches.values() for entry in batch)]
        self._pending.clear()
        self._batches.clear()
        for entry in left:
            entry.group.settle(entry.index, ClosedError(f"batcher {self._stage} ended"))
