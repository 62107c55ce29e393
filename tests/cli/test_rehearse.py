"""`participation rehearse` on the embedded AWS: the evidence, and what it says where it fails."""

import json
import re
import signal
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from aws.client import Connection
from local.emulator.stack import StackOutputs
from operations import events
from operations.events import Phase
from tests import programs
from tests.cli import pipeline
from tests.cli.pipeline import Pipeline, Ran
from tests.faults.program import Program

LOAD = ("--rate=100", "--seconds=2", "--seats=50")


async def rehearse(place: Pipeline, folder: Path, *more: str, code: int = 0) -> Ran:
    return await place.command(
        "rehearse",
        f"--url={place.url}",
        f"--out={folder}",
        "--yes",
        "--json",
        *LOAD,
        *more,
        code=code,
    )


async def phases(connection: Connection, stack: StackOutputs) -> list[Phase]:
    """Where each listed event stands."""
    found = await events.listed(connection, stack.table_name)
    return [events.phase(event, 2**42) for event in found.values()]


async def test_a_rehearsal_of_a_stack_ends_with_the_evidence(
    connection: Connection, stack: StackOutputs, tmp_path: Path
) -> None:
    name = stack.table_name.removesuffix("-table")
    async with pipeline.running(connection, stack, tmp_path) as place:
        unnamed = replace(
            place, environment={**place.environment, "TABLE_NAME": "", "LAKE_BUCKET": ""}
        )
        ran = await rehearse(unnamed, tmp_path, f"--stack={name}")

    found = ran.json
    assert found["passed"] is True
    assert found["load"]["accepted"] == found["requests"] == 200
    assert found["decided"] == {"SUCCEEDED": 50, "REJECTED": 150}
    assert found["undecided"] == found["seatsLeft"] == 0
    criteria = {one["name"]: one["passed"] for one in found["criteria"]}
    assert all(criteria.values())
    assert criteria.keys() >= {
        "the seats are exact",
        "stored = published",
        "No negative delay",
        "No seat beyond the capacity",
    }
    assert found["eventId"] in await anyio.Path(found["report"]).read_text()
    assert re.search(r"on the table \S+: about \$0\.\d\d by the prices of us-east-1", ran.err)
    (audit,) = [json.loads(line) for line in ran.err.splitlines() if '"rehearsed"' in line]
    assert (audit["event_id"], audit["passed"]) == (found["eventId"], True)
    assert await phases(connection, stack) == [Phase.CLOSED]


async def test_without_a_worker_it_fails_by_what_is_not_decided(
    connection: Connection, stack: StackOutputs, tmp_path: Path
) -> None:
    async with pipeline.running(connection, stack, tmp_path, with_worker=False) as place:
        known = replace(place, environment={**place.environment, "INGEST_URL": place.url}, url="")
        found = (await rehearse(known, tmp_path, "--patience=1", code=1)).json

    assert found["passed"] is False
    assert found["undecided"] == 200
    failed = {one["name"] for one in found["criteria"] if not one["passed"]}
    assert failed == {"every accepted request is decided", "the seats are exact"}


async def test_without_firehose_it_fails_by_what_is_not_published(
    connection: Connection, stack: StackOutputs, tmp_path: Path
) -> None:
    async with pipeline.running(connection, stack, tmp_path, with_firehose=False) as place:
        found = (await rehearse(place, tmp_path, "--patience=1", code=1)).json

    assert found["decided"] == {"SUCCEEDED": 50, "REJECTED": 150}
    failed = {one["name"] for one in found["criteria"] if not one["passed"]}
    assert failed == {"stored = published"}


async def test_ctrl_c_closes_the_event_and_says_what_remains(
    connection: Connection, stack: StackOutputs, tmp_path: Path
) -> None:
    async with pipeline.running(connection, stack, tmp_path) as place:
        command = ["rehearse", f"--url={place.url}", f"--out={tmp_path}", "--yes"]
        arguments = [*command, "--rate=20", "--seconds=600", "--seats=10", "--json"]
        async with programs.participation(*arguments, environment=place.environment) as program:
            await shows(program, "making 12,000 clicks")
            program.send(signal.SIGINT)
            ended = await program.ended()

    assert ended.exit_code == 130, ended.output
    assert "takes no more clicks; what was accepted is still decided" in ended.output
    assert '"undecided": null' in ended.output
    assert await phases(connection, stack) == [Phase.CLOSED]


async def test_an_ingest_that_is_not_there_is_named_and_the_event_is_closed(
    connection: Connection, stack: StackOutputs, tmp_path: Path
) -> None:
    place = Pipeline(pipeline.environment(connection, stack, tmp_path), "http://127.0.0.1:1")

    ran = await rehearse(place, tmp_path, code=1)

    assert "participation: there is no way to 127.0.0.1:1" in ran.err
    assert await phases(connection, stack) == [Phase.CLOSED]


async def test_nothing_is_created_unless_the_question_is_answered(
    connection: Connection, stack: StackOutputs, tmp_path: Path
) -> None:
    place = Pipeline(pipeline.environment(connection, stack, tmp_path), "http://127.0.0.1:1")

    ran = await place.command("rehearse", f"--url={place.url}", *LOAD, code=1)

    assert "rehearse? [y/N]" in ran.err
    assert await phases(connection, stack) == []


@pytest.mark.parametrize(
    ("arguments", "without", "complaint"),
    [
        ((), "", "give --stack, or --url"),
        (("--arrivals=slow",), "", "'constant', 'poisson'"),
        (("--url=http://127.0.0.1:1",), "LAKE_BUCKET", "LAKE_BUCKET is not set"),
        (("--url=http://127.0.0.1:1",), "JWT_SECRET", "JWT_SECRET is not set"),
        (("--url=127.0.0.1",), "", "is not the URL of a service"),
    ],
    ids=["no place", "no arrivals", "no lake", "no secret", "no URL"],
)
async def test_what_is_missing_is_said_before_anything_is_created(
    connection: Connection,
    stack: StackOutputs,
    tmp_path: Path,
    arguments: tuple[str, ...],
    without: str,
    complaint: str,
) -> None:
    variables = pipeline.environment(connection, stack, tmp_path) | (
        {without: ""} if without else {}
    )

    ran = await Pipeline(variables, "").command("rehearse", "--yes", *LOAD, *arguments, code=2)

    assert complaint in " ".join(ran.err.replace("│", " ").split())
    assert await phases(connection, stack) == []


async def test_an_unknown_stack_is_named(
    connection: Connection, stack: StackOutputs, tmp_path: Path
) -> None:
    place = Pipeline(pipeline.environment(connection, stack, tmp_path), "")

    ran = await place.command("rehearse", "--yes", *LOAD, "--stack=no-such", code=1)

    assert "participation: there is no stack no-such" in ran.err


async def shows(program: Program, text: str) -> None:
    """Wait until a program has written something."""
    with anyio.fail_after(30):
        while text not in program.output:  # noqa: ASYNC110 - another process cannot notify us
            await anyio.sleep(0.05)
