"""Runs one scenario from its first click to its last event, and checks what became of it."""

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final

import anyio
from anyio.abc import TaskGroup

from aws.bus import Bus
from aws.queue import Queue
from operations import dead_letters, lost_events, redrive
from operations.dead_letters import Selection
from runtime.stop import ExitCode
from simulation import loop as loops
from simulation import resources
from simulation.aws.account import Account
from simulation.aws.cloud import BUS_NAME, Cloud, queue_url
from simulation.checks.checks import Checks
from simulation.checks.messages import OPERATOR
from simulation.client import ModelClient, direct
from simulation.crowd import Crowd
from simulation.loop import START_S, VirtualLoop
from simulation.network import Network
from simulation.node_faults import DRAIN_GRACE_S, NodeFaults
from simulation.nodes import Life, Node, World
from simulation.outcome import START_EPOCH_MS, Outcome, Second, figures_of
from simulation.programs import IngestNode, WorkerNode
from simulation.scenario import Scenario
from simulation.settings import DEAD_LETTER_QUEUE, LOST_EVENTS_QUEUE, QUEUE, worker_settings
from simulation.trace import Trace

_LOOK_EVERY_S: Final = 1.0
_LOST_CALLS_END_S: Final = 35.0
"""So long a lost call keeps its caller waiting, or a poll takes messages for a caller that is gone:
20 s of a long poll, and the client's timeout."""
_MOST_REDRIVES: Final = 8
"""Where that many decide nothing, no more will; and each may double what SQS hands out twice."""
_STARTS_WITHIN_S: Final = 1.0
_SHOWN_STEPS: Final = 40
_COLLECT_AFTER_ANSWERS: Final = 50_000
"""Smaller runs end before it is worth while."""

Progress = Callable[[Second], None]
"""Learns of each simulated second."""


def simulate(scenario: Scenario, progress: Progress | None = None) -> Outcome:
    """Run a scenario: the same scenario always has the same outcome, to the last digit."""
    was_enabled = gc.isenabled()
    # When the collector runs depends on all that this process did before.
    gc.disable()
    try:
        return loops.run(_main, scenario, progress)
    finally:
        if was_enabled:
            gc.enable()


async def _main(scenario: Scenario, progress: Progress | None) -> Outcome:
    async with anyio.create_task_group() as tasks:
        run = _Run(scenario, tasks)
        tasks.start_soon(run.watch, progress)
        tasks.start_soon(run.drive)
        try:
            await run.over.wait()
            outcome = run.outcome()
        finally:
            run.bury()  # else, what has been killed never ends
        tasks.cancel_scope.cancel()
    return outcome


