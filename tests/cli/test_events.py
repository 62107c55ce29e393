"""`participation events`: creating an event once, changing it, and seeing how it stands."""

import json
from random import Random

import anyio
import pytest

from aws.client import Connection
from aws.sdk import open_client
from aws.table import Table
from schema.attributes import Item
from schema.items import Capacity, EventConfig
from tests.cli.conftest import Command

NINE = "2099-01-04T09:00+09:00"
NINE_MS = 4_071_168_000_000


async def stored_config(connection: Connection, table_name: str, event_id: str) -> EventConfig:
    async with open_client("dynamodb", connection) as client:
        state = (await Table(client, table_name, Random(0)).load([], [event_id])).events[event_id]
    assert state.config is not None
    return state.config


async def put(connection: Connection, table_name: str, item: Item) -> None:
    async with open_client("dynamodb", connection) as client:
        await client.call("PutItem", TableName=table_name, Item=item)


def test_an_event_is_created_once_and_shown_with_its_seats(
    command: Command, deployed: dict[str, str]
) -> None:
    created = command("events", "create", "e1", "--capacity", "5", **deployed)
    again = command("events", "create", "e1", "--capacity", "9", **deployed)
    shown = command("events", "show", "e1", **deployed)

    assert (created.code, created.out) == (0, "created FIRST_COME event 'e1' with 5 seats\n")
    assert (again.code, again.err) == (1, "participation: the event 'e1' exists already\n")
    assert shown.code == 0
    assert shown.out.splitlines() == [
        "event      e1 (FIRST_COME)",
        "phase      OPEN",
        "seats      5 of 5 left, 0.0% taken",
    ]


def test_type_and_opening_times_are_stored(
    command: Command, deployed: dict[str, str], connection: Connection
) -> None:
    created = command(
        "events",
        "create",
        "e2",
        "--capacity=0",
        "--type=LOTTERY",
        f"--opens-at={NINE}",
        "--closes-at=2099-01-04T09:00:01+0900",
        **deployed,
    )

    assert created.code == 0
    stored = anyio.run(stored_config, connection, deployed["TABLE_NAME"], "e2")
    assert stored == EventConfig(
        event_id="e2",
        event_type="LOTTERY",
        opens_at_ms=NINE_MS,
        closes_at_ms=NINE_MS + 1_000,
    )
    shown = command("events", "show", "e2", **deployed)
    assert shown.out.splitlines() == [
        "event      e2 (LOTTERY)",
        "phase      UPCOMING",
        "opens      2099-01-04T00:00:00.000Z",
        "closes     2099-01-04T00:00:01.000Z",
        "entries    all who clicked: `participation events winners` lists them",
        "seats      0 of 0 left",
    ]


def test_an_event_that_does_not_exist_is_reported(
    command: Command, deployed: dict[str, str]
) -> None:
    shown = command("events", "show", "nothing", **deployed)

    assert (shown.code, shown.err) == (1, "participation: there is no event 'nothing'\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["e1", "--capacity=-1"],
        ["e1"],
        ["e1", "--capacity=1", "--type=AUCTION"],
        ["x" * 513, "--capacity=1"],
        ["e1", "--capacity=1", f"--opens-at={NINE}", f"--closes-at={NINE}"],
        ["e1", "--capacity=1", "--opens-at=2099-01-04T09:00:00"],
        ["e1", "--capacity=1", "--opens-at=tomorrow"],
        ["e1", "--capacity=1", "--opens-at=1969-01-04T09:00Z"],
        ["e1", "--capacity=1", "--closes-at=2020-01-04T09:00Z"],
    ],
)
def test_what_makes_no_event_is_refused_before_aws_is_called(
    command: Command, arguments: list[str]
) -> None:
    refused = command("events", "create", *arguments)

    assert refused.code == 2
    assert "Traceback" not in refused.err


def test_a_missing_table_is_reported_in_one_sentence(
    command: Command, deployed: dict[str, str]
) -> None:
    shown = command("events", "show", "e1", **deployed | {"TABLE_NAME": "no-such-table"})

    assert shown.code == 1
    assert shown.err.startswith("participation: dynamodb.")
    assert shown.err.count("\n") == 1


