"""Turns single operations into batch calls: each submitter gets the result of its own item."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")
R = TypeVar("R")

_CLOCK_STEP_S: Final = 0.001
"""uvloop's clock and timers count whole milliseconds: a timer may fire a rounding error early, and
one that is set again for the remainder would fire repeatedly until the clock has moved."""


class ItemTooLargeError(ValueError):
    """A single item is larger than a whole batch may be; it was not sent."""


class OverloadedError(RuntimeError):
    """The batcher already holds as many items as it may; this one was not taken."""


class ClosedError(RuntimeError):
    """The batcher was closed, or ended by an error, before this item was sent."""


class LateError(RuntimeError):
    """There was no result in time. Whether the item takes effect is unknown if it was sent."""


class Trigger(StrEnum):
    """What made a batch leave."""

    COUNT = "count"
    BYTES = "bytes"
    LINGER = "linger"
    IDLE = "idle"
    CLOSE = "close"


class FlushObserver(Protocol):
    """Learns of every batch that leaves."""

    def flushed(self, stage: str, items: int, trigger: Trigger) -> None:
        """Take note of one batch."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """When a batch leaves, and how many batches may be under way concurrently."""

    max_items: int
    max_bytes: int | None = None
    linger_s: float = 0.0
    concurrency: int = 1
    eager: bool = False
    """Send immediately while no batch is under way, so that items linger only behind a call."""
    max_pending: int | None = None
    """How many items may wait or be under way; beyond that `submit` raises OverloadedError."""
    patience_s: float | None = None
    """How long a submitter waits; then it gets LateError, and what was not sent never will be."""


_PENDING: Final = object()
"""In place of a result that has not come."""


class _Group(Generic[T]):
    """The items that one caller submitted together, how many are sent, and their results."""

    __slots__ = ("done", "items", "left", "results", "sent", "since", "sizes")

    def __init__(
        self,
        items: Sequence[T],
        sizes: Sequence[int] | None,
        since: float,
        done: asyncio.Future[None],
    ) -> None:
        self.items = items
        self.sizes = sizes
        self.since = since
        self.sent = 0
        self.results: list[object] = [_PENDING] * len(items)
        self.left = len(items)
        self.done = done

    def give_up(self, text: str) -> None:
        if not self.done.done():
            late = LateError(text)
            self.results = [late if result is _PENDING else result for result in self.results]
            self.done.set_result(None)

    def settle(self, start: int, results: Sequence[object]) -> None:
        stop = start + len(results)
        self.left -= len(results)
        if self.done.done():
            return  # nobody waits any more
        self.results[start:stop] = results
        if not self.left:
            self.done.set_result(None)


_Slice: TypeAlias = tuple[_Group[T], int, int]
"""A group, and which of its items: from the first index up to, but excluding, the second."""


class Batcher(Generic[T, R]):
    """Collects items and sends them in batches, in the order of their submission.

    `send` takes up to `max_items` items of at most `max_bytes` in total and returns one result
    for each, in order; a result that is an exception fails its own item alone. An error that
    `send` raises fails every item of that batch, and of no other. Leaving the `async with` block
    sends what still waits; leaving it by an error fails what waits with ClosedError.
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
        self._waiting: deque[_Group[T]] = deque()
        self._waiting_items = 0
        self._waiting_bytes = 0
        self._batches: dict[int, list[_Slice[T]]] = {}
        self._items_under_way = 0
        self._closing = False
        self._free: deque[asyncio.Future[None]] = deque()
        self._senders = 0
        self._is_waking = False
        """Whether a sender was woken that has not looked yet: it will wake the next, if need be."""
        self._alarm: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        self._closing = True
        if error_type is None:
            self._look()
            while self._free:
                self._wake_one()
        try:
            return await self._tasks.__aexit__(error_type, error, trace)
        finally:
            for timer in (self._alarm, self._patience):
                if timer is not None:
                    timer.cancel()
            self._fail_what_is_left()

    async def submit(self, item: T) -> R:
        """Have one item sent and return its result; raises what sending it raised."""
        (result,) = await self.submit_many((item,))
        if isinstance(result, Exception):
            raise result
        return result

    async def submit_many(self, items: Sequence[T]) -> Sequence[R | Exception]:
        """Have items sent, in as few batches as possible, and return their results in order.

        The result of an item that took too long is LateError. Raises OverloadedError or ClosedError
        where none of them was taken.
        """
        if not items:
            return ()
        if self._closing:
            raise ClosedError(f"batcher {self._stage} is closed")
        limit = self._limits.max_pending
        if limit is not None and self.pending + len(items) > limit:
            raise OverloadedError(f"batcher {self._stage} holds {limit} items already")
        sizes = None if self._size_of is None else list(map(self._size_of, items))
        max_bytes = self._limits.max_bytes
        if sizes is not None and max_bytes is not None and max(sizes) > max_bytes:
            return await self._submit_those_that_fit(items, sizes, max_bytes)
        group = _Group(items, sizes, self._loop.time(), self._loop.create_future())
        self._waiting.append(group)
        self._waiting_items += len(items)
        self._waiting_bytes += sum(sizes or ())
        self._look()
        if self._patience is None and self._limits.patience_s is not None:
            self._patience = self._loop.call_at(
                group.since + self._limits.patience_s, self._give_up_late_ones
            )
        await group.done
        return group.results  # type: ignore[return-value]  # settled by _deliver with R's

    @property
    def pending(self) -> int:
        """How many items wait or are under way."""
        return self._waiting_items + self._items_under_way

    async def _submit_those_that_fit(
        self, items: Sequence[T], sizes: Sequence[int], max_bytes: int
    ) -> Sequence[R | Exception]:
        fitting = [item for item, size in zip(items, sizes, strict=True) if size <= max_bytes]
        results = iter(await self.submit_many(fitting))
        return [
            next(results)
            if size <= max_bytes
            else ItemTooLargeError(f"{size} bytes exceed the {max_bytes} of a batch")
            for size in sizes
        ]

    def _due(self) -> Trigger | None:
        """Why a batch should leave now; None where it should not, or nothing waits."""
        limits = self._limits
        if not self._waiting:
            return None
        if self._waiting_items >= limits.max_items:
            return Trigger.COUNT
        if limits.max_bytes is not None and self._waiting_bytes >= limits.max_bytes:
            return Trigger.BYTES
        if self._closing:
            return Trigger.CLOSE
        if limits.eager and not self._batches:
            return Trigger.IDLE
        if self._loop.time() >= self._waiting[0].since + limits.linger_s - _CLOCK_STEP_S / 2:
            return Trigger.LINGER
        return None

    def _look(self) -> None:
        """Wake a sender if a batch is due, else look again once the oldest item has lingered."""
        if self._due() is not None:
            if not self._is_waking:
                self._wake_one()
        elif self._waiting and self._alarm is None:
            at = self._waiting[0].since + self._limits.linger_s
            self._alarm = self._loop.call_at(at, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        self._look()

    def _give_up_late_ones(self) -> None:
        """Fail what has waited too long; look again when the next item will have.

        One timer for all: one for each item would cost more than the rest of its submission.
        """
        self._patience = None
        patience_s = self._limits.patience_s or 0.0
        late_since = self._loop.time() - patience_s + _CLOCK_STEP_S / 2
        text = f"batcher {self._stage}: no result within {patience_s:g} s"
        while self._waiting and self._waiting[0].since <= late_since:
            group = self._waiting.popleft()
            self._waiting_items -= len(group.items) - group.sent
            self._waiting_bytes -= sum(group.sizes[group.sent :]) if group.sizes else 0
            group.give_up(text)
        next_since = self._waiting[0].since if self._waiting else None
        for batch in self._batches.values():
            for group, _, _ in batch:
                if group.since <= late_since:
                    group.give_up(text)
                elif next_since is None or group.since < next_since:
                    next_since = group.since
        if next_since is not None:
            self._patience = self._loop.call_at(next_since + patience_s, self._give_up_late_ones)

    def _wake_one(self) -> None:
        """Wake a sender that waits, or start one where there may be more.

        Senders stay: starting a task for each batch would cost three times as much.
        """
        if self._free:
            free = self._free.popleft()
            if not free.done():
                self._is_waking = True
                free.set_result(None)
        elif self._senders < self._limits.concurrency:
            self._is_waking = True
            self._tasks.start_soon(self._send_on, name=f"batcher {self._stage} {self._senders}")
            self._senders += 1

    async def _send_on(self) -> None:
        """One of the senders: send while anything is due, then wait to be woken."""
        while True:
            self._is_waking = False
            trigger = self._due()
            if trigger is None:
                if self._closing:
                    return
                free = self._loop.create_future()
                self._free.append(free)
                self._look()
                await free
                continue
            batch, count = self._take()
            self._batches[id(batch)] = batch
            self._items_under_way += count
            self._look()
            if self._observer is not None:
                self._observer.flushed(self._stage, count, trigger)
            await self._deliver(batch, count)

    def _take(self) -> tuple[list[_Slice[T]], int]:
        """The next batch, and how many items it holds."""
        batch: list[_Slice[T]] = []
        room, room_bytes = self._limits.max_items, self._limits.max_bytes
        while room and self._waiting:
            group = self._waiting[0]
            start = group.sent
            stop = min(len(group.items), start + room)
            if group.sizes is not None:
                stop, size = _fitting(group.sizes, start, stop, room_bytes)
                self._waiting_bytes -= size
                room_bytes = None if room_bytes is None else room_bytes - size
            if stop == start:
                break
            batch.append((group, start, stop))
            room -= stop - start
            group.sent = stop
            if stop < len(group.items):
                break
            self._waiting.popleft()
        count = self._limits.max_items - room
        self._waiting_items -= count
        return batch, count

    async def _deliver(self, batch: list[_Slice[T]], count: int) -> None:
        results: Sequence[R | Exception]
        try:
            results = await self._send(
                [item for group, start, stop in batch for item in group.items[start:stop]]
            )
            if len(results) != count:
                raise RuntimeError(f"{len(results)} results for {count} items")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - it is handed to the submitters
            results = [error] * count
        del self._batches[id(batch)]
        self._items_under_way -= count
        done = 0
        for group, start, stop in batch:
            group.settle(start, results[done : done + stop - start])
            done += stop - start

    def _fail_what_is_left(self) -> None:
        left = [(group, group.sent, len(group.items)) for group in self._waiting]
        left += [part for batch in self._batches.values() for part in batch]
        self._waiting.clear()
        self._batches.clear()
        for group, start, stop in left:
            group.settle(start, [ClosedError(f"batcher {self._stage} ended")] * (stop - start))


def _fitting(
    sizes: Sequence[int], start: int, stop: int, room_bytes: int | None
) -> tuple[int, int]:
    """Up to which index the items from `start` on fit into the room, and their total size."""
    size = sum(sizes[start:stop])
    while room_bytes is not None and size > room_bytes:
        stop -= 1
        size -= sizes[stop]
    return stop, size
