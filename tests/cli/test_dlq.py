"""`participation dlq`: a look that hides nothing, and a redrive that marks what it moves."""

import anyio
import pytest

from aws.client import Connection
from aws.queue import Delivery, OutgoingMessage, Queue
from aws.sdk import open_client
from tests.cli.conftest import Command

NO_JSON = OutgoingMessage("nonsense", {"reasonCode": "BODY_NOT_JSON", "attempt": "1"})
MISSING = OutgoingMessage("{}", {"reasonCode": "FIELD_MISSING"})
MOVED_BY_SQS = OutgoingMessage('{"requestId": "r1"}', {"traceId": "t1"})


@pytest.fixture
def dead(connection: Connection, deployed: dict[str, str]) -> dict[str, str]:
    """The variables that lead a command to a fresh stack with three messages in its DLQ."""
    anyio.run(send, connection, deployed["DLQ_URL"], [NO_JSON, MISSING, MOVED_BY_SQS])
    return deployed


async def send(connection: Connection, url: str, messages: list[OutgoingMessage]) -> None:
    async with open_client("sqs", connection) as client:
        assert all(isinstance(r, str) for r in await Queue(client, url).send(messages))


async def receive(connection: Connection, url: str) -> list[Delivery]:
    async with open_client("sqs", connection) as client:
        return await Queue(client, url).receive(10, 0, 0)


def bodies(deliveries: list[Delivery]) -> set[str]:
    return {delivery.body for delivery in deliveries}


def test_a_look_shows_each_message_with_its_reason_and_hides_none(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    shown = command("dlq", "list", **dead)

    lines = {
        line.split(maxsplit=2)[1]: line.split(maxsplit=2)[2] for line in shown.out.splitlines()
    }
    assert lines == {
        "BODY_NOT_JSON": "nonsense",
        "FIELD_MISSING": "{}",
        "RETRIES_EXHAUSTED": '{"requestId": "r1"}',
    }
    assert shown.err == "3 message(s)\n"
    assert len(anyio.run(receive, connection, dead["DLQ_URL"])) == 3


def test_a_look_may_be_limited_and_narrowed(command: Command, dead: dict[str, str]) -> None:
    assert command("dlq", "list", "--limit=2", **dead).err == "2 message(s)\n"
    narrowed = command("dlq", "list", "--reason=FIELD_MISSING", **dead)
    assert "FIELD_MISSING" in narrowed.out
    assert narrowed.err == "1 message(s)\n"


def test_a_dry_run_counts_and_moves_nothing(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    counted = command("dlq", "redrive", "--dry-run", **dead)

    assert counted.code == 0
    assert counted.out.endswith("3 message(s) would be moved\n")
    assert len(anyio.run(receive, connection, dead["DLQ_URL"])) == 3
    assert anyio.run(receive, connection, dead["QUEUE_URL"]) == []


def test_a_redrive_moves_what_is_meant_marked_and_with_its_own_attributes(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    moved = command("dlq", "redrive", "--reason=RETRIES_EXHAUSTED", **dead)

    assert moved.code == 0
    assert "1 message(s) moved, 0 stayed" in moved.out
    (delivery,) = anyio.run(receive, connection, dead["QUEUE_URL"])
    assert delivery.body == MOVED_BY_SQS.body
    assert delivery.attributes.keys() == {"traceId", "redrivenAt"}
    assert int(delivery.attributes["redrivenAt"]) > 1_600_000_000_000
    left = anyio.run(receive, connection, dead["DLQ_URL"])
    assert bodies(left) == {NO_JSON.body, MISSING.body}


def test_our_own_marks_give_way_to_the_redrive_s(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    command("dlq", "redrive", "--reason=BODY_NOT_JSON", **dead)

    (delivery,) = anyio.run(receive, connection, dead["QUEUE_URL"])
    assert delivery.attributes.keys() == {"redrivenAt"}


def test_a_redrive_may_be_limited(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    assert "2 message(s) moved" in command("dlq", "redrive", "--limit=2", **dead).out

    assert len(anyio.run(receive, connection, dead["QUEUE_URL"])) == 2
    assert len(anyio.run(receive, connection, dead["DLQ_URL"])) == 1


def test_an_empty_dlq_is_no_error(command: Command, deployed: dict[str, str]) -> None:
    assert command("dlq", "list", **deployed).err == "0 message(s)\n"
    moved = command("dlq", "redrive", **deployed)
    assert (moved.code, moved.out) == (0, "0 message(s) moved, 0 stayed\n")
