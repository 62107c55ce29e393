"""`participation dlq delete`: exactly what was counted goes, once somebody has said yes."""

import io
import json

import anyio
import pytest

from aws.client import Connection
from aws.queue import OutgoingMessage
from tests.cli.conftest import Command
from tests.cli.test_dlq import MISSING, NO_JSON, bodies, receive, send


@pytest.fixture
def dead(connection: Connection, deployed: dict[str, str]) -> dict[str, str]:
    """The variables that lead a command to a fresh stack with two messages in its DLQ."""
    anyio.run(send, connection, deployed["DLQ_URL"], [NO_JSON, MISSING])
    return deployed


def test_what_is_selected_is_deleted_and_the_rest_stays(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    done = command("dlq", "delete", "--reason=BODY_NOT_JSON", "--yes", **dead)

    assert done.code == 0
    assert done.out.splitlines() == [
        f"{'BODY_NOT_JSON':<24} 1",
        "1 message(s) would be deleted",
        "1 message(s) deleted, 0 stayed",
    ]
    assert '"event":"dead_letters_deleted"' in done.err
    assert bodies(anyio.run(receive, connection, dead["DLQ_URL"])) == {MISSING.body}


def test_in_json_it_writes_one_document(command: Command, dead: dict[str, str]) -> None:
    done = command("dlq", "delete", "--reason=BODY_NOT_JSON", "--yes", "--json", **dead)

    assert json.loads(done.out) == {
        "messages": 1,
        "byReason": {"BODY_NOT_JSON": 1},
        "stayed": 0,
    }


def test_messages_can_be_named_by_their_ids(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    _, line = command("dlq", "list", "--reason=FIELD_MISSING", **dead).out.splitlines()
    message_id = line.split()[0]

    done = command("dlq", "delete", message_id, "no-such-id", "--limit=1", "--yes", **dead)

    assert done.code == 1
    assert "1 of the ids are not to be seen in the DLQ" in done.err
    assert bodies(anyio.run(receive, connection, dead["DLQ_URL"])) == {NO_JSON.body}


@pytest.mark.parametrize("answer", ["n\n", ""], ids=["no", "no terminal"])
def test_without_a_yes_nothing_is_deleted_or_hidden(
    command: Command,
    dead: dict[str, str],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    done = command("dlq", "delete", "--all", **dead)

    assert done.code == 1
    assert "2 message(s) would be deleted" in done.out
    assert len(anyio.run(receive, connection, dead["DLQ_URL"])) == 2


def test_a_yes_deletes(
    command: Command,
    dead: dict[str, str],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    assert "2 message(s) deleted" in command("dlq", "delete", "--all", **dead).out
    assert anyio.run(receive, connection, dead["DLQ_URL"]) == []


def test_what_comes_after_the_count_stays(
    command: Command,
    dead: dict[str, str],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = OutgoingMessage("late", {"reasonCode": "BODY_NOT_JSON"})

    class Slow(io.StringIO):
        """Somebody who thinks it over while another message comes."""

        def readline(self, *_: object) -> str:  # type: ignore[override]
            anyio.run(send, connection, dead["DLQ_URL"], [late])
            return "y\n"

    monkeypatch.setattr("sys.stdin", Slow())

    assert "1 message(s) deleted" in command("dlq", "delete", "--reason=BODY_NOT_JSON", **dead).out
    assert bodies(anyio.run(receive, connection, dead["DLQ_URL"])) == {MISSING.body, late.body}


def test_a_dry_run_reports_an_id_that_is_not_there_as_the_deletion_would(
    command: Command, dead: dict[str, str]
) -> None:
    assert command("dlq", "delete", "nothing", "--dry-run", **dead).code == 1
    assert command("dlq", "delete", "nothing", "--yes", **dead).code == 1


def test_a_dry_run_deletes_nothing(
    command: Command, dead: dict[str, str], connection: Connection
) -> None:
    done = command("dlq", "delete", "--all", "--dry-run", "--yes", **dead)

    assert (done.code, done.out.splitlines()[-1]) == (0, "2 message(s) would be deleted")
    assert len(anyio.run(receive, connection, dead["DLQ_URL"])) == 2


def test_a_deletion_of_nothing_in_particular_is_refused(command: Command) -> None:
    refused = command("dlq", "delete", "--yes")

    assert refused.code == 2
    assert "--all" in refused.err