def test_events_are_listed_by_id_with_their_seats_and_times(
    command: Command, deployed: dict[str, str]
) -> None:
    assert json.loads(command("events", "list", "--json", **deployed).out) == []
    command("events", "create", "e2", "--capacity=0", f"--opens-at={NINE}", **deployed)
    command("events", "create", "e1", "--capacity=5", **deployed)

    listed = command("events", "list", **deployed)
    first, second = json.loads(command("events", "list", "--json", **deployed).out)

    assert [line.split() for line in listed.out.splitlines()] == [
        ["EVENT", "TYPE", "PHASE", "LEFT", "SEATS", "OPENS", "CLOSES"],
        ["e1", "FIRST_COME", "OPEN", "5", "5", "-", "-"],
        ["e2", "FIRST_COME", "UPCOMING", "0", "0", "2099-01-04T00:00:00.000Z", "-"],
    ]
    assert first == {
        "eventId": "e1",
        "eventType": "FIRST_COME",
        "phase": "OPEN",
        "opensAt": None,
        "closesAt": None,
        "capacityTotal": 5,
        "capacityRemaining": 5,
        "takenShare": 0.0,
        "defect": None,
    }
    assert first == json.loads(command("events", "show", "e1", "--json", **deployed).out)
    assert (second["opensAt"], second["takenShare"]) == (NINE_MS, None)


def test_a_closed_event_takes_no_click_until_it_is_opened(
    command: Command, deployed: dict[str, str], connection: Connection
) -> None:
    command("events", "create", "e1", "--capacity=5", f"--closes-at={NINE}", **deployed)

    closed = command("events", "close", "e1", **deployed)
    assert closed.code == 0
    assert closed.out.endswith("(was 2099-01-04T00:00:00.000Z)\n")
    assert '"event":"event_closed"' in closed.err
    assert phase(command, deployed) == "CLOSED"
    again = command("events", "close", "e1", **deployed)
    assert (again.code, again.err) == (0, "")

    opened = command("events", "open", "e1", f"--closes-at={NINE}", **deployed)
    assert opened.code == 0
    assert phase(command, deployed) == "OPEN"
    stored = anyio.run(stored_config, connection, deployed["TABLE_NAME"], "e1")
    assert stored == EventConfig(event_id="e1", event_type="FIRST_COME", closes_at_ms=NINE_MS)


def test_an_event_that_has_not_opened_yet_can_be_closed_and_opened(
    command: Command, deployed: dict[str, str]
) -> None:
    command("events", "create", "e1", "--capacity=5", f"--opens-at={NINE}", **deployed)

    command("events", "close", "e1", **deployed)
    assert phase(command, deployed) == "CLOSED"
    command("events", "open", "e1", **deployed)
    assert phase(command, deployed) == "OPEN"


def test_a_rescheduled_event_keeps_the_time_that_is_not_given(
    command: Command, deployed: dict[str, str], connection: Connection
) -> None:
    command("events", "create", "e1", "--capacity=5", f"--opens-at={NINE}", **deployed)

    moved = command("events", "reschedule", "e1", "--closes-at=2099-01-04T09:01+09:00", **deployed)
    refused = command("events", "reschedule", "e1", "--opens-at=2099-01-05T09:00Z", **deployed)

    assert moved.code == 0
    assert (refused.code, refused.err) == (
        1,
        "participation: the event 'e1' would close before it opens\n",
    )
    stored = anyio.run(stored_config, connection, deployed["TABLE_NAME"], "e1")
    assert (stored.opens_at_ms, stored.closes_at_ms) == (NINE_MS, NINE_MS + 60_000)


def test_a_time_can_be_removed(
    command: Command, deployed: dict[str, str], connection: Connection
) -> None:
    times = (f"--opens-at={NINE}", "--closes-at=2099-01-04T10:00+09:00")
    command("events", "create", "e1", "--capacity=5", *times, **deployed)

    removed = command("events", "reschedule", "e1", "--no-closes-at", "--json", **deployed)

    assert json.loads(removed.out) == {
        "eventId": "e1",
        "opensAt": NINE_MS,
        "closesAt": None,
        "openedAt": NINE_MS,
        "closedAt": NINE_MS + 3_600_000,
    }
    command("events", "reschedule", "e1", "--no-opens-at", f"--closes-at={NINE}", **deployed)
    stored = anyio.run(stored_config, connection, deployed["TABLE_NAME"], "e1")
    assert (stored.opens_at_ms, stored.closes_at_ms) == (None, NINE_MS)


def test_what_changes_an_event_answers_in_json(command: Command, deployed: dict[str, str]) -> None:
    created = command("events", "create", "e1", "--capacity=5", "--json", **deployed)
    shown = command("events", "show", "e1", "--json", **deployed)
    added = command("events", "add-seats", "e1", "3", "--json", **deployed)
    closed = command("events", "close", "e1", "--json", **deployed)
    opened = command("events", "open", "e1", "--json", **deployed)

    assert json.loads(created.out) == json.loads(shown.out)
    assert json.loads(added.out) == {
        "eventId": "e1",
        "capacityTotal": 8,
        "capacityRemaining": 8,
        "takenShare": 0.0,
    }
    assert json.loads(closed.out)["closesAt"] == json.loads(opened.out)["closedAt"]
    assert json.loads(opened.out)["closesAt"] is None


