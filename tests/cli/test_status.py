"""`participation status`: by a stack, by the environment, with what cannot be read in its place."""

import json
import signal
import threading
from collections.abc import Iterator
from functools import partial

import anyio
import anyio.to_thread
import pytest

from aws.client import Connection
from aws.queue import OutgoingMessage, Queue
from aws.sdk import open_client
from local.emulator.stack import StackOutputs
from tests import programs
from tests.aws.stand_in import ROLE, CutOff, StandIn, denied, standing_in
from tests.cli.conftest import Command
from tests.operations import account


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with standing_in() as stand_in:
        stand_in.answers = account.healthy() | {
            "cloudwatch.GetMetricData": account.metrics(7.0, 3_600.0)
        }
        yield stand_in


async def send(connection: Connection, url: str, count: int) -> None:
    async with open_client("sqs", connection) as client:
        await Queue(client, url).send([OutgoingMessage("x")] * count)


def test_a_stack_is_shown_on_one_page(command: Command, aws: StandIn) -> None:
    aws.answers |= {
        "sqs.GetQueueAttributes": account.depths(QueueUrl=1_200, DlqUrl=2),
        "cloudwatch.DescribeAlarms": account.alarms(ringing="event-dlq-not-empty"),
    }
    shown = command("status", "--stack", "event", **aws.variables)
    assert (shown.code, shown.err) == (0, "")
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows[0][0] == "event"
    assert ["requests", "1,200", "0", "0", "7", "s"] in rows
    assert ["dead", "letters", "2", "0", "0", "3,600", "s"] in rows
    assert ["undelivered", "events", "0", "0", "0", "-"] in rows
    assert ["worker", "4", "4", "0", "4", "20"] in rows
    assert "alarm event-dlq-not-empty: Threshold Crossed" in shown.out
    assert "bus default, rule rule-worker-to-firehose: ENABLED" in shown.out


def test_its_json_has_stable_keys(command: Command, aws: StandIn) -> None:
    shown = command("status", "--stack", "event", "--json", **aws.variables)
    document = json.loads(shown.out)
    assert document.pop("at") > 1_700_000_000_000
    empty = {"waiting": 0, "inFlight": 0, "delayed": 0}
    tasks = {"running": 4, "wanted": 4, "pending": 0, "least": 4, "most": 20}
    assert document == {
        "queues": {
            "requests": {**empty, "oldestAgeS": 7.0},
            "deadLetters": {**empty, "oldestAgeS": 3_600.0},
            "lostEvents": {**empty, "oldestAgeS": None},
            "undeliveredEvents": {**empty, "oldestAgeS": None},
        },
        "tasks": {"worker": tasks, "ingest": tasks},
        "alarms": {"ringing": [], "count": 3},
        "route": {"bus": "default", "rule": "rule-worker-to-firehose", "state": "ENABLED"},
    }


def test_what_cannot_be_read_hides_nothing_else(command: Command, aws: StandIn) -> None:
    aws.answers |= {
        "ecs.DescribeServices": denied("ecs:DescribeServices"),
        "cloudwatch.GetMetricData": CutOff(),
    }
    shown = command("status", "--stack", "event", **aws.variables)
    assert shown.code == 0
    assert f"tasks: {ROLE} may not do ecs:DescribeServices on *; add to its policy: " in shown.out
    assert "oldest: cloudwatch.GetMetricData: ConnectionClosedError" in shown.out
    assert "alarms: none of 3 rings" in shown.out


def test_where_nothing_can_be_read_the_exit_code_is_1(command: Command) -> None:
    urls = {"QUEUE_URL": "http://127.0.0.1:1/q", "DLQ_URL": "http://127.0.0.1:1/d"}
    with standing_in() as nothing:
        nothing.answers = {"*": CutOff()}
        shown = command("status", "--json", **nothing.variables, **urls)
    assert shown.code == 1
    assert json.loads(shown.out)["alarms"] == {"error": "not known without --stack"}


def test_a_stack_that_is_not_deployed_is_an_error(command: Command, aws: StandIn) -> None:
    shown = command("status", "--stack", "elsewhere", **aws.variables)
    assert shown.code == 1
    assert shown.err == (
        "participation: there is no stack elsewhere in this account and region: is AWS_REGION "
        "right? `participation deploy` makes one\n"
    )


def test_without_a_stack_the_environments_queues_are_shown(
    command: Command, deployed: dict[str, str], connection: Connection
) -> None:
    anyio.run(send, connection, deployed["QUEUE_URL"], 3)
    anyio.run(send, connection, deployed["DLQ_URL"], 1)
    shown = command("status", "--json", **deployed)
    assert shown.code == 0
    document = json.loads(shown.out)
    waiting = {name: depth["waiting"] for name, depth in document["queues"].items()}
    assert waiting == {"requests": 3, "deadLetters": 1, "lostEvents": 0}
    assert document["tasks"] == {"error": "no services of ECS are known here"}
    assert document["route"]["state"] == "ENABLED"


def test_a_stack_of_the_embedded_aws_is_shown(
    command: Command, deployed: dict[str, str], stack: StackOutputs, connection: Connection
) -> None:
    anyio.run(send, connection, stack.lost_events_queue_url, 2)
    shown = command("status", "--stack", stack.work_group, "--json", **deployed)
    assert shown.code == 0
    document = json.loads(shown.out)
    assert document["queues"]["lostEvents"]["waiting"] == 2
    assert document["alarms"]["count"] > 5
    assert document["alarms"]["ringing"] == []
    assert document["tasks"] == {"error": "no services of ECS are known here"}
    assert document["route"] == {
        "bus": stack.event_bus_name,
        "rule": stack.rule_name,
        "state": "ENABLED",
    }


async def test_to_watch_refreshes_until_ctrl_c_which_is_no_failure(aws: StandIn) -> None:
    looked = threading.Semaphore(0)

    def rule(_asked: dict[str, object]) -> dict[str, object]:
        looked.release()
        return {"Name": "rule", "State": "ENABLED"}

    aws.answers["events.DescribeRule"] = rule
    arguments = ["status", "--stack", "event", "--watch", "--every", "1"]
    async with programs.participation(*arguments, environment=aws.variables) as program:
        for _ in range(2):
            assert await anyio.to_thread.run_sync(partial(looked.acquire, timeout=30))
        program.send(signal.SIGINT)
        ended = await program.ended()
    assert ended.exit_code == 0
    assert "rule rule-worker-to-firehose: ENABLED" in ended.output
    assert "Traceback" not in ended.output
