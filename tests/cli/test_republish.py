"""`participation lake republish`: what was lost and kept reaches the bus, and is deleted then."""

import json
import signal
from typing import Any

import anyio
import orjson
import pytest

from aws.bus import BusEntry
from aws.client import Connection
from aws.lost_events import encode
from aws.queue import OutgoingMessage, Queue
from aws.sdk import open_client
from schema import names
from tests import programs
from tests.cli.conftest import Command
from tests.faults.actions import Fault, Hang
from tests.faults.proxy import FaultProxy
from tests.worker.support import World

UNREADABLE = "nonsense"


def entry(number: int) -> BusEntry:
    detail = orjson.dumps({"requestId": f"r{number}"})
    return BusEntry(names.WORKER_SOURCE, names.PARTICIPATION_PROCESSED, detail, 1_704_290_000)


async def lose(connection: Connection, url: str, count: int, *bodies: str) -> None:
    async with open_client("sqs", connection) as client:
        queue = Queue(client, url)
        for body in (*(encode(entry(number)) for number in range(count)), *bodies):
            await queue.send([OutgoingMessage(body)])


async def left(connection: Connection, url: str) -> list[str]:
    """The bodies of what anybody can receive; it is visible again immediately."""
    async with open_client("sqs", connection) as client:
        return [delivery.body for delivery in await Queue(client, url).receive(10, 0, 0)]


@pytest.fixture
def lost(connection: Connection, deployed: dict[str, str]) -> dict[str, str]:
    """The variables that lead a command to a fresh stack with three lost events."""
    anyio.run(lose, connection, deployed["LOST_EVENTS_QUEUE_URL"], 3)
    return deployed


def test_lost_events_are_published_and_deleted(
    command: Command, lost: dict[str, str], connection: Connection
) -> None:
    done = command("lake", "republish", **lost)

    assert done.code == 0
    assert done.out == "3 event(s) published, 0 not accepted, 0 unreadable\n"
    assert anyio.run(left, connection, lost["LOST_EVENTS_QUEUE_URL"]) == []


def test_a_dry_run_counts_says_how_old_and_hides_nothing(
    command: Command, lost: dict[str, str], connection: Connection
) -> None:
    url = lost["LOST_EVENTS_QUEUE_URL"]
    anyio.run(lose, connection, url, 0, UNREADABLE)

    shown = command("lake", "republish", "--dry-run", **lost)

    assert shown.code == 0
    assert shown.out.splitlines() == [
        f"{names.PARTICIPATION_PROCESSED:<24} 3",
        f"{'(unreadable)':<24} 1",
        "3 event(s) would be published; the oldest was lost 0 h 0 min ago",
    ]
    assert len(anyio.run(left, connection, url)) == 4


def test_counts_come_in_json_as_well(command: Command, lost: dict[str, str]) -> None:
    found = json.loads(command("lake", "republish", "--dry-run", "--json", **lost).out)
    done = json.loads(command("lake", "republish", "--json", **lost).out)

    assert found.pop("oldestSentAt") > 1_600_000_000_000
    assert found == {
        "events": 3,
        "byType": {names.PARTICIPATION_PROCESSED: 3},
        "unreadable": 0,
    }
    assert done == {"published": 3, "notAccepted": 0, "unreadable": 0}


def test_what_cannot_be_read_stays_and_is_the_exit_code(
    command: Command, lost: dict[str, str], connection: Connection
) -> None:
    url = lost["LOST_EVENTS_QUEUE_URL"]
    anyio.run(lose, connection, url, 0, UNREADABLE)

    done = command("lake", "republish", **lost)

    assert done.code == 1
    assert "3 event(s) published, 0 not accepted, 1 unreadable" in done.out
    assert anyio.run(left, connection, url) == [UNREADABLE]


def test_no_more_are_published_than_asked_for(
    command: Command, lost: dict[str, str], connection: Connection
) -> None:
    assert "2 event(s) published" in command("lake", "republish", "--max=2", **lost).out

    assert len(anyio.run(left, connection, lost["LOST_EVENTS_QUEUE_URL"])) == 1


def test_a_bus_that_does_not_exist_is_one_sentence_and_costs_nothing(
    command: Command, lost: dict[str, str], connection: Connection
) -> None:
    refused = command("lake", "republish", **{**lost, "EVENT_BUS_NAME": "no-such-bus"})

    assert refused.code == 1
    assert refused.err.strip().startswith(
        "participation: events.DescribeEventBus: ResourceNotFound"
    )
    assert len(anyio.run(left, connection, lost["LOST_EVENTS_QUEUE_URL"])) == 3


def test_without_a_queue_there_is_nothing_to_do(command: Command, deployed: dict[str, str]) -> None:
    refused = command("lake", "republish", **{**deployed, "LOST_EVENTS_QUEUE_URL": ""})

    assert refused.code == 2
    assert "LOST_EVENTS_QUEUE_URL is not set" in refused.err


async def test_an_event_whose_run_is_killed_before_its_delete_is_published_again(
    world: World, proxy: FaultProxy
) -> None:
    url = world.stack.lost_events_queue_url
    await lose(world.connection, url, 3)
    environment = programs.variables(world.connection, world.stack)
    through = {**environment, "AWS_ENDPOINT_URL": proxy.endpoint_url}

    with proxy.add(Fault("DeleteMessageBatch", Hang())):
        async with programs.participation("lake", "republish", environment=through) as killed:
            call = await proxy.reached("DeleteMessageBatch", "arrived")
            # A poll under way would go on without its client, and hide what is shown again.
            await proxy.reached("ReceiveMessage", "answered", count=4)
            killed.send(signal.SIGKILL)
            await killed.wait()
    await show_again(world, url, call.request)
    async with programs.participation("lake", "republish", environment=environment) as second:
        ended = await second.ended()

    assert ended.exit_code == 0
    assert "3 event(s) published" in ended.output
    assert await left(world.connection, url) == []
    lines = [json.dumps(envelope["detail"]) for envelope in await world.published()]
    assert len(lines) == 6
    assert len(set(lines)) == 3


async def test_an_interrupted_run_ends_cleanly_and_hides_nothing(
    world: World, proxy: FaultProxy
) -> None:
    url = world.stack.lost_events_queue_url
    await lose(world.connection, url, 3)
    through = programs.variables(world.connection, world.stack)
    through["AWS_ENDPOINT_URL"] = proxy.endpoint_url

    with proxy.hold("PutEvents", "arrived") as gate:
        async with programs.participation("lake", "republish", environment=through) as program:
            await gate.reached()
            program.send(signal.SIGINT)
            ended = await program.ended()

    assert ended.exit_code == 130
    assert "Traceback" not in ended.output
    assert "run it again" in ended.output
    assert len(await left(world.connection, url)) == 3


async def show_again(world: World, url: str, deletes: dict[str, Any]) -> None:
    """Let the visibility timeout of what was to be deleted be over."""
    async with open_client("sqs", world.connection) as client:
        for deleted in deletes["Entries"]:
            await client.call(
                "ChangeMessageVisibility",
                QueueUrl=url,
                ReceiptHandle=deleted["ReceiptHandle"],
                VisibilityTimeout=0,
            )
