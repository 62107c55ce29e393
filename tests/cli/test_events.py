"""`participation events`: creating an event once, and seeing how it stands, and who won."""

from functools import partial
from random import Random

import anyio
import pytest

from aws.client import Connection
from aws.sdk import open_client
from aws.table import Table
from schema.items import EventConfig, RequestItem
from schema.states import Status
from tests.cli.conftest import Command

NINE = "2026-01-04T09:00:00+0900"


async def stored_config(connection: Connection, table_name: str, event_id: str) -> EventConfig:
    async with open_client("dynamodb", connection) as client:
        state = (await Table(client, table_name, Random(0)).load([], [event_id])).events[event_id]
    assert state.config is not None
    return state.config


async def store(connection: Connection, table_name: str, *requests: RequestItem) -> None:
    async with open_client("dynamodb", connection) as client:
        assert not any(await Table(client, table_name, Random(0)).insert(requests))


def request(user: str, status: Status, finished_at_ms: int) -> RequestItem:
    return RequestItem(
        request_id=f"r-{user}",
        event_id="e1",
        user_id=user,
        event_type="FIRST_COME",
        status=status,
        queued_at_ms=1_704_290_000_000,
        finished_at_ms=finished_at_ms,
    )


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
        "seats      5 of 5 left",
    ]


def test_winners_are_listed_in_the_order_of_their_decisions(
    command: Command, deployed: dict[str, str], connection: Connection
) -> None:
    requests = [
        request("u1", Status.SUCCEEDED, 1_704_290_000_002),
        request("u2", Status.REJECTED, 1_704_290_000_001),
        request("u3", Status.SUCCEEDED, 1_704_290_000_001),
    ]
    anyio.run(partial(store, connection, deployed["TABLE_NAME"], *requests))

    listed = command("events", "winners", "e1", **deployed)

    assert listed.code == 0
    assert listed.out.splitlines() == [
        "2024-01-03T13:53:20.001Z\tu3\tr-u3",
        "2024-01-03T13:53:20.002Z\tu1\tr-u1",
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
        "--closes-at=2026-01-04T09:00:01+0900",
        **deployed,
    )

    assert created.code == 0
    stored = anyio.run(stored_config, connection, deployed["TABLE_NAME"], "e2")
    assert stored == EventConfig(
        event_id="e2",
        event_type="LOTTERY",
        opens_at_ms=1_767_484_800_000,
        closes_at_ms=1_767_484_801_000,
    )
    shown = command("events", "show", "e2", **deployed)
    assert shown.out.splitlines() == [
        "event      e2 (LOTTERY)",
        "opens      2026-01-04T00:00:00.000Z",
        "closes     2026-01-04T00:00:01.000Z",
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
        ["e1", "--capacity=1", "--opens-at=2026-01-04T09:00:00"],
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