def test_seats_are_added_to_what_is_left_and_to_the_total(
    command: Command, deployed: dict[str, str]
) -> None:
    command("events", "create", "e1", "--capacity=5", **deployed)

    added = command("events", "add-seats", "e1", "3", **deployed)

    assert (added.code, added.out) == (0, "added 3 seats to 'e1': 8 of 8 left\n")
    assert '"event":"seats_added"' in added.err
    shown = json.loads(command("events", "show", "e1", "--json", **deployed).out)
    assert (shown["capacityTotal"], shown["capacityRemaining"]) == (8, 8)


def test_a_mistyped_number_of_seats_is_refused_because_seats_stay(
    command: Command, deployed: dict[str, str]
) -> None:
    absurd = command("events", "create", "e1", f"--capacity={'9' * 26}", **deployed)
    command("events", "create", "e1", "--capacity=5", **deployed)
    together = command("events", "add-seats", "e1", "9" * 26, **deployed)
    in_all = command("events", "add-seats", "e1", "10000000", **deployed)

    assert (absurd.code, together.code, in_all.code) == (2, 2, 1)
    assert in_all.err == (
        "participation: the event 'e1' has 5 seats, and may have 10,000,000 in all\n"
    )
    shown = json.loads(command("events", "show", "e1", "--json", **deployed).out)
    assert (shown["capacityTotal"], shown["capacityRemaining"]) == (5, 5)


def test_an_item_with_an_absurd_number_hides_no_other_event(
    command: Command, deployed: dict[str, str], connection: Connection
) -> None:
    command("events", "create", "e1", "--capacity=5", **deployed)
    command("events", "create", "e2", "--capacity=5", **deployed)
    huge = Capacity(event_id="e1", total=10**26, remaining=10**26)
    anyio.run(put, connection, deployed["TABLE_NAME"], huge.to_item())

    listed = json.loads(command("events", "list", "--json", **deployed).out)

    assert [one["capacityTotal"] for one in listed] == [None, 5]
    assert "beyond" in listed[0]["defect"]


@pytest.mark.parametrize("event_id", ["a b", "a/b", "a?b", "a#b", "a%b", "a\\b", "a\n", "\x7f"])
def test_an_id_that_no_url_reaches_is_refused(command: Command, event_id: str) -> None:
    refused = command("events", "create", event_id, "--capacity=1")

    assert refused.code == 2
    assert "part of a URL's path" in " ".join(refused.err.replace("│", " ").split())


@pytest.mark.parametrize(
    "arguments",
    [["close"], ["open"], ["reschedule", f"--opens-at={NINE}"], ["add-seats", "3"]],
    ids=lambda arguments: arguments[0],
)
def test_an_event_that_does_not_exist_cannot_be_changed(
    command: Command, deployed: dict[str, str], arguments: list[str]
) -> None:
    refused = command("events", arguments[0], "nothing", *arguments[1:], **deployed)

    assert (refused.code, refused.err) == (1, "participation: there is no event 'nothing'\n")
    assert json.loads(command("events", "list", "--json", **deployed).out) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["reschedule", "e1"],
        ["reschedule", "e1", "--closes-at=2020-01-04T09:00Z"],
        ["reschedule", "e1", f"--closes-at={NINE}", "--no-closes-at"],
        ["open", "e1", "--closes-at=2020-01-04T09:00Z"],
        ["add-seats", "e1", "0"],
    ],
)
def test_a_change_that_makes_no_sense_is_refused_before_aws_is_called(
    command: Command, arguments: list[str]
) -> None:
    refused = command("events", *arguments)

    assert refused.code == 2
    assert "Traceback" not in refused.err


def test_an_event_of_an_earlier_version_is_listed_once_it_is_changed(
    command: Command, deployed: dict[str, str], connection: Connection
) -> None:
    command("events", "create", "e1", "--capacity=5", **deployed)
    anyio.run(unlist, connection, deployed["TABLE_NAME"], "e1")
    assert json.loads(command("events", "list", "--json", **deployed).out) == []

    command("events", "add-seats", "e1", "1", **deployed)

    (listed,) = json.loads(command("events", "list", "--json", **deployed).out)
    assert listed["eventId"] == "e1"


def phase(command: Command, deployed: dict[str, str]) -> object:
    return json.loads(command("events", "show", "e1", "--json", **deployed).out)["phase"]


async def unlist(connection: Connection, table_name: str, event_id: str) -> None:
    """Leave the event as an earlier version left it."""
    async with open_client("dynamodb", connection) as client:
        key = {"PK": {"S": "EVENTS"}, "SK": {"S": event_id}}
        await client.call("DeleteItem", TableName=table_name, Key=key)
