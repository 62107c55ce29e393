"""`participation dlq`: a look that hides nothing, and a redrive that marks what it moves."""

import json
import re

import anyio
import pytest

from aws.client import Connection
from aws.queue import Delivery, OutgoingMessage, Queue
from aws.sdk import open_client
from schema.message import ParticipationMessage
from tests.cli.conftest import Command

NO_JSON = OutgoingMessage("nonsense", {"reasonCode": "BODY_NOT_JSON", "attempt": "1"})
MISSING = OutgoingMessage("{}", {"reasonCode": "FIELD_MISSING"})
MOVED_BY_SQS = OutgoingMessage(ParticipationMessage("r1", "e1", "u1").encode(), {"traceId": "t1"})


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

    heading, *lines = (re.split(r"\s{2,}", line, maxsplit=5) for line in shown.out.splitlines())
    assert heading == ["MESSAGE", "REASON", "AGE", "RECEIVES", "EVENT", "BODY"]
    assert {line[1]: line[3:] for line in lines} == {
        "BODY_NOT_JSON": ["1", "-", "nonsense"],
        "FIELD_MISSING": ["1", "-", "{}"],
        "RETRIES_EXHAUSTED": ["1", "e1", MOVED_BY_SQS.body],
    }
    assert shown.err == "3 message(s)\n"
    assert len(anyio.run(receive, connection, dead["DLQ_URL"])) == 3


def test_its_json_has_the_whole_body_and_who_is_concerned(
    command: Command, dead: dict[str, str]
) -> None:
    (shown,) = json.loads(
        command("dlq", "list", "--reason=RETRIES_EXHAUSTED", "--json", **dead).out
    )

    assert shown.pop("messageId")
    assert shown.pop("sentAt") > 1_600_000_000_000
    assert shown.pop("ageS") >= 0
    assert shown == {
        "reason": "RETRIES_EXHAUSTED",
        "receives": 1,
        "requestId": "r1",
        "eventId": "e1",
        "body": MOVED_BY_SQS.body,
    }


def test_a_body_cannot_steer_the_terminal(
    command: Command, deployed: dict[str, str], connection: Connection
) -> None:
    hostile = "a\x9b2Jb\rc\u202ed" + "x" * 200
    anyio.run(send, connection, deployed["DLQ_URL"], [OutgoingMessage(hostile)])

    shown = command("dlq", "list", **deployed)

    assert shown.out.endswith(f"a 2Jb c d{'x' * 91}…\n")


def test_a_look_may_be_limited_and_narrowed(command: Command, dead: dict[str, str]) -> None:
    assert command("dlq", "list", "--limit=2", **dead).err == "2 message(s)\n"
    narrowed = command("dlq", "list", "--reason=FIELD_MISSING", **dead)
    assert "FIELD_MISSING" in narrowed.out
    assert narrowed.err == "1 message(s)\n"


def test_a_dry_run_counts_and_moves_nothing(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    counted = command("dlq", "redrive", "--all", "--dry-run", **dead)

    assert counted.code == 0
    assert counted.out.endswith("3 message(s) would be moved\n")
    assert len(anyio.run(receive, connection, dead["DLQ_URL"])) == 3
    assert anyio.run(receive, connection, dead["QUEUE_URL"]) == []


def test_a_redrive_leaves_what_is_quarantined_unless_it_is_asked_to_move_all(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    moved = command("dlq", "redrive", **dead)

    assert moved.out.endswith("1 message(s) moved, 0 failed, 2 left out\n")
    audit = json.loads(moved.err.splitlines()[-1])
    assert (audit["event"], audit["moved"]) == ("dead_letters_redriven", 1)
    left = anyio.run(receive, connection, dead["DLQ_URL"])
    assert bodies(left) == {NO_JSON.body, MISSING.body}

    assert "2 message(s) moved" in command("dlq", "redrive", "--all", **dead).out


def test_a_redrive_counts_first_and_answers_in_json(command: Command, dead: dict[str, str]) -> None:
    counted = command("dlq", "redrive", "--all", "--dry-run", "--json", **dead)
    moved = command("dlq", "redrive", "--reason=FIELD_MISSING", "--json", **dead)

    reasons = {"BODY_NOT_JSON": 1, "FIELD_MISSING": 1, "RETRIES_EXHAUSTED": 1}
    assert json.loads(counted.out) == {"messages": 3, "byReason": reasons}
    assert moved.err.startswith("1 message(s) to move: FIELD_MISSING 1\n")
    assert json.loads(moved.out) == {
        "messages": 1,
        "byReason": {"FIELD_MISSING": 1},
        "failed": 0,
        "leftOut": 2,
    }


def test_a_redrive_can_be_for_one_event_and_for_what_is_old(
    command: Command, dead: dict[str, str]
) -> None:
    for narrow in ("--event=e2", "--older-than=1h"):
        assert "\n0 message(s) moved" in "\n" + command("dlq", "redrive", narrow, **dead).out

    assert "1 message(s) moved" in command("dlq", "redrive", "--event=e1", **dead).out


def test_a_redrive_moves_what_is_meant_marked_and_with_its_own_attributes(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    moved = command("dlq", "redrive", "--reason=RETRIES_EXHAUSTED", **dead)

    assert moved.code == 0
    assert "1 message(s) moved, 0 failed" in moved.out
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
    assert "2 message(s) moved" in command("dlq", "redrive", "--all", "--limit=2", **dead).out

    assert len(anyio.run(receive, connection, dead["QUEUE_URL"])) == 2
    assert len(anyio.run(receive, connection, dead["DLQ_URL"])) == 1


def test_an_empty_dlq_is_no_error(command: Command, deployed: dict[str, str]) -> None:
    assert command("dlq", "list", **deployed).err == "0 message(s)\n"
    moved = command("dlq", "redrive", **deployed)
    assert (moved.code, moved.out) == (0, "0 message(s) moved, 0 failed, 0 left out\n")


@pytest.mark.parametrize("age", ["1", "h", "-1h", "1w", "999999s"])
def test_what_is_no_age_is_refused_before_aws_is_called(command: Command, age: str) -> None:
    refused = command("dlq", "redrive", f"--older-than={age}")

    assert refused.code == 2
    assert "Traceback" not in refused.err


@pytest.mark.parametrize("arguments", [["list"], ["redrive"], ["delete", "--all"]])
def test_a_missing_queue_is_one_sentence(
    command: Command, deployed: dict[str, str], arguments: list[str]
) -> None:
    missing = deployed | {"DLQ_URL": deployed["DLQ_URL"] + "-missing"}

    refused = command("dlq", *arguments, **missing)

    assert refused.code == 1
    assert refused.err.splitlines()[-1].startswith("participation: sqs.")
    assert "Traceback" not in refused.err
