"""An event loop whose clock jumps to the next thing to do, and processors that share it.

Waiting costs no time and is exact. Callbacks run in the order in which asyncio itself would run
them, so that what happens depends on nothing but the program and its random numbers.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

import anyio
from anyio._backends import _asyncio as backend

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_S: Final = 1_000.0
_LEAST_STEP_S: Final = 1e-9
"""More than a rounding error of the clock, so that each step makes headway."""


_MOST_TURNS: Final = 1_000
"""So often the loop may turn at one instant. A cancelled scope of anyio tries again at each turn
until its last task has ended, and one that is shielded may wait for time to pass."""
_CREEP_S: Final = 0.001


class DeadlockError(AssertionError):
    """Every task waits, and no timer will ever wake one."""


class Processor:
    """One node's core: its callbacks run in turn, and later, or never, when it is busy or gone.

    What runs in a context in which `belongs_to` was called runs here, and so does all that it
    starts: asyncio hands a task's context on to each of its steps.
    """

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop
        self._held: deque[_Step] = deque()
        self._free_at = 0.0
        self._paused_until = 0.0
        self._is_paused = False
        self._is_dead = False
        self._alarm: asyncio.TimerHandle | None = None
        self.busy_s = 0.0
        """Processor time spent so far."""

    def context(self) -> Context:
        """A context whose callbacks run here."""
        context = copy_context()
        context.run(_processor.set, self)
        return context

    def spend(self, seconds: float) -> None:
        """Use processor time: what comes next runs that much later."""
        self._free_at = max(self._free_at, self._loop.time()) + seconds
        self.busy_s += seconds

    def pause(self, seconds: float) -> None:
        """Run nothing for a while, as a process that is stopped by its host."""
        self._is_paused = True
        self._paused_until = max(self._paused_until, self._loop.time() + seconds)
        self._loop.call_in_the_world(seconds, self._resume)

    def _resume(self) -> None:
        """Run on, and first what has come due meanwhile, unless a longer pause goes on."""
        if not self._is_dead and self._loop.time() >= self._paused_until - _LEAST_STEP_S:
            self._is_paused = False
            self._run_held()

    def kill(self) -> None:
        """Run nothing any more."""
        self._is_dead = self._is_paused = True

    def bury(self) -> None:
        """Let the tasks end that are left, by their cancellation, once nothing matters any more.

        What came due after a kill was kept for this: a task whose wake-up is lost never ends.
        """
        self._is_dead = self._is_paused = False
        self._free_at = 0.0
        self._loop.call_in_the_world(0.0, self._run_held)

    @property
    def is_available(self) -> bool:
        """Whether a callback could run now."""
        return not self._is_paused and self._free_at <= self._loop.time()

    def run(self, step: "_Step") -> None:
        """Run a callback that is due, or keep it for later."""
        if self._held or not self.is_available:
            self._held.append(step)
            self._set_alarm()
        else:
            # Step and handle name each other, and no collector runs during a simulation.
            step.handle = None
            step.callback(*step.arguments)

    def _run_held(self) -> None:
        self._alarm = None
        while self._held and self.is_available:
            self._held.popleft().resume(self._loop)
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._held and not self._is_paused and self._alarm is None:
            self._alarm = self._loop.call_at(self._free_at, self._run_held, context=_WORLD)


_processor: ContextVar[Processor | None] = ContextVar("processor", default=None)
_WORLD: Final = Context()
"""The context of what belongs to no node: the services, the network, the clock."""


class _Step:
    """A callback that belongs to a processor."""

    __slots__ = ("arguments", "callback", "context", "handle", "processor")

    def __init__(
        self,
        processor: Processor,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        context: Context,
    ) -> None:
        self.processor = processor
        self.callback = callback
        self.arguments = arguments
        self.context = context
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        self.processor.run(self)

    def resume(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run after having been kept, unless cancelled meanwhile."""
        handle, self.handle = self.handle, None
        if handle is None or handle.cancelled():
            return
        try:
            self.context.run(self.callback, *self.arguments)
        except Exception as error:  # noqa: BLE001 - as asyncio's own handles do
            loop.call_exception_handler({"message": "a callback failed", "exception": error})


class _Selector(selectors.SelectSelector):
    """Selects nothing: there is no input and no output, only time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START_S
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError("every task waits, and nothing will wake one")
        if timeout > 0:
            self.now += max(timeout, _LEAST_STEP_S)
            self._turns = 0
        else:
            self._turns += 1
            if self._turns > _MOST_TURNS:
                self.now += _CREEP_S
        return []


class _Task(asyncio.Task[T]):
    """A task whose place in a set depends on its number alone, and not on where it lies in memory.

    anyio keeps the tasks of a scope in a set, and cancels them in its order.
    """

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, T], **options: Any) -> None:
        self._number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


@contextmanager
def _numbered_scopes() -> Iterator[None]:
    """Give anyio's cancel scopes, too, a place in sets that depends on their number alone.

    A scope keeps its children in a set, and cancels them in its order.
    """
    numbers = count()

    class Scope(backend.CancelScope):
        __slots__ = ("_number",)

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self._number = next(numbers)

        def __hash__(self) -> int:
            return self._number

    original = backend.CancelScope
    backend.CancelScope = Scope  # type: ignore[assignment,misc]  # for the length of a run
    try:
        yield
    finally:
        backend.CancelScope = original  # type: ignore[misc]


class VirtualLoop(asyncio.SelectorEventLoop):
    """Asyncio's own loop on a clock that jumps; callbacks of nodes run on their processors."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        # What asyncio takes from the platform: timers this close together come due together.
        self._clock_resolution = _LEAST_STEP_S
        numbers = count()

        def make(
            loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], **options: Any
        ) -> asyncio.Task[T]:
            return _Task(next(numbers), coroutine, loop=loop, **options)

        self.set_task_factory(make)  # type: ignore[arg-type]  # its type differs by version

    def time(self) -> float:
        """Seconds, beginning at `START_S`."""
        return self._virtual.now

    def busy(self, seconds: float) -> None:
        """Let time pass as a step that keeps the whole loop busy does."""
        self._virtual.now += seconds

    def call_in_the_world(
        self, delay_s: float, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        """Have something happen that belongs to no node, whoever asks for it."""
        return self.call_at(self.time() + delay_s, callback, *args, context=_WORLD)

    def call_soon(  # type: ignore[override]  # typeshed's own signature differs by version
        self,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As asyncio; a node's callback runs on its processor."""
        processor = _processor.get() if context is None else context.get(_processor)
        if processor is None:
            return super().call_soon(callback, *args, context=context)
        step = _Step(processor, callback, args, context or copy_context())
        step.handle = super().call_soon(step, context=step.context)
        return step.handle

    def call_at(  # type: ignore[override]  # as above
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As asyncio; a node's callback runs on its processor."""
        processor = _processor.get() if context is None else context.get(_processor)
        if processor is None:
            return super().call_at(when, callback, *args, context=context)
        step = _Step(processor, callback, args, context or copy_context())
        handle = super().call_at(when, step, context=step.context)
        step.handle = handle
        return handle


def running() -> VirtualLoop:
    """The loop that runs now; raises TypeError where it is no virtual one."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise TypeError("this runs on virtual time only")
    return loop


def run(function: Callable[[Unpack[Ts]], Awaitable[T]], *arguments: *Ts) -> T:
    """Run to the end on virtual time; raises DeadlockError where it can never end."""
    with _numbered_scopes():
        return anyio.run(
            function, *arguments, backend="asyncio", backend_options={"loop_factory": VirtualLoop}
        )
