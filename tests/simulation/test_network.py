"""What becomes of a call by each kind of fault: its effect, and what its caller sees."""

from dataclasses import dataclass
from random import Random

import anyio
import pytest

from aws.client import ClientOptions
from aws.errors import AwsError, Transient
from simulation.aws.account import Account
from simulation.aws.cloud import Cloud, queue_url
from simulation.aws.observer import Observer
from simulation.client import ModelClient
from simulation.loop import START_S, running
from simulation.network import Caller, Network
from simulation.scenario import (
    EventPlan,
    Fault,
    Kind,
    Latencies,
    Load,
    Noise,
    Outage,
    Scenario,
    Service,
)
from tests.virtual_time import run, virtual_time

READ_TIMEOUT_S = 3.0
ONE_WAY_S = 0.05


class Clock:
    def __init__(self) -> None:
        loop = running()
        self.time, self.call_later = loop.time, loop.call_in_the_world

    def epoch_ms(self) -> int:
        return round(self.time() * 1000)


class World:
    """A queue behind a network whose calls take 0.1 s there and back."""

    def __init__(self, *faults: Fault, latencies: Latencies | None = None) -> None:
        scenario = Scenario(
            name="test",
            seed=1,
            events=(EventPlan(event_id="e", seats=1),),
            load=Load(rate=1, seconds=1),
            latencies=latencies or Latencies(sqs_s=2 * ONE_WAY_S, sigma=0.0),
            faults=faults,
        )
        account = Account(Clock())
        self.network = Network(running(), account, scenario, Random(1))
        account.entry_fault = self.network.entry_fault
        self.cloud = Cloud(account)
        self.queue = self.cloud.queue("q")
        self.network.connect(self.cloud)
        self.spent: list[int] = []

    def client(self, node: str = "worker-1") -> ModelClient:
        caller = Caller(node, f"{node}.1", self.spent.append)
        options = ClientOptions(read_timeout_s=READ_TIMEOUT_S)
        return ModelClient("sqs", self.network.transport(caller, Service.SQS, options))

    async def send(self, node: str = "worker-1") -> None:
        await self.client(node).call("SendMessage", QueueUrl=queue_url("q"), MessageBody="m")


