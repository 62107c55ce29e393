"""Nodes: places for processes, each with a core and a clock of its own."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from random import Random
from typing import Final

import anyio
from anyio.abc import TaskGroup

from aws.client import CallObserver, Client, ClientOptions, Opener
from aws.errors import AwsError
from operations.tasks import CALL_S, MESSAGE_S
from runtime.errors import leaves
from runtime.program import StartError
from runtime.stop import ExitCode, Stop
from simulation.aws.cloud import Cloud
from simulation.client import ModelClient
from simulation.loop import Processor, VirtualLoop
from simulation.network import Caller, Network
from simulation.scenario import Scenario, Service
from simulation.trace import Trace
from worker.parts import Parts

_RESTART_S: Final = 5.0
"""After this time a task that ended by itself is replaced, as ECS does."""


@dataclass(slots=True, kw_only=True)
class World:
    """What all nodes of a run share."""

    loop: VirtualLoop
    scenario: Scenario
    cloud: Cloud
    network: Network
    tasks: TaskGroup
    trace: Trace
    crashed: Callable[[str, str], None]
    """Is called for a process that ended without need, with what ended it."""
    drained: Callable[[str], None]
    """Is called with the name of a process that has ended, and left nothing behind."""
    refused: Callable[[str, str, float], None]
    """Is called with the process that answers a click 503, the click's request, and when the click
    came (the loop's time)."""
    is_over: bool = False
    """Whether the run is over: nothing begins any more."""

    def random(self, purpose: str) -> Random:
        """A generator of its own for each purpose, so that none disturbs another."""
        return Random(f"{self.scenario.seed}:{purpose}")


@dataclass(slots=True)
class Life:
    """One process, from its start to its end."""

    name: str
    processor: Processor
    context: Context
    stop: Stop
    ended: anyio.Event = field(default_factory=anyio.Event)
    exit_code: ExitCode | None = None
    stopped_at_s: float | None = None
    restart_after_s: float | None = None
    """How long after a stop it is replaced; None: it is not."""
    was_paused: bool = False
    parts: Parts | None = None
    is_running: bool = False
    """Whether its start is behind it."""


class Node(ABC):
    """A task of a service: at any time it has one life, or none."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.offset_ms = 0
        """How far its clock is ahead."""
        self.life: Life | None = None
        self.lives: list[Life] = []
        self._world = world

    @property
    @abstractmethod
    def drains_in_s(self) -> float:
        """How long its process may take to end after SIGTERM."""

    @abstractmethod
    async def _run(self, life: Life) -> ExitCode:
        """Run the program to its end."""

    def start(self) -> None:
        """Start a new process."""
        if self._world.is_over:
            return
        name = f"{self.name}.{len(self.lives) + 1}"
        processor = Processor(self._world.loop)
        context = processor.context()
        life = self.life = Life(name, processor, context, Stop())
        self.lives.append(life)
        self._world.trace.note(name, "starts")
        context.run(self._world.tasks.start_soon, self._live, life)

    def stop(self, restart_after_s: float | None = None) -> Life | None:
        """Send SIGTERM; returns the life that will end, and then may be replaced."""
        life = self.life
        if life is not None and life.stopped_at_s is None:
            life.stopped_at_s = self._world.loop.time()
            life.restart_after_s = restart_after_s
            self._world.trace.note(life.name, "is asked to stop")
            life.context.run(self._world.loop.call_soon, life.stop.request)
        return life

    def kill(self) -> None:
        """End the process between two of its steps: nothing of it runs on."""
        # Once the run is over each process has to come to its own end.
        if self.life is not None and not self._world.is_over:
            self._world.trace.note(self.life.name, "is killed")
            self.life.processor.kill()
            self._gone(self.life)

    def pause(self, seconds: float) -> None:
        """Let the process stand still."""
        life = self.life
        if life is not None and not self._world.is_over:
            self._world.trace.note(life.name, f"stands still for {seconds:g} s")
            life.processor.pause(seconds)
            life.was_paused = True

    def is_well(self, name: str) -> bool:
        """Whether the process of this name runs, and was neither asked to stop nor ever paused."""
        life = self.life
        if life is None or life.name != name:
            return False
        return life.stopped_at_s is None and not life.was_paused

    def epoch_ms(self) -> int:
        """The node's own clock, which may be wrong."""
        return self._world.cloud.account.clock.epoch_ms() + self.offset_ms

    def _gone(self, life: Life) -> None:
        self.life = None
        life.ended.set()

    async def _live(self, life: Life) -> None:
        try:
            life.exit_code = await self._run(life)
        except Exception as error:  # noqa: BLE001 - it is reported
            # A program may be unable to start; once it runs, nothing that is simulated ends it.
            may_fail = not life.is_running and all(
                isinstance(leaf, AwsError | StartError) for leaf in leaves(error)
            )
            life.exit_code = ExitCode.CANNOT_RUN if may_fail else ExitCode.CRASHED
            if not may_fail:
                self._world.crashed(life.name, repr(error))
        else:
            if life.stopped_at_s is None or life.exit_code is ExitCode.CANNOT_RUN:
                self._world.crashed(life.name, f"exit code {int(life.exit_code)}")
        self._world.trace.note(life.name, f"ends with exit code {int(life.exit_code)}")
        self._gone(life)
        if life.exit_code is ExitCode.DRAINED:
            self._world.drained(life.name)
        restart_s = _RESTART_S if life.stopped_at_s is None else life.restart_after_s
        if restart_s is not None:
            self._world.loop.call_in_the_world(restart_s, self.start_unless_alive)

    def start_unless_alive(self) -> None:
        """Start a new process where none runs."""
        if self.life is None:
            self.start()

    def _opener(self, life: Life) -> Opener:
        processor = life.processor
        caller = Caller(
            node=self.name,
            name=life.name,
            spend=lambda messages: processor.spend(CALL_S + messages * MESSAGE_S),
        )

        @asynccontextmanager
        async def opened(
            service: str,
            options: ClientOptions,
            _observer: CallObserver,
        ) -> AsyncIterator[Client]:
            kind = Service(service)
            yield ModelClient(service, self._world.network.transport(caller, kind, options))

        return opened
