"""Whatever the command, a role that lacks a permission gets the statement to add."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.aws.stand_in import ACCOUNT, REGION, StandIn, standing_in
from tests.cli.conftest import Command
from tests.cli.test_tree import COMMANDS

SECRET = "a secret of more than thirty-two bytes"  # pragma: allowlist secret
QUEUES = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}"
SETTINGS = {
    "QUEUE_URL": f"{QUEUES}/q",
    "DLQ_URL": f"{QUEUES}/d",
    "LOST_EVENTS_QUEUE_URL": f"{QUEUES}/l",
    "JWT_SECRET": SECRET,
    "LAKE_BUCKET": "lake",
}
ON_AWS = {
    "cool": ["--stack", "s"],
    "deploy": ["--stack", "s"],
    "dlq delete": ["--all", "--yes"],
    "dlq list": [],
    "dlq redrive": [],
    "env": ["--stack", "s"],
    "events add-seats": ["e", "1"],
    "events close": ["e"],
    "events create": ["e", "--capacity", "1"],
    "events list": [],
    "events open": ["e"],
    "events reschedule": ["e", "--no-closes-at"],
    "events show": ["e"],
    "events winners": ["e"],
    "lake query": ["totals", "--engine", "athena", "--projected", "--from", "2026-01-04"],
    "lake repair": [],
    "lake report": [
        "--out",
        "/nowhere",
        "--engine",
        "athena",
        "--projected",
        "--from",
        "2026-01-04",
    ],
    "lake republish": [],
    "lake validate": ["--engine", "athena", "--projected", "--from", "2026-01-04"],
    "preflight": ["--stack", "s", "--rate", "1"],
    "rehearse": ["--stack", "s", "--rate", "1", "--seconds", "1", "--seats", "1", "--yes"],
    "requests list": ["--user", "u"],
    "requests show": ["r"],
    "smoke": ["--stack", "s"],
    "status": ["--stack", "s"],
    "teardown": ["--stack", "s", "--yes"],
    "warm": ["--stack", "s", "--rate", "1"],
}
ELSEWHERE = {
    "config",
    "demo",
    "ingest",
    "lake ddl",
    "lake generate",
    "lake statements",
    "load",
    "plan",
    "simulate",
    "token",
    "worker",
}
"""They call no AWS, or are no operator's commands."""


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with standing_in() as stand_in:
        stand_in.denies_all = True
        yield stand_in


def test_every_command_is_known_here() -> None:
    names = {name for name in COMMANDS if not name.startswith("local ")}
    assert names == ON_AWS.keys() | ELSEWHERE


@pytest.mark.parametrize("name", ON_AWS)
def test_a_role_without_permissions_gets_the_statement_to_add(
    command: Command, aws: StandIn, name: str
) -> None:
    shown = command(*name.split(), *ON_AWS[name], **aws.variables, **SETTINGS)
    assert shown.code not in (0, None)
    sentences = [line for line in shown.err.splitlines() if "add to its policy" in line]
    assert sentences, shown.err
    for sentence in sentences:
        assert sentence.startswith("participation: ")
        (statement,) = re.findall(r"add to its policy: (\{.*?\})", sentence)
        assert json.loads(statement)["Effect"] == "Allow"
    assert "Traceback" not in shown.err
