"""Runs one scenario from its first click to its last event, and checks what became of it."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

import anyio
import orjson
from anyio.abc import TaskGroup

from aws.queue import Queue
from operations import dead_letters
from operations.dead_letters import Selection
from runtime.stop import ExitCode
from schema import names
from schema.items import Capacity, EventConfig, RequestItem
from simulation import loop as loops
from simulation.aws.account import Account
from simulation.aws.cloud import Cloud, queue_url
from simulation.aws.eventbridge import Rule
from simulation.aws.firehose import Buffering, Stream
from simulation.checks.checks import Checks
from simulation.checks.messages import OPERATOR
from simulation.client import ModelClient, direct
from simulation.crowd import Crowd
from simulation.loop import START_S, VirtualLoop
from simulation.network import Network
from simulation.nodes import IngestNode, Life, Node, WorkerNode, World
from simulation.outcome import Decision, Figures, Outcome, Second
from simulation.scenario import Kill, Pause, Scenario, Skew, Stop
from simulation.settings import DEAD_LETTER_QUEUE, QUEUE, worker_settings
from simulation.trace import Trace

START_EPOCH_MS: Final = 1_704_290_000_000
_LOOK_EVERY_S: Final = 1.0
_DRAIN_GRACE_S: Final = 2.0
_LOST_CALLS_END_S: Final = 35.0
"""A lost call keeps its caller waiting so long: 20 s of a long poll, and the client's timeout."""
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
        await run.over.wait()
        outcome = run.outcome()
        run.bury()
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
        account.observer = self._checks = Checks(
            scenario,
            self._settings,
            self._trace,
            queue=QUEUE,
            caller=lambda: account.caller,
            is_well=self._is_well,
            lost=lambda: sum(self._lost().values()),
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
        )
        self._workers = [WorkerNode(f"worker-{n + 1}", world) for n in range(scenario.workers)]
        ingests = [IngestNode(f"ingest-{n + 1}", world) for n in range(scenario.ingests)]
        self._nodes: dict[str, Node] = {node.name: node for node in (*ingests, *self._workers)}
        self._crowd = Crowd(world, ingests, self._random("crowd"), self._promised)
        loop.set_exception_handler(self._broke_down)
        self._make_resources()
        self._kills = 0
        self._redriven = 0
        self._seconds: list[Second] = []
        self._collected_at = 0

    async def drive(self) -> None:
        """Start, clicks and faults, the wait until all is finished, and the last checks."""
        for node in self._nodes.values():
            node.start()
        self._plan_faults()
        await anyio.sleep(_STARTS_WITHIN_S)
        self._crowd.begin()
        await self._crowd.done.wait()
        await anyio.sleep(max(0.0, self._scenario.faults_end_s - self._now_s()))
        await self._until_quiet()
        await self._redrive()
        if (ends_s := self._scenario.faults_end_s) > 0:
            await anyio.sleep(max(0.0, ends_s + _LOST_CALLS_END_S - self._now_s()))
        await self._drain()
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

    # The resources, and who asks about them

    def _make_resources(self) -> None:
        table, account = self._cloud.table, self._cloud.account
        for event in self._scenario.events:
            config = EventConfig(event_id=event.event_id, event_type=event.event_type)
            capacity = Capacity(
                event_id=event.event_id, total=event.seats, remaining=event.seats
            ).to_item()
            table.seed(config.to_item())
            table.seed(dict(capacity))
            self._checks.requests.wrote(OPERATOR, None, capacity)
        self._create_queue(DEAD_LETTER_QUEUE, {})
        self._cloud.bus.rules.append(
            Rule(
                frozenset({names.WORKER_SOURCE}),
                frozenset({names.PARTICIPATION_PROCESSED, names.REQUEST_FAILED}),
                Stream("lake", account, Buffering()),
            )
        )
        policy = {
            "deadLetterTargetArn": account.arn("sqs", DEAD_LETTER_QUEUE),
            "maxReceiveCount": self._scenario.max_receive_count,
        }
        self._create_queue(QUEUE, {"RedrivePolicy": orjson.dumps(policy).decode()})

    def _create_queue(self, name: str, attributes: dict[str, str]) -> None:
        call = {"QueueName": name, "Attributes": attributes}
        self._cloud.handle("AmazonSQS.CreateQueue", orjson.dumps(call), _ignore)

    def _is_well(self, name: str) -> bool:
        node = self._nodes.get(name.rpartition(".")[0])
        return node is not None and node.is_alive(name)

    def _crashed(self, name: str, error: BaseException) -> None:
        self._checks.verdict.broken("crash", f"{name} crashed: {error!r}", name)

    def _drained(self, name: str) -> None:
        # The last calls may be on their way still, where their caller was out of patience.
        self._at(_DRAIN_GRACE_S, self._checks.messages.drained, name)

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

    # The faults that concern nodes

    def _plan_faults(self) -> None:
        for fault in self._scenario.faults:
            match fault:
                case Kill():
                    self._at(fault.at_s, self._kill, fault)
                case Stop():
                    self._at(fault.at_s, self._stop, fault)
                case Pause():
                    self._at(fault.at_s, self._nodes[fault.node].pause, fault.for_s)
                case Skew():
                    self._at(fault.at_s, self._skew, fault)

    def _at(self, at_s: float, act: Callable[..., object], *arguments: object) -> None:
        self._loop.call_in_the_world(at_s, act, *arguments)

    def _kill(self, fault: Kill) -> None:
        node = self._nodes[fault.node]
        if node.life is not None:
            self._kills += 1
            node.kill()
            if fault.restart_after_s is not None:
                self._at(fault.restart_after_s, node.start_unless_alive)

    def _stop(self, fault: Stop) -> None:
        node = self._nodes[fault.node]
        life = node.stop()
        if life is None:
            return
        limit_s = self._settings.shutdown_timeout_s + _DRAIN_GRACE_S
        self._at(limit_s, self._check_ended, life)
        if fault.restart_after_s is not None:
            self._at(limit_s + fault.restart_after_s, node.start_unless_alive)

    def _check_ended(self, life: Life) -> None:
        """A process that was asked to stop ends in time, whatever goes wrong around it."""
        if not life.ended.is_set() and not life.was_paused:
            self._checks.verdict.broken("drain", f"{life.name} did not end in time", life.name)

    def _skew(self, fault: Skew) -> None:
        self._nodes[fault.node].offset_ms = fault.offset_ms

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
        """Bring back what SQS moved to the dead-letter queue, as an operator would."""
        if not self._cloud.queue(DEAD_LETTER_QUEUE).waiting:
            return
        client = ModelClient("sqs", direct(self._cloud, OPERATOR))
        main, dlq = Queue(client, queue_url(QUEUE)), Queue(client, queue_url(DEAD_LETTER_QUEUE))
        at_ms = self._cloud.account.clock.epoch_ms()
        selection = Selection(reason=dead_letters.RETRIES_EXHAUSTED, sent_before_ms=at_ms)
        done = await dead_letters.redrive(main, dlq, selection, at_ms)
        self._redriven += done.moved
        await self._until_quiet()

    async def _drain(self) -> None:
        """Stop every node: each must end in time."""
        lives = [life for node in self._nodes.values() if (life := node.stop()) is not None]
        with anyio.move_on_after(self._settings.shutdown_timeout_s + _DRAIN_GRACE_S):
            for life in lives:
                await life.ended.wait()
        await anyio.sleep(_DRAIN_GRACE_S)
        for life in lives:
            self._check_ended(life)
            if life.exit_code is ExitCode.DEADLINE and self._scenario.is_quiet:
                text = f"{life.name} had nothing to do, and did not drain"
                self._checks.verdict.broken("drain", text, life.name)
        if (left := self._unfinished()) is not None:
            self._checks.verdict.broken("drain", f"after the drain {left}")

    def _lives(self) -> list[Life]:
        return [life for node in self._workers for life in node.lives]

    def _lost(self) -> Counter[str]:
        """Events that the workers, dead ones too, counted as lost, by reason."""
        lost: Counter[str] = Counter()
        for life in self._lives():
            if life.parts is not None:
                lost.update(life.parts.metrics.lost_events)
        return lost

    def outcome(self) -> Outcome:
        """What became of the run."""
        checks, crowd = self._checks, self._crowd
        items = checks.requests.items.values()
        decided = [item for item in items if item.status.is_final]
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
            figures=Figures(
                simulated_s=self._now_s(),
                clicks=crowd.clicks,
                accepted=len(crowd.accepted),
                gave_up=crowd.refused,
                answers=dict(sorted(crowd.answers.items())),
                outcomes=dict(sorted(checks.requests.outcomes.items())),
                seats_taken=checks.requests.seats_taken,
                dead_lettered=checks.messages.dead_lettered,
                quarantined=checks.messages.quarantined,
                redriven=self._redriven,
                published=checks.evidence.published.total(),
                delivered=checks.evidence.delivered,
                lost=dict(sorted(self._lost().items())),
                kills=self._kills,
                starts=sum(len(node.lives) for node in self._nodes.values()),
                calls=dict(sorted(self._cloud.calls.items())),
                units=self._cloud.table.usage,
                throttles=dict(sorted(checks.throttles.items())),
                first_throttle_s={
                    name: at_s - START_S for name, at_s in sorted(checks.first_throttle_s.items())
                },
                answer_times_s=crowd.answer_times_s,
                decisions=_decisions(decided),
                last_decision_s=max(
                    ((item.finished_at_ms or 0) - START_EPOCH_MS) / 1000 for item in decided
                )
                if decided
                else 0.0,
                seconds=self._seconds,
            ),
        )


def _decisions(decided: Iterable[RequestItem]) -> list[Decision]:
    return [
        Decision(
            queued_at_s=(item.queued_at_ms - START_EPOCH_MS) / 1000,
            queue_delay_s=(item.started_at_ms - item.queued_at_ms) / 1000,
            e2e_delay_s=(item.finished_at_ms - item.queued_at_ms) / 1000,
        )
        for item in decided
        if item.queued_at_ms is not None
        and item.started_at_ms is not None
        and item.finished_at_ms is not None
    ]


def _ignore(_status: int, _document: bytes) -> None:
    pass
