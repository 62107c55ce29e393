"""`participation requests`: one request by its id, and a user's requests page by page."""

import json
from functools import partial

import anyio
import pytest

from aws.client import Connection
from aws.sdk import open_client
from schema.items import RequestItem
from schema.states import Status
from tests.cli.conftest import Command, store

AT_MS = 1_704_290_000_000


def request(number: int, user: str = "u1") -> RequestItem:
    return RequestItem(
        request_id=f"r{number}",
        event_id=f"e{number}",
        user_id=user,
        event_type="FIRST_COME",
        status=Status.REJECTED,
        result_code="REJECTED_CAPACITY",
        queued_at_ms=AT_MS + number,
        finished_at_ms=AT_MS + 10,
        ttl_s=1_712_066_000,
    )


@pytest.fixture
def stored(deployed: dict[str, str], connection: Connection) -> dict[str, str]:
    """The variables that lead a command to a table with requests of two users."""
    requests = [*map(request, range(1, 4)), request(4, "u2")]
    anyio.run(partial(store, connection, deployed["TABLE_NAME"], *requests))
    return deployed


def test_a_request_is_shown_with_what_is_stored_of_it(
    command: Command, stored: dict[str, str]
) -> None:
    shown = command("requests", "show", "r1", **stored)

    assert [line.split(maxsplit=1) for line in shown.out.splitlines()] == [
        ["requestId", "r1"],
        ["eventId", "e1"],
        ["userId", "u1"],
        ["eventType", "FIRST_COME"],
        ["status", "REJECTED"],
        ["queuedAt", "2024-01-03T13:53:20.001Z"],
        ["finishedAt", "2024-01-03T13:53:20.010Z"],
        ["resultCode", "REJECTED_CAPACITY"],
        ["ttl", "2024-04-02T13:53:20.000Z"],
    ]


def test_its_json_has_every_key(command: Command, stored: dict[str, str]) -> None:
    shown = json.loads(command("requests", "show", "r1", "--json", **stored).out)

    assert (shown["status"], shown["queuedAt"]) == ("REJECTED", AT_MS + 1)
    assert shown["errorMessage"] is None
    assert len(shown) == 18


def test_a_request_that_does_not_exist_is_reported(
    command: Command, deployed: dict[str, str]
) -> None:
    shown = command("requests", "show", "r1", **deployed)

    assert (shown.code, shown.err) == (1, "participation: there is no request 'r1'\n")


def test_an_item_that_breaks_the_contract_is_reported(
    command: Command, deployed: dict[str, str], connection: Connection
) -> None:
    anyio.run(spoil, connection, deployed["TABLE_NAME"])

    shown = command("requests", "show", "r1", **deployed)
    listed = command("requests", "list", "--user=u1", **deployed)

    for refused in (shown, listed):
        assert refused.code == 1
        assert "breaks the contract: attribute 'status' holds the unknown value" in refused.err


def test_a_user_s_requests_are_listed_newest_first_page_by_page(
    command: Command, stored: dict[str, str]
) -> None:
    first = json.loads(
        command("requests", "list", "--user=u1", "--limit=2", "--json", **stored).out
    )
    second = command("requests", "list", "--user=u1", f"--after={first['after']}", **stored)

    assert [one["requestId"] for one in first["requests"]] == ["r3", "r2"]
    assert [line.split() for line in second.out.splitlines()] == [
        ["QUEUED", "EVENT", "REQUEST", "STATUS", "RESULT"],
        ["2024-01-03T13:53:20.001Z", "e1", "r1", "REJECTED", "REJECTED_CAPACITY"],
    ]
    assert second.err == ""


def test_a_table_names_the_next_page(command: Command, stored: dict[str, str]) -> None:
    listed = command("requests", "list", "--user=u1", "--limit=2", **stored)

    assert listed.err == f"more: --after {AT_MS + 2}:r2\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--user=u1", "--limit=101"],
        ["list", "--user=u1", "--after=yesterday"],
        ["list", "--user=u1", f"--after={10**13}:r1"],
    ],
)
def test_what_names_no_page_is_refused_before_aws_is_called(
    command: Command, arguments: list[str]
) -> None:
    refused = command("requests", *arguments, AWS_REGION="ap-northeast-2")

    assert refused.code == 2
    assert "Traceback" not in refused.err


async def spoil(connection: Connection, table_name: str) -> None:
    async with open_client("dynamodb", connection) as client:
        item = {**request(1).to_item(), "status": {"S": "LOST"}}
        await client.call("PutItem", TableName=table_name, Item=item)
