"""The daemon: what it checks at the start, what it calls healthy, and how it ends."""

import gc
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from random import Random
from typing import Any

import anyio
import pytest
import structlog

from aws.bus import Bus
from aws.client import Connection
from aws.errors import Fatal, Transient
from aws.queue import Queue
from aws.sdk import opener
from aws.table import Table
from local.emulator.stack import StackOutputs
from runtime import program
from runtime.stop import ExitCode, Stop
from simulation.aws.errors import ServiceError
from simulation.settings import QUEUE
from tests.aws.model import Aws
from tests.aws.scripted import ScriptedClient
from tests.aws.wire import DENIED
from tests.virtual_time import virtual_time
from tests.worker.parts import Requests, parts_of, sample, settings_of
from worker import assembly, daemon
from worker.parts import Parts, Poller

A_QUEUE = {
    "Attributes": {
        "QueueArn": "arn:q",
        "RedrivePolicy": '{"deadLetterTargetArn":"arn:dlq","maxReceiveCount":5}',
    }
}
A_TABLE = {"Table": {"GlobalSecondaryIndexes": [{"IndexName": n} for n in ("GSI1", "GSI2")]}}

NOT_FOUND = "failed with ResourceNotFoundException: there is none"


@pytest.fixture
def collector() -> Iterator[None]:
    """The garbage collector is afterwards as it was before."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def missing(service: str, operation: str) -> Fatal:
    return Fatal(service, operation, "ResourceNotFoundException", "there is none")


async def check(
    queue: Any = A_QUEUE,
    dlq: Any = A_QUEUE,
    table: Any = A_TABLE,
    bus: Any = None,
    lost_events: Any = A_QUEUE,
) -> int | None:
    """Check resources that answer this way; returns the main queue's maxReceiveCount."""
    description = await assembly.check_all(
        Queue(ScriptedClient([queue]), "http://main"),
        Queue(ScriptedClient([dlq]), "http://dead", is_dlq=True),
        Table(ScriptedClient([table]), "T", Random(0)),
        Bus(ScriptedClient([bus or {}]), "bus"),
        Queue(ScriptedClient([lost_events]), "http://lost"),
    )
    return description.max_receive_count


async def test_with_everything_there_the_main_queue_s_description_is_known() -> None:
    assert await check() == 5


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (
            {"queue": missing("sqs", "GetQueueAttributes")},
            f"QUEUE_URL=http://main: GetQueueAttributes {NOT_FOUND}",
        ),
        (
            {"dlq": Fatal("sqs", "GetQueueAttributes", "AccessDenied", "not you")},
            "DLQ_URL=http://dead: GetQueueAttributes failed with AccessDenied: not you",
        ),
        (
            {"table": {"Table": {}}},
            "TABLE_NAME=T: DescribeTable failed with IndexMissing: table T has no index GSI1, GSI2",
        ),
        (
            {"bus": missing("events", "DescribeEventBus")},
            f"EVENT_BUS_NAME=bus: DescribeEventBus {NOT_FOUND}",
        ),
        (
            {"lost_events": missing("sqs", "GetQueueAttributes")},
            f"LOST_EVENTS_QUEUE_URL=http://lost: GetQueueAttributes {NOT_FOUND}",
        ),
    ],
)
async def test_what_is_missing_is_named_by_its_variable(wrong: dict[str, Any], line: str) -> None:
    with pytest.raises(Fatal) as caught:
        await check(**wrong)

    assert caught.value.message.split("\n  ") == ["", line]


async def test_everything_that_is_missing_is_reported_together() -> None:
    with pytest.raises(Fatal) as caught:
        await check(*[missing("x", "y")] * 5)

    names = [line.partition("=")[0] for line in caught.value.message.split("\n  ")]
    assert names == [
        "",
        "DLQ_URL",
        "EVENT_BUS_NAME",
        "LOST_EVENTS_QUEUE_URL",
        "QUEUE_URL",
        "TABLE_NAME",
    ]


@virtual_time
async def test_a_start_waits_for_a_table_that_is_away() -> None:
    async def come_back() -> None:
        await anyio.sleep(600)
        del aws.wire.faults["DescribeTable"]

    aws = Aws()
    aws.wire.faults["DescribeTable"] = repeat(ServiceError("InternalServerError", "x", status=500))
    parts = parts_of(aws, max_receive_count=None)
    began_s = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(come_back)
        await assembly.wait_until_ready(parts)

    assert 600 <= anyio.current_time() - began_s < 605
    assert parts.state.is_ready


