"""`participation events winners`: who won, in order, as a table, CSV or JSON."""

import json
import os
import subprocess
import sys
from functools import partial

import anyio
import pytest

from aws.client import Connection
from schema.items import RequestItem
from schema.states import Status
from tests.cli.conftest import Command, store

AT_MS = 1_704_290_000_000


def request(user: str, status: Status, finished_at_ms: int) -> RequestItem:
    return RequestItem(
        request_id=f"r-{user}",
        event_id="e1",
        user_id=user,
        event_type="FIRST_COME",
        status=status,
        queued_at_ms=AT_MS,
        finished_at_ms=finished_at_ms,
    )


@pytest.fixture
def decided(command: Command, deployed: dict[str, str], connection: Connection) -> dict[str, str]:
    """The variables that lead a command to an event with two winners and a loser."""
    command("events", "create", "e1", "--capacity=2", **deployed)
    requests = [
        request("u1", Status.SUCCEEDED, AT_MS + 2),
        request("u2", Status.REJECTED, AT_MS + 1),
        request('u"3,', Status.SUCCEEDED, AT_MS + 1),
    ]
    anyio.run(partial(store, connection, deployed["TABLE_NAME"], *requests))
    return deployed


def test_winners_are_listed_in_the_order_of_their_decisions(
    command: Command, decided: dict[str, str]
) -> None:
    listed = command("events", "winners", "e1", **decided)

    assert listed.code == 0
    assert listed.out.splitlines() == [
        "DECIDED\tUSER\tREQUEST",
        '2024-01-03T13:53:20.001Z\tu"3,\tr-u"3,',
        "2024-01-03T13:53:20.002Z\tu1\tr-u1",
    ]


def test_csv_quotes_what_an_id_holds(command: Command, decided: dict[str, str]) -> None:
    listed = command("events", "winners", "e1", "--format=csv", **decided)

    assert listed.out.splitlines() == [
        "finishedAt,userId,requestId,queuedAt",
        f'{AT_MS + 1},"u""3,","r-u""3,",{AT_MS}',
        f"{AT_MS + 2},u1,r-u1,{AT_MS}",
    ]


def test_json_is_one_array(command: Command, decided: dict[str, str]) -> None:
    listed = command("events", "winners", "e1", "--json", **decided)
    assert listed == command("events", "winners", "e1", "--format=json", **decided)

    first, second = json.loads(listed.out)
    assert first["userId"] == 'u"3,'
    assert second == {
        "finishedAt": AT_MS + 2,
        "userId": "u1",
        "requestId": "r-u1",
        "queuedAt": AT_MS,
    }


def test_an_event_without_winners_is_an_empty_array(
    command: Command, deployed: dict[str, str]
) -> None:
    command("events", "create", "e1", "--capacity=2", **deployed)

    assert json.loads(command("events", "winners", "e1", "--format=json", **deployed).out) == []


def test_an_event_that_does_not_exist_has_no_winners(
    command: Command, deployed: dict[str, str]
) -> None:
    listed = command("events", "winners", "nothing", **deployed)

    assert (listed.code, listed.err) == (1, "participation: there is no event 'nothing'\n")


def test_whoever_reads_the_list_may_go_before_its_end(
    decided: dict[str, str], connection: Connection
) -> None:
    """As in `participation events winners e1 | head -1`, with more than a buffer holds."""
    for start in range(0, 300, 25):
        some = [
            request(f"{'u' * 50}{number}", Status.SUCCEEDED, AT_MS)
            for number in range(start, start + 25)
        ]
        anyio.run(partial(store, connection, decided["TABLE_NAME"], *some))
    listing = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "events", "winners", "e1", "--format=csv"],
        env={**os.environ, **decided},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert listing.stdout is not None
    listing.stdout.readline()
    listing.stdout.close()
    _, written = listing.communicate(timeout=60)

    assert written == b""
    assert listing.returncode == 1