class Callers(Observer):
    """Notes who sends."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.seen: list[str] = []

    def sent(self, *_: object) -> None:
        self.seen.append(self._account.caller)


@dataclass(frozen=True, slots=True)
class Expected:
    """What one call with one kind of fault comes to."""

    code: str | None
    """Of the error that the program sees; None: it sees the answer."""
    after_s: float
    """How long its caller waits."""
    messages: int
    """How many messages it has put in by then."""
    in_the_end: int


EXPECTED = {
    None: Expected(None, 2 * ONE_WAY_S, 1, 1),
    Kind.REFUSED: Expected("EndpointConnectionError", 0.05, 0, 0),
    Kind.THROTTLED: Expected("ThrottlingException", 2 * ONE_WAY_S, 0, 0),
    Kind.REJECTED: Expected("ValidationException", 2 * ONE_WAY_S, 0, 0),
    Kind.FAILED: Expected("InternalFailure", 2 * ONE_WAY_S, 0, 0),
    Kind.FAILED_AFTER: Expected("InternalFailure", 2 * ONE_WAY_S, 1, 1),
    Kind.LOST: Expected("ReadTimeoutError", READ_TIMEOUT_S, 0, 0),
    Kind.UNANSWERED: Expected("ConnectionClosedError", 2 * ONE_WAY_S, 1, 1),
    Kind.LATE: Expected("ReadTimeoutError", READ_TIMEOUT_S, 0, 1),
    Kind.TWICE: Expected(None, 2 * ONE_WAY_S, 1, 2),
    Kind.ENTRIES: Expected(None, 2 * ONE_WAY_S, 1, 1),
}


def test_every_kind_of_fault_is_tested() -> None:
    assert set(EXPECTED) == {None, *Kind}


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_call_has_the_effect_the_answer_and_the_error_of_its_fault(kind: Kind | None) -> None:
    expected = EXPECTED[kind]

    async def main() -> None:
        noise = () if kind is None else (Noise(service=Service.SQS, kind=kind, probability=1.0),)
        world = World(*noise)
        code = None
        try:
            await world.send()
        except AwsError as error:
            code = error.code
        assert code == expected.code
        assert running().time() - START_S == pytest.approx(expected.after_s)
        assert world.queue.waiting == expected.messages
        await anyio.sleep(10)
        assert world.queue.waiting == expected.in_the_end

    run(main)


@virtual_time
async def test_a_throttle_is_recognised_as_one() -> None:
    world = World(Noise(service=Service.SQS, kind=Kind.THROTTLED, probability=1.0))
    with pytest.raises(Transient) as caught:
        await world.send()
    assert caught.value.is_throttle


@virtual_time
async def test_an_outage_of_one_node_leaves_the_others_alone_and_ends() -> None:
    world = World(
        Outage(service=Service.SQS, from_s=1.0, until_s=2.0, kind=Kind.FAILED, node="worker-1")
    )
    await world.send("worker-1")
    await anyio.sleep(1.0)
    with pytest.raises(AwsError):
        await world.send("worker-1")
    await world.send("worker-2")
    await anyio.sleep(1.0)
    await world.send("worker-1")
    assert world.queue.waiting == 3


@virtual_time
async def test_an_outage_of_one_operation_leaves_the_others_alone() -> None:
    world = World(
        Outage(service=Service.SQS, from_s=0.0, until_s=9.0, operation="SendMessageBatch")
    )
    await world.send()
    with pytest.raises(AwsError):
        await world.client().call("SendMessageBatch", QueueUrl=queue_url("q"), Entries=[])
    assert world.queue.waiting == 1


@virtual_time
async def test_noise_on_one_service_leaves_the_others_alone() -> None:
    world = World(Noise(service=Service.DYNAMODB, kind=Kind.FAILED, probability=1.0))
    await world.send()
    assert world.queue.waiting == 1


@virtual_time
async def test_single_entries_fail_in_a_call_that_succeeds() -> None:
    world = World(Noise(service=Service.SQS, kind=Kind.ENTRIES, probability=0.5))
    entries = [{"Id": str(n), "MessageBody": "m"} for n in range(10)]
    answer = await world.client().call("SendMessageBatch", QueueUrl=queue_url("q"), Entries=entries)
    failed = {entry["Id"] for entry in answer["Failed"]}
    assert 0 < len(failed) < 10
    assert failed | {entry["Id"] for entry in answer["Successful"]} == set(map(str, range(10)))
    assert {entry["Code"] for entry in answer["Failed"]} == {"InternalError"}
    assert world.queue.waiting == 10 - len(failed)


@virtual_time
async def test_a_client_has_no_more_calls_under_way_than_connections() -> None:
    world = World()
    caller = Caller("worker-1", "worker-1.1", world.spent.append)
    options = ClientOptions(max_connections=2)
    client = ModelClient("sqs", world.network.transport(caller, Service.SQS, options))
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(
                lambda: client.call("SendMessage", QueueUrl=queue_url("q"), MessageBody="m")
            )
    assert running().time() - START_S == pytest.approx(4 * ONE_WAY_S)


@virtual_time
async def test_an_answer_that_no_fault_holds_up_takes_two_seconds_at_most() -> None:
    world = World(latencies=Latencies(sqs_s=1.0, sigma=3.0))
    took_s = []
    for _ in range(20):
        began_s = running().time()
        await world.send()
        took_s.append(running().time() - began_s)
    assert max(took_s) == pytest.approx(2.0)


@virtual_time
async def test_a_caller_pays_for_each_call_and_each_message_that_it_brings() -> None:
    world = World()
    for _ in range(3):
        await world.send()
    await world.client().call(
        "ReceiveMessage", QueueUrl=queue_url("q"), MaxNumberOfMessages=10, WaitTimeSeconds=0
    )
    assert world.spent == [0, 0, 0, 3]


@virtual_time
async def test_effects_carry_the_name_of_the_process_that_called() -> None:
    world = World()
    account = world.cloud.account
    account.observer = callers = Callers(account)
    await world.send("ingest-2")
    assert callers.seen == ["ingest-2.1"]
