"""The pollers: adaptive, bounded by credits, patient with errors, and never cut off in a poll."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise, repeat

import anyio
import pytest

from aws.queue import Queue
from simulation.aws.errors import queue_error
from simulation.scenario import Kind
from tests.aws.model import Aws
from tests.aws.wire import DENIED, Fault
from tests.virtual_time import virtual_time
from tests.worker.parts import parts_of, sample
from worker.channel import Channel
from worker.credits import Credits
from worker.inbox import Inbox
from worker.leases import Leases
from worker.outage import Outage
from worker.parts import Parts
from worker.receive import Receiver

RECEIVE = "ReceiveMessage"
AWAY = Kind.REFUSED
REFUSED = queue_error("InvalidParameterValue", "no")


@dataclass(slots=True)
class Scene:
    """A receiver on the model of SQS; a poll that finds nothing takes ten seconds."""

    pollers: int = 4
    limit: int = 500
    is_dlq: bool = False
    aws: Aws = field(default_factory=Aws)
    parts: Parts = field(init=False)
    inbox: Inbox = field(init=False)
    credits: Credits = field(init=False)
    leases: Leases = field(init=False)
    table: Outage = field(init=False)
    began_s: float = 0.0
    _sent: int = 0
    _received: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parts = parts_of(self.aws, receive_wait_s=10)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Poll for the length of the block, then stop."""
        self.began_s = anyio.current_time()
        self.credits = Credits(self.limit)
        self.parts.stop.calls(self.credits.close)
        self.inbox = Inbox()
        async with (
            Channel.open(self.parts, self._queue, self.credits) as channel,
            anyio.create_task_group() as tasks,
        ):
            self.leases = channel.leases
            self.table, queue = (
                Outage(service, gauge, self.parts.random, self.parts.stop)
                for service, gauge in self.parts.metrics.paused.items()
            )
            receiver = Receiver(self.parts, channel, self.pollers, self.table, queue)
            tasks.start_soon(receiver.run, self.inbox)
            yield
            self.parts.stop.request()

    @property
    def _queue(self) -> Queue:
        return self.aws.dlq if self.is_dlq else self.aws.queue

    @property
    def received(self) -> list[str]:
        """The bodies of all that the receiver put into the inbox so far."""
        self._received += [delivery.body for delivery in self.inbox.take_nowait()]
        return self._received

    @property
    def held(self) -> list[str]:
        """The bodies of what is leased."""
        return [delivery.body for delivery in self.leases.held]

    def send(self, count: int, **attributes: str) -> list[str]:
        """Put messages into the queue; returns their bodies."""
        bodies = [f"message {self._sent + number}" for number in range(count)]
        self._sent += count
        self.aws.put(*bodies, attributes=attributes, to_dlq=self.is_dlq)
        return bodies

    def goes_wrong(self, *faults: Fault) -> None:
        """Let the next polls go wrong."""
        self.aws.wire.faults[RECEIVE] = iter(faults)

    @property
    def polls_at_s(self) -> list[float]:
        """When each poll began."""
        return [call.at_s - self.began_s for call in self.aws.wire.calls_of(RECEIVE)]

    @property
    def polls_under_way(self) -> int:
        """How many polls are not answered."""
        return self.aws.wire.under_way[RECEIVE]

    @property
    def asked_for(self) -> list[int]:
        """How many messages each poll asked for."""
        polls = self.aws.wire.calls_of(RECEIVE)
        return [call.parameters["MaxNumberOfMessages"] for call in polls]

    def settle(self, count: int) -> None:
        """Let deliveries go, as the settler does."""
        self.credits.give_back(count)


@virtual_time
async def test_one_poller_polls_while_the_queue_is_empty() -> None:
    scene = Scene()
    async with scene.running():
        await anyio.sleep(35)
        assert scene.polls_under_way == 1

    assert scene.polls_at_s == pytest.approx([0, 10, 20, 30])