@virtual_time
async def test_a_stop_ends_the_waiting_at_the_start() -> None:
    aws = Aws()
    aws.wire.faults["DescribeTable"] = repeat(ServiceError("InternalServerError", "x", status=500))
    parts = parts_of(aws)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(assembly.wait_until_ready, parts)
        await anyio.sleep(60)
        parts.stop.request()

    assert not parts.state.is_ready


async def test_a_bus_that_is_down_for_now_does_not_keep_the_worker_from_starting() -> None:
    away = Transient("events", "DescribeEventBus", "EndpointConnectionError", "refused")
    with structlog.testing.capture_logs() as logged:
        await check(bus=away)

    assert [line["event"] for line in logged] == ["bus_unreachable"]


async def test_a_queue_of_lost_events_that_is_down_for_now_does_not_either() -> None:
    away = Transient("sqs", "GetQueueAttributes", "EndpointConnectionError", "refused")
    with structlog.testing.capture_logs() as logged:
        await check(lost_events=away)

    assert [line["event"] for line in logged] == ["lost_events_queue_unreachable"]


@pytest.mark.parametrize("name", ["queue", "dlq", "table"])
async def test_what_no_decision_can_be_made_without_must_answer(name: str) -> None:
    away = Transient("x", "y", "EndpointConnectionError", "refused")

    with pytest.raises(Transient, match="EndpointConnectionError"):
        await check(**{name: away})


@pytest.mark.usefixtures("collector")
async def test_a_worker_on_a_stack_that_is_not_there_says_so_and_ends(
    connection: Connection, stack: StackOutputs
) -> None:
    settings = settings_of(
        aws_endpoint_url=connection.endpoint_url,
        queue_url=f"{stack.queue_url}-missing",
        dlq_url=stack.dlq_url,
        table_name="no-such-table",
        event_bus_name="no-such-bus",
    )
    with structlog.testing.capture_logs() as logged:
        code = await daemon.run(settings, connection)

    assert code is ExitCode.CANNOT_RUN
    (line,) = [line for line in logged if line["event"] == "cannot_run"]
    for variable in ("QUEUE_URL", "TABLE_NAME", "EVENT_BUS_NAME"):
        assert f"\n  {variable}=" in line["error"]
    assert "DLQ_URL" not in line["error"]


async def test_a_stop_while_it_starts_ends_the_checks_immediately() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        stop = Stop()
        connection = Connection("ap-northeast-2", url, "key", "secret")
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:

                async def start() -> None:
                    settings = settings_of(aws_endpoint_url=url)
                    async with assembly.assemble(
                        settings,
                        opener(connection),
                        clock=program.epoch_ms,
                        random=Random(0),
                        stop=stop,
                    ) as parts:
                        await assembly.wait_until_ready(parts)
                        assert parts.stop.requested

                tasks.start_soon(start)
                await anyio.sleep(0.1)
                stop.request()


@dataclass(slots=True)
class Running:
    """A worker on the model of AWS."""

    aws: Aws
    parts: Parts

    def send(self, count: int) -> None:
        """Store requests and put their messages into the queue."""
        made = Requests()
        items = [made.request() for _ in range(count)]
        self.aws.store(*items)
        self.aws.put(*(made.delivery(item).body for item in items))


def running(**settings: Any) -> Running:
    aws = Aws()
    aws.create("e1", 10)
    return Running(aws, parts_of(aws, **settings))


async def supervise(here: Running, stop_after_s: float) -> ExitCode:
    """Run until a stop after some seconds; returns the exit code."""
    codes: list[ExitCode] = []

    async def run() -> None:
        codes.append(await daemon.supervise(here.parts))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.sleep(stop_after_s)
        here.parts.stop.request()
    return codes[0]


@virtual_time
async def test_a_worker_that_drained_ends_with_0() -> None:
    here = running(receive_wait_s=1)
    here.send(5)

    assert await supervise(here, stop_after_s=10) is ExitCode.DRAINED
    here.aws.check()
    assert len(here.aws.deletes[QUEUE]) == 5
    assert here.aws.statuses == {"SUCCEEDED": 5}
    assert len(here.aws.events) == 5
    assert sample(here.parts, "worker_in_flight_messages") == 0


