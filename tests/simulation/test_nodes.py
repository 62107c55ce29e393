"""Nodes: the lives of their processes, their clocks, and clicks that a death leaves unanswered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import anyio

from aws.errors import Transient
from runtime.program import StartError
from runtime.stop import ExitCode
from schema.items import Capacity, EventConfig
from schema.keys import request_id
from simulation.aws.account import Account
from simulation.aws.cloud import Cloud
from simulation.loop import START_S, running
from simulation.network import Network
from simulation.nodes import Life, Node, World
from simulation.programs import Answer, IngestNode
from simulation.scenario import EventPlan, Fault, Latencies, Load, Outage, Scenario, Service
from simulation.settings import QUEUE
from simulation.trace import Trace
from tests.virtual_time import virtual_time

EPOCH_MS = 1_700_000_000_000


class Clock:
    def __init__(self) -> None:
        loop = running()
        self.time, self.call_later = loop.time, loop.call_in_the_world

    def epoch_ms(self) -> int:
        return EPOCH_MS + round((self.time() - START_S) * 1000)


class Here:
    """A world, and what its nodes report."""

    def __init__(self, tasks: anyio.abc.TaskGroup, *faults: Fault) -> None:
        loop = running()
        scenario = Scenario(
            name="test",
            seed=1,
            events=(EventPlan(event_id="e", seats=1),),
            load=Load(rate=1, seconds=1),
            latencies=Latencies(sigma=0.0),
            faults=faults,
        )
        account = Account(Clock())
        network = Network(loop, account, scenario, Random(1))
        cloud = Cloud(account)
        self.queue = cloud.queue(QUEUE)
        cloud.table.seed(EventConfig(event_id="e", event_type="FIRST_COME").to_item())
        cloud.table.seed(Capacity(event_id="e", total=1, remaining=1).to_item())
        network.connect(cloud)
        self.crashes: list[tuple[str, str]] = []
        self.drained: list[str] = []
        self.refused: list[tuple[str, str, float]] = []
        self.world = World(
            loop=loop,
            scenario=scenario,
            cloud=cloud,
            network=network,
            tasks=tasks,
            trace=Trace(lambda: loop.time() - START_S),
            crashed=lambda name, how: self.crashes.append((name, how)),
            drained=self.drained.append,
            refused=lambda *refused: self.refused.append(refused),
        )
        self.nodes: list[Node] = []

    def beating(self, error: Exception | None = None) -> "Beating":
        node = Beating("node-1", self.world, error)
        self.nodes.append(node)
        return node

    def ingest(self) -> IngestNode:
        node = IngestNode("ingest-1", self.world)
        self.nodes.append(node)
        return node

    def bury(self) -> None:
        self.world.is_over = True
        for node in self.nodes:
            for life in node.lives:
                life.processor.bury()


@asynccontextmanager
async def here(*faults: Fault) -> AsyncIterator[Here]:
    async with anyio.create_task_group() as tasks:
        made = Here(tasks, *faults)
        yield made
        made.bury()
        tasks.cancel_scope.cancel()


class Beating(Node):
    """A program that notes each of its seconds until it is asked to stop."""

    def __init__(self, name: str, world: World, error: Exception | None) -> None:
        super().__init__(name, world)
        self._error = error
        self.beats: list[tuple[str, float]] = []

    @property
    def drains_in_s(self) -> float:
        return 25.0

    async def _run(self, life: Life) -> ExitCode:
        while not life.stop.requested:
            self.beats.append((life.name, round(running().time() - START_S, 3)))
            with life.stop.interrupts():
                await anyio.sleep(1)
            if self._error is not None:
                raise self._error
        return ExitCode.DRAINED


@virtual_time
async def test_a_killed_process_does_nothing_more_and_its_successor_has_another_name() -> None:
    async with here() as place:
        node = place.beating()
        node.start()
        await anyio.sleep(1.5)
        first = node.life
        node.kill()
        assert first is not None
        assert first.ended.is_set()
        await anyio.sleep(2)
        node.start_unless_alive()
        await anyio.sleep(0.5)
        assert node.beats == [("node-1.1", 0.0), ("node-1.1", 1.0), ("node-1.2", 3.5)]
        assert place.drained == []


@virtual_time
async def test_a_process_that_is_asked_to_stop_drains_and_is_not_replaced() -> None:
    async with here() as place:
        node = place.beating()
        node.start()
        await anyio.sleep(0.5)
        life = node.stop()
        assert life is not None
        await anyio.sleep(20)
        assert life.exit_code is ExitCode.DRAINED
        assert place.drained == ["node-1.1"]
        assert len(node.lives) == 1


@virtual_time
async def test_a_stopped_process_is_replaced_when_it_has_ended_and_the_time_is_over() -> None:
    async with here() as place:
        node = place.beating()
        node.start()
        await anyio.sleep(0.5)
        node.stop(restart_after_s=2.0)
        await anyio.sleep(2.5)
        assert node.beats == [("node-1.1", 0.0), ("node-1.2", 2.5)]


@virtual_time
async def test_a_process_that_crashes_is_reported_and_replaced_after_five_seconds() -> None:
    async with here() as place:
        node = place.beating(ValueError("wrong"))
        node.start()
        await anyio.sleep(6.5)
        assert place.crashes == [("node-1.1", repr(ValueError("wrong")))]
        assert node.beats == [("node-1.1", 0.0), ("node-1.2", 6.0)]
        assert node.lives[0].exit_code is ExitCode.CRASHED


@virtual_time
async def test_a_process_that_foresees_that_it_cannot_run_has_not_crashed() -> None:
    async with here() as place:
        node = place.beating(StartError("no queue"))
        node.start()
        await anyio.sleep(2)
        assert place.crashes == []
        assert node.lives[0].exit_code is ExitCode.CANNOT_RUN


@virtual_time
async def test_a_running_process_that_an_error_of_aws_ends_has_crashed() -> None:
    async with here() as place:
        node = place.beating(Transient("sqs", "ReceiveMessage", "Timeout", "no answer"))
        node.start()
        assert node.life is not None
        node.life.is_running = True
        await anyio.sleep(2)
        assert [name for name, _ in place.crashes] == ["node-1.1"]


@virtual_time
async def test_a_paused_process_stands_still_and_is_alive() -> None:
    async with here() as place:
        node = place.beating()
        node.start()
        await anyio.sleep(0.5)
        node.pause(3.0)
        await anyio.sleep(3.5)
        assert node.beats == [("node-1.1", 0.0), ("node-1.1", 3.5)]
        assert node.life is not None
        assert node.life.was_paused


@virtual_time
async def test_a_process_is_well_until_it_is_paused_asked_to_stop_or_killed() -> None:
    async with here() as place:
        node = place.beating()
        for harm in (lambda: node.pause(0.5), node.stop, node.kill):
            node.start()
            name = node.lives[-1].name
            await anyio.sleep(0.1)
            assert node.is_well(name)
            assert not node.is_well("another")
            harm()
            assert not node.is_well(name)
            node.kill()


@virtual_time
async def test_a_node_may_have_a_wrong_clock() -> None:
    async with here() as place:
        node = place.beating()
        node.offset_ms = -5_000
        await anyio.sleep(2)
        assert node.epoch_ms() == EPOCH_MS - 3_000


@virtual_time
async def test_nothing_starts_once_the_run_is_over() -> None:
    async with here() as place:
        node = place.beating()
        place.world.is_over = True
        node.start()
        assert node.life is None


@virtual_time
async def test_once_the_run_is_over_no_fault_keeps_a_process_from_its_end() -> None:
    async with here() as place:
        node = place.beating()
        node.start()
        await anyio.sleep(0.5)
        place.bury()
        node.kill()
        node.pause(100.0)
        life = node.stop()
        assert life is not None
        await anyio.sleep(1)
        assert life.exit_code is ExitCode.DRAINED


@virtual_time
async def test_a_click_is_answered_by_the_real_service() -> None:
    async with here() as place:
        node = place.ingest()
        node.start()
        await anyio.sleep(1)
        answers: list[Answer] = []
        node.click("u1", "e", answers.append)
        node.click("u1", "no-such-event", answers.append)
        await anyio.sleep(1)
        assert sorted(answer.status for answer in answers) == [202, 404]
        assert place.queue.waiting == 1


@virtual_time
async def test_a_click_that_is_answered_503_is_reported_with_its_process_and_time() -> None:
    async with here(Outage(service=Service.SQS, from_s=1.0, until_s=9.0)) as place:
        node = place.ingest()
        node.start()
        await anyio.sleep(1)
        clicked_s = running().time()
        answers: list[Answer] = []
        node.click("u1", "e", answers.append)
        await anyio.sleep(1)
        assert [answer.status for answer in answers] == [503]
        assert place.refused == [("ingest-1.1", request_id("e", "u1"), clicked_s)]


@virtual_time
async def test_a_kill_breaks_the_connections_of_clicks_under_way() -> None:
    async with here() as place:
        node = place.ingest()
        node.start()
        await anyio.sleep(1)
        answers: list[Answer] = []
        node.click("u1", "e", answers.append)
        await anyio.sleep(0.005)
        node.kill()
        assert not node.is_ready
        await anyio.sleep(1)
        node.click("u1", "e", answers.append)
        assert [answer.status for answer in answers] == [0, 0]


@virtual_time
async def test_a_service_that_is_asked_to_stop_answers_what_is_under_way() -> None:
    async with here() as place:
        node = place.ingest()
        node.start()
        await anyio.sleep(1)
        answers: list[Answer] = []
        node.click("u1", "e", answers.append)
        await anyio.sleep(0.001)
        life = node.stop()
        assert not node.is_ready
        await anyio.sleep(1)
        assert [answer.status for answer in answers] == [202]
        assert life is not None
        assert life.exit_code is ExitCode.DRAINED