@virtual_time
async def test_all_poll_after_messages_and_one_again_once_there_are_none() -> None:
    scene = Scene()
    scene.send(1)
    async with scene.running():
        await anyio.sleep(5)
        assert scene.polls_under_way == 4
        assert sample(scene.parts, "worker_pollers_active") == 4
        await anyio.sleep(20)
        assert scene.polls_under_way == 1


@virtual_time
async def test_messages_come_through_in_order_and_under_a_lease() -> None:
    scene = Scene(pollers=1)
    sent = scene.send(13)
    async with scene.running():
        await anyio.sleep(1)
        assert scene.received == sent
        assert scene.held == sent
        assert scene.credits.used == 13 + 10  # those received, and those of the poll under way

    assert sample(scene.parts, "worker_messages_received_total", queue="main") == 13
    assert sample(scene.parts, "worker_in_flight_messages") == 13


@virtual_time
async def test_a_poll_takes_its_credits_before_and_gives_back_immediately_what_it_did_not_use() -> (
    None
):
    scene = Scene(pollers=1, limit=10)
    scene.send(3)
    async with scene.running():
        await anyio.sleep(1)
        scene.send(7)
        await anyio.sleep(60)
        # Full: no poll until something is settled.
        assert scene.asked_for == [10, 7]
        scene.settle(2)
        await anyio.sleep(1)
        assert scene.asked_for == [10, 7, 2]


@virtual_time
async def test_never_more_is_in_flight_than_the_limit() -> None:
    scene = Scene(pollers=8, limit=25)
    most = 0

    scene.send(500)
    async with scene.running():
        for _ in range(50):
            await anyio.sleep(0.1)
            most = max(most, len(scene.leases.held))
            done = scene.leases.held[:7]
            for delivery in done:
                scene.leases.release(delivery)
            scene.settle(len(done))

    assert most == 25
    assert len(scene.received) > 300


@virtual_time
async def test_every_poller_goes_on_after_the_worker_was_full() -> None:
    scene = Scene(pollers=4, limit=20)
    scene.send(20)
    async with scene.running():
        await anyio.sleep(1)
        assert len(scene.received) == 20
        scene.send(1)
        scene.settle(20)
        await anyio.sleep(1)
        assert scene.polls_under_way > 1


@virtual_time
@pytest.mark.parametrize("error", [AWAY, REFUSED])
async def test_errors_back_off_from_one_second_to_five(error: Fault) -> None:
    scene = Scene(pollers=1)
    scene.goes_wrong(*[error] * 12)
    async with scene.running():
        await anyio.sleep(10)
        assert sample(scene.parts, "worker_paused", service="sqs") == 1
        await anyio.sleep(390)
        assert sample(scene.parts, "worker_paused", service="sqs") == 0

    waits_s = [later - earlier for earlier, later in pairwise(scene.polls_at_s)][:12]
    for number, wait_s in enumerate(waits_s):
        ceiling_s = min(5, 2**number)
        assert ceiling_s / 2 <= wait_s <= ceiling_s + 0.02
    assert scene.credits.used == 0


@virtual_time
async def test_nothing_is_received_while_the_table_is_away() -> None:
    scene = Scene(pollers=4)
    scene.send(200)
    async with scene.running():
        for _ in range(3):
            scene.table.failed("read", ValueError("away"))
        await anyio.sleep(3_600)
        polls = len(scene.polls_at_s)
        scene.table.answered("read")
        await anyio.sleep(1)
        assert len(scene.polls_at_s) > polls

    # One poll of each poller was under way at most.
    assert polls <= 4


@virtual_time
async def test_a_success_ends_the_backing_off() -> None:
    scene = Scene(pollers=1)
    scene.goes_wrong(AWAY, AWAY, AWAY, None, AWAY)
    scene.send(1)
    async with scene.running():
        await anyio.sleep(30)

    # After the message a poll immediately, and after its failure a wait of a second at most.
    *_, delivered, failed, after = scene.polls_at_s[:6]
    assert failed - delivered < 0.1
    assert after - failed <= 1.02