@virtual_time
async def test_messages_received_and_stopped_before_their_batch_go_back_immediately() -> None:
    here = running(receive_wait_s=1, batch_linger_ms=10_000)
    here.aws.wire.each_way_s["BatchGetItem"] = 0.4
    here.send(15)

    assert await supervise(here, stop_after_s=0.5) is ExitCode.DRAINED
    assert [timeout_s for _, timeout_s in here.aws.hides[QUEUE]] == [0] * 5
    assert here.aws.statuses["QUEUED"] == 5


@virtual_time
async def test_a_drain_cut_off_by_its_deadline_hands_back_what_is_left_and_ends_with_1() -> None:
    here = running(receive_wait_s=1, shutdown_timeout_s=20)
    here.aws.wire.each_way_s["BatchGetItem"] = 3_600
    here.send(23)
    began_s = anyio.current_time()

    assert await supervise(here, stop_after_s=10) is ExitCode.DEADLINE
    assert anyio.current_time() - began_s <= 30
    handed_back = {receipt for receipt, timeout_s in here.aws.hides[QUEUE] if timeout_s == 0}
    assert len(handed_back) == 23
    assert here.parts.state.tally.returned == 23
    assert here.aws.deletes[QUEUE] == []


@virtual_time
async def test_a_long_batch_is_leased_until_it_is_settled() -> None:
    here = running(receive_wait_s=1, visibility_timeout_s=30, shutdown_timeout_s=120)
    here.aws.wire.each_way_s = {"BatchGetItem": 20, "TransactWriteItems": 20}
    here.send(2)

    assert await supervise(here, stop_after_s=10) is ExitCode.DRAINED
    # Extended while it drains, too.
    assert len(here.aws.hides[QUEUE]) >= 4
    assert {timeout_s for _, timeout_s in here.aws.hides[QUEUE]} == {30}
    assert len(here.aws.deletes[QUEUE]) == 2


@virtual_time
async def test_what_only_an_operator_can_fix_ends_the_worker() -> None:
    here = running(receive_wait_s=1)
    here.aws.wire.faults["ReceiveMessage"] = iter([DENIED])

    assert await daemon.supervise(here.parts) is ExitCode.CANNOT_RUN

    assert here.parts.state.failure is not None
    assert here.parts.state.failure.code == "AccessDeniedException"


def test_a_taken_port_ends_the_worker() -> None:
    async def main(port: int) -> None:
        here = running(http_port=port)
        with pytest.raises(OSError, match="in use"):
            await daemon.supervise(here.parts)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        anyio.run(main, taken.getsockname()[1])


def get(url: str) -> tuple[int, str]:
    """Ask the health port; the event loop waits for the answer, and its clock stands still."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own port
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@virtual_time
async def test_a_poll_that_never_ends_fails_the_health_check() -> None:
    here = running(receive_wait_s=1, shutdown_timeout_s=20)
    here.aws.wire.each_way_s["ReceiveMessage"] = 3_600
    with structlog.testing.capture_logs() as logged:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.supervise, here.parts)
            await anyio.sleep(40)
            port = next(line["port"] for line in logged if line["event"] == "worker_started")
            url = f"http://127.0.0.1:{port}/healthz"
            assert get(url) == (200, "ok\n")
            await anyio.sleep(2)
            assert get(url) == (503, "poller 0 has been in one poll for over 41 s\n")
            here.parts.stop.request()


@pytest.mark.parametrize(
    ("poller", "wrong"),
    [
        (Poller(polling_since=None), None),
        (Poller(polling_since=951.0), None),
        (Poller(polling_since=949.0), "poller 1 has been in one poll for over 50 s"),
        (Poller(ended=True), "poller 1 has ended"),
    ],
)
def test_a_poller_that_ended_or_hangs_is_unhealthy(poller: Poller, wrong: str | None) -> None:
    parts = parts_of(receive_wait_s=10)
    parts.state.pollers += [Poller(), poller]

    assert daemon._dead_poller(parts, 1_000.0) == wrong


def test_pollers_that_ended_by_a_stop_are_healthy() -> None:
    parts = parts_of()
    parts.state.pollers.append(Poller(ended=True))
    parts.stop.request()

    assert daemon._dead_poller(parts, 1_000.0) is None