class _VirtualClock:
    """The virtual loop's time as the model wants it; AWS's own clocks are right."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.time = loop.time
        self.call_later = loop.call_in_the_world

    def epoch_ms(self) -> int:
        return START_EPOCH_MS + round((self.time() - START_S) * 1000)


class _Run:
    """One run's world, and its course."""

    def __init__(self, scenario: Scenario, tasks: TaskGroup) -> None:
        self._scenario = scenario
        self._loop = loop = loops.running()
        self._settings = worker_settings(scenario.worker_settings, scenario.region, "any")
        self._trace = Trace(self._now_s)
        account = Account(
            _VirtualClock(loop),
            scenario.limits,
            random=self._random("services"),
            region=scenario.region,
            duplicate_delivery=scenario.duplicate_delivery,
            unordered=scenario.unordered,
        )
        network = Network(loop, account, scenario, self._random("network"))
        account.transaction_s, account.entry_fault = network.transaction_s, network.entry_fault
        account.failed = self._failed
        account.observer = self._checks = Checks(
            scenario,
            self._settings,
            self._trace,
            queue=QUEUE,
            caller=lambda: account.caller,
            is_well=self._is_well,
            lost=lambda: sum(self._lost().values()),
            kept=self._kept,
            now_s=loop.time,
        )
        self.over = anyio.Event()
        self._checks.verdict.announce = self.over.set
        self._cloud = cloud = Cloud(account)
        network.connect(cloud)
        self._world = world = World(
            loop=loop,
            scenario=scenario,
            cloud=cloud,
            network=network,
            tasks=tasks,
            trace=self._trace,
            crashed=self._crashed,
            drained=self._drained,
            refused=self._checks.messages.refused,
        )
        self._workers = [WorkerNode(f"worker-{n + 1}", world) for n in range(scenario.workers)]
        ingests = [IngestNode(f"ingest-{n + 1}", world) for n in range(scenario.ingests)]
        self._nodes: dict[str, Node] = {node.name: node for node in (*ingests, *self._workers)}
        self._crowd = Crowd(world, ingests, self._random("crowd"), self._promised)
        loop.set_exception_handler(self._broke_down)
        resources.make(
            cloud, scenario, lambda item: self._checks.requests.wrote(OPERATOR, None, item)
        )
        self._faults = NodeFaults(
            loop,
            self._nodes,
            self._check_ended,
            partial(resources.write_events, cloud, scenario, have_defect=True),
            partial(resources.write_events, cloud, scenario),
        )
        self._redriven = 0
        self._republished = 0
        self._seconds: list[Second] = []
        self._collected_at = 0

    async def drive(self) -> None:
        """Start, clicks and faults, the wait until all is finished, and the last checks."""
        for node in self._nodes.values():
            node.start()
        for fault in self._scenario.faults:
            self._faults.plan(fault)
        await anyio.sleep(_STARTS_WITHIN_S)
        self._crowd.begin()
        await self._crowd.done.wait()
        if (ends_s := self._scenario.faults_end_s) > 0:
            await anyio.sleep(max(0.0, ends_s + _LOST_CALLS_END_S - self._now_s()))
        await self._until_quiet()
        await self._redrive()
        await self._drain()
        await self._republish()
        await self._until_quiet()
        self._checks.in_the_end(self._crowd.accepted)
        self.over.set()

    async def watch(self, progress: Progress | None) -> None:
        """Take down what stands where, second by second."""
        while True:
            await anyio.sleep(1.0)
            queue, checks = self._cloud.queue(QUEUE), self._checks
            second = Second(
                at_s=round(self._now_s(), 3),
                clicks=self._crowd.clicks,
                accepted=len(self._crowd.accepted),
                decided=checks.requests.outcomes.total(),
                published=checks.evidence.published.total(),
                waiting=queue.waiting,
                in_flight=queue.in_flight,
                throttles=dict(sorted(checks.throttles.items())),
            )
            self._seconds.append(second)
            self._collect(self._crowd.answers.total())
            if progress is not None:
                progress(second)

    def _collect(self, answers: int) -> None:
        """Free what errors leave behind in circles; when depends on nothing but the run."""
        if answers - self._collected_at >= _COLLECT_AFTER_ANSWERS:
            self._collected_at = answers
            gc.collect()

    def bury(self) -> None:
        """Let what is left of all nodes be cancelled, and nothing begin any more."""
        self._world.is_over = True
        for node in self._nodes.values():
            for life in node.lives:
                life.processor.bury()

    def _now_s(self) -> float:
        return self._loop.time() - START_S

    def _random(self, purpose: str) -> Random:
        return Random(f"{self._scenario.seed}:{purpose}")

    # Who asks about the programs

    def _is_well(self, name: str) -> bool:
        node = self._nodes.get(name.rpartition(".")[0])
        return node is not None and node.is_well(name)

    def _crashed(self, name: str, how: str) -> None:
        self._checks.verdict.broken("crash", f"{name} ended by itself: {how}", name)

    def _failed(self, operation: str, error: Exception) -> None:
        """A defect of the model or of a check, which the programs take for one of AWS."""
        self._checks.verdict.broken("crash", f"the model failed in {operation}: {error!r}")

    def _drained(self, name: str) -> None:
        # The last calls may be on their way still, where their caller was out of patience.
        self._loop.call_in_the_world(DRAIN_GRACE_S, self._checks.messages.drained, name)

    def _broke_down(self, _loop: object, context: dict[str, object]) -> None:
        """An error in what simulates, or in a callback of a program."""
        error = context.get("exception")
        if not self._world.is_over:
            text = f"{context.get('message')}: {error!r}"
            self._checks.verdict.broken("crash", text)

    def _promised(self, request_id: str) -> None:
        requests = self._checks.requests
        if request_id not in requests.items or not requests.sent_at_ms.get(request_id):
            text = f"request {request_id} was answered 202, and is not both stored and sent"
            self._checks.verdict.broken("promise", text, request_id)

    def _check_ended(self, life: Life) -> None:
        """A process that was asked to stop ends in time, whatever goes wrong around it."""
        if not life.ended.is_set() and not life.was_paused:
            self._checks.verdict.broken("drain", f"{life.name} did not end in time", life.name)

    # The end

    async def _until_quiet(self) -> None:
        """Wait until everything is finished; a run whose faults are over must come to that."""
        deadline_s = self._now_s() + self._scenario.settles_in_s
        while (left := self._unfinished()) is not None:
            if self._now_s() >= deadline_s:
                text = f"{self._scenario.settles_in_s:g} s after clicks and faults, {left}"
                self._checks.verdict.broken("liveness", text)
                return
            await anyio.sleep(_LOOK_EVERY_S)

    def _unfinished(self) -> str | None:
        queue = self._cloud.queue(QUEUE)
        if queue.waiting or queue.in_flight:
            return f"{queue.waiting} messages wait and {queue.in_flight} are in flight"
        undelivered = self._checks.evidence.undelivered
        return f"{undelivered} events have not reached the lake" if undelivered else None

    async def _redrive(self) -> None:
        """Bring back what SQS moved to the dead-letter queue, as often as an operator would.

        A redrive leaves what others hold, and ends early where SQS shows a message twice.
        """
        client = ModelClient("sqs", direct(self._cloud, OPERATOR))
        main, dlq = Queue(client, queue_url(QUEUE)), Queue(client, queue_url(DEAD_LETTER_QUEUE))
        # It holds all that it leaves in the DLQ, and a scenario's limit may be a hundred.
        account = self._cloud.account
        account.limits = replace(account.limits, in_flight_messages=None)
        deadline_s = self._now_s() + self._scenario.settles_in_s
        for _ in range(_MOST_REDRIVES):
            if not self._checks.messages.dead_letters or self._now_s() >= deadline_s:
                return
            await self._until_dead_letters_are_free()
            at_ms = self._cloud.account.clock.epoch_ms()
            selection = Selection(reason=dead_letters.RETRIES_EXHAUSTED, sent_before_ms=at_ms)
            done = await redrive.redrive(main, dlq, selection, at_ms)
            self._redriven += done.moved
            await anyio.sleep(_LOOK_EVERY_S)
            await self._until_quiet()

    async def _until_dead_letters_are_free(self) -> None:
        """Let the leases end of those whose holder was killed: an operator would look again."""
        until_s = self._now_s() + self._settings.visibility_timeout_s + _LOOK_EVERY_S
        while True:
            if not self._cloud.queue(DEAD_LETTER_QUEUE).in_flight or self._now_s() >= until_s:
                return
            await anyio.sleep(_LOOK_EVERY_S)

    async def _drain(self) -> None:
        """Stop every node: each must end in time."""
        lives = [life for node in self._nodes.values() if (life := node.stop()) is not None]
        longest_s = max(node.drains_in_s for node in self._nodes.values())
        with anyio.move_on_after(longest_s + DRAIN_GRACE_S):
            for life in lives:
                await life.ended.wait()
        await anyio.sleep(DRAIN_GRACE_S)
        for life in lives:
            self._check_ended(life)
            if life.exit_code is ExitCode.DEADLINE and self._scenario.is_quiet:
                text = f"{life.name} had nothing to do, and did not drain"
                self._checks.verdict.broken("drain", text, life.name)
        if (left := self._unfinished()) is not None:
            self._checks.verdict.broken("drain", f"after the drain {left}")

    async def _republish(self) -> None:
        """Publish the events that were lost and kept, as an operator does once all is well again.

        SQS may show a message twice, or none for a moment, so it takes more than one run.
        """
        transport = direct(self._cloud, OPERATOR)
        queue = Queue(ModelClient("sqs", transport), queue_url(LOST_EVENTS_QUEUE))
        bus = Bus(ModelClient("events", transport), BUS_NAME)
        deadline_s = self._now_s() + self._scenario.settles_in_s
        while self._cloud.queue(LOST_EVENTS_QUEUE).waiting and self._now_s() < deadline_s:
            done = await lost_events.republish(queue, bus, random=self._random("operator"))
            self._republished += done.published
            await anyio.sleep(_LOOK_EVERY_S)

    def _lives(self) -> list[Life]:
        return [life for node in self._workers for life in node.lives]

    def _lost(self) -> Counter[str]:
        """Events that the workers, dead ones too, counted as lost, by reason."""
        lost: Counter[str] = Counter()
        for life in self._lives():
            if life.parts is not None:
                lost.update(life.parts.metrics.lost_events)
        return lost

    def _kept(self) -> int:
        """How many of the lost events the workers count as kept."""
        return sum(life.parts.metrics.kept_events for life in self._lives() if life.parts)

    def outcome(self) -> Outcome:
        """What became of the run."""
        checks = self._checks
        violation = checks.verdict.violation
        return Outcome(
            scenario=self._scenario,
            violation=violation,
            digest=self._trace.digest,
            steps=self._trace.steps,
            last_steps=self._trace.last(_SHOWN_STEPS) if violation else (),
            steps_about=self._trace.last(_SHOWN_STEPS, violation.about)
            if violation and violation.about
            else (),
            figures=figures_of(
                self._cloud,
                checks,
                self._crowd,
                simulated_s=self._now_s(),
                redriven=self._redriven,
                republished=self._republished,
                lost=dict(sorted(self._lost().items())),
                kills=self._faults.kills,
                starts=sum(len(node.lives) for node in self._nodes.values()),
                seconds=self._seconds,
            ),
        )