@virtual_time
async def test_one_poller_s_errors_do_not_hold_up_the_others() -> None:
    scene = Scene(pollers=2)
    scene.goes_wrong(None, AWAY)
    scene.send(1)
    async with scene.running():
        for number in range(1, 6):
            await anyio.sleep(0.05)
            assert len(scene.received) == number
            scene.send(1)


@virtual_time
async def test_what_only_an_operator_can_resolve_ends_the_receiver() -> None:
    scene = Scene()
    scene.goes_wrong(DENIED)
    async with scene.running():
        await scene.parts.stop.wait()

    assert scene.parts.state.failure is not None
    assert scene.parts.state.failure.code == "AccessDeniedException"
    assert [poller.ended for poller in scene.parts.state.pollers] == [True] * 4


@virtual_time
async def test_a_stop_ends_all_waiting_immediately() -> None:
    scene = Scene(limit=1)
    scene.send(1)
    async with scene.running():
        await anyio.sleep(5)
        stopped_s = anyio.current_time()

    assert anyio.current_time() - stopped_s < 0.1
    assert [poller.ended for poller in scene.parts.state.pollers] == [True] * 4


@virtual_time
async def test_a_stop_ends_backing_off_immediately() -> None:
    scene = Scene(pollers=1)
    scene.goes_wrong(*repeat(AWAY, 100))
    async with scene.running():
        await anyio.sleep(100)
        stopped_s = anyio.current_time()

    assert anyio.current_time() - stopped_s < 0.1


@virtual_time
async def test_a_poll_under_way_is_finished_after_a_stop_and_its_messages_come_through() -> None:
    scene = Scene(pollers=1)
    async with scene.running():
        await anyio.sleep(1)
        stopped_s = anyio.current_time()
        asyncio.get_running_loop().call_later(4, scene.send, 4)

    assert anyio.current_time() - stopped_s == pytest.approx(4)
    assert len(scene.received) == 4
    assert len(scene.polls_at_s) == 1
    assert scene.held == scene.received


@virtual_time
async def test_after_a_stop_no_poll_begins() -> None:
    scene = Scene()
    scene.parts.stop.request()
    async with scene.running():
        pass

    assert scene.polls_at_s == []


@virtual_time
async def test_the_health_check_sees_since_when_a_poll_is_under_way() -> None:
    scene = Scene(pollers=2)
    async with scene.running():
        await anyio.sleep(1)
        polling, idle = scene.parts.state.pollers
        assert polling.polling_since == scene.began_s
        assert idle.polling_since is None
        assert not polling.ended

    assert polling.polling_since is None


@virtual_time
async def test_the_dlq_s_messages_are_counted_as_such() -> None:
    scene = Scene(pollers=1, is_dlq=True)
    scene.send(2)
    async with scene.running():
        await anyio.sleep(1)

    assert sample(scene.parts, "worker_messages_received_total", queue="dlq") == 2
    assert sample(scene.parts, "worker_messages_received_total", queue="main") == 0


@virtual_time
@pytest.mark.parametrize(("reason", "rests"), [("reasonCode", True), ("other", False)])
async def test_a_dlq_of_quarantined_messages_alone_is_left_to_people_for_a_while(
    reason: str, *, rests: bool
) -> None:
    scene = Scene(pollers=1, is_dlq=True)
    sent = scene.send(2, **{reason: "X"})
    async with scene.running():
        await anyio.sleep(29)
        assert len(scene.polls_at_s) == (1 if rests else 4)
        await anyio.sleep(32)
        assert scene.polls_under_way == 1
        stopped_s = anyio.current_time()

    assert scene.received == sent
    assert anyio.current_time() - stopped_s <= 10


@virtual_time
async def test_without_pollers_nothing_is_polled_and_receiving_ends() -> None:
    scene = Scene(pollers=0)
    async with scene.running():
        await anyio.sleep(60)

    assert scene.polls_at_s == []
