"""The record of what passed the proxy, the waiting for it, and the gates that hold calls."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import anyio

from local.faults.actions import Document
from local.faults.calls import Call, Stage, operation_name

Where = Callable[[Document], bool]


class _Waiter:
    def __init__(self, operation: str, stage: Stage, count: int, where: Where | None) -> None:
        self._operation = operation
        self._stage = stage
        self._missing = count
        self._where = where
        self.found: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

    def see(self, call: Call, stage: Stage) -> None:
        if self.found.done() or stage != self._stage or call.operation != self._operation:
            return
        if self._where is None or self._where(call.request):
            self._missing -= 1
            if self._missing == 0:
                self.found.set_result(call)


class Recorder:
    """Keeps the calls in order of arrival (unless it is only to count), and wakes who waits."""

    def __init__(self, *, keeps_calls: bool) -> None:
        self._keeps_calls = keeps_calls
        self._calls: list[Call] = []
        self._waiters: list[_Waiter] = []
        self.counts: Counter[tuple[str, Stage]] = Counter()

    @property
    def calls(self) -> list[Call]:
        """The calls so far; raises LookupError where they are only counted."""
        if not self._keeps_calls:
            raise LookupError("this proxy counts its calls and does not keep them")
        return self._calls

    def note(self, call: Call, stage: Stage) -> None:
        """Take note that a call has got to a stage."""
        self.counts[call.operation, stage] += 1
        if stage == "arrived" and self._keeps_calls:
            self._calls.append(call)
        for waiter in self._waiters:
            waiter.see(call, stage)

    def forget(self) -> None:
        """Start counting from zero; calls under way stay out of the record."""
        self._calls.clear()
        self.counts.clear()

    async def reached(
        self, operation: str, stage: Stage, count: int, where: Where | None, timeout_s: float
    ) -> Call:
        """Wait for the `count`-th call to get to a stage; raises TimeoutError."""
        waiter = _Waiter(operation_name(operation), stage, count, where)
        for call in self._calls:
            if call.has(stage):
                waiter.see(call, stage)
        self._waiters.append(waiter)
        try:
            with _named_timeout(timeout_s, f"{count} {operation} {stage}"):
                return await waiter.found
        finally:
            self._waiters.remove(waiter)


class Gate:
    """Holds the calls of an operation until released; leaving the context releases all.

    Held at `arrived` a call has not taken effect; at `forwarded` it has, but is not answered.
    """

    def __init__(self, operation: str, stage: Stage, where: Where | None) -> None:
        self._operation = operation_name(operation)
        self._stage = stage
        self._where = where
        self.is_open = False
        """Whether it holds no more."""
        self._arrivals = asyncio.Condition()
        self._seen: list[Call] = []
        self._held: dict[Call, asyncio.Future[bool]] = {}

    @property
    def held(self) -> list[Call]:
        """The calls that stand at the gate, in order of arrival."""
        return list(self._held)

    async def reached(self, count: int = 1, *, timeout_s: float = 30.0) -> Call:
        """Wait until `count` calls have come to the gate; returns that one; raises TimeoutError."""
        with _named_timeout(timeout_s, f"{count} {self._operation} at the gate"):
            async with self._arrivals:
                await self._arrivals.wait_for(lambda: len(self._seen) >= count)
        return self._seen[count - 1]

    def release(self, call: Call | None = None) -> None:
        """Let one held call go on; without one, let all go on and hold no more."""
        if call is not None:
            self._held[call].set_result(True)
            return
        self.is_open = True
        self._let_all(go_on=True)

    def discard(self) -> None:
        """Reset the held calls (at `arrived`: without any effect), and hold no more."""
        self.is_open = True
        self._let_all(go_on=False)

    async def passes(self, call: Call, stage: Stage) -> bool:
        """Hold a call if it is one of the gate's; False for a call to discard."""
        if self.is_open or stage != self._stage or call.operation != self._operation:
            return True
        if self._where is not None and not self._where(call.request):
            return True
        verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._held[call] = verdict
        try:
            async with self._arrivals:
                self._seen.append(call)
                self._arrivals.notify_all()
            return await verdict
        finally:
            del self._held[call]

    def _let_all(self, *, go_on: bool) -> None:
        for verdict in self._held.values():
            if not verdict.done():
                verdict.set_result(go_on)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


@contextmanager
def _named_timeout(timeout_s: float, what: str) -> Iterator[None]:
    try:
        with anyio.fail_after(timeout_s):
            yield
    except TimeoutError:
        raise TimeoutError(f"after {timeout_s} s the proxy has not seen {what}") from None
