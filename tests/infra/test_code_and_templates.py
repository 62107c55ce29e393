"""Each program's policy allows the calls of that program, and no others."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from local import templates
from tests.infra.test_pipeline import ACTIONS

ROOT: Final = Path(__file__).parents[2]
ADAPTERS: Final = {
    "Queue": "aws/queue.py",
    "Table": "aws/table.py",
    "Bus": "aws/bus.py",
    "EventChanges": "aws/event_changes.py",
}

ONE_OF_SEVERAL: Final = {
    "take_seats": {"dynamodb:UpdateItem"},
    "create_event": {"dynamodb:PutItem"},
    "add_seats": {"dynamodb:PutItem", "dynamodb:UpdateItem"},
    "set_times": {"dynamodb:PutItem", "dynamodb:UpdateItem"},
    "write": {"dynamodb:PartiQLUpdate"},
    "insert": {"dynamodb:PartiQLInsert"},
}
"""What those methods do whose operation can do several things."""

PROGRAMS: Final = {
    "WorkerPolicy": [
        *(p for p in sorted((ROOT / "worker").glob("*.py")) if p.stem != "redrive"),
        ROOT / "aws/publisher.py",
    ],
    "IngestPolicy": [*sorted((ROOT / "ingest").glob("*.py")), ROOT / "aws/publisher.py"],
}
"""The modules that a program consists of, beside the adapters; redriving is the operators'."""


def methods() -> dict[str, set[str]]:
    """The adapters' public methods, with the actions that each needs."""
    found: dict[str, set[str]] = {}
    for name, path in ADAPTERS.items():
        (adapter,) = [
            node
            for node in ast.parse((ROOT / path).read_text()).body
            if isinstance(node, ast.ClassDef) and node.name == name
        ]
        functions = {
            node.name: node for node in adapter.body if isinstance(node, ast.AsyncFunctionDef)
        }
        for method in functions:
            if not method.startswith("_"):
                actions = ONE_OF_SEVERAL.get(method) or {
                    action
                    for operation in _operations(functions, method)
                    for action in ACTIONS[operation]
                }
                found.setdefault(method, set()).update(actions)
    return found


def _operations(functions: dict[str, ast.AsyncFunctionDef], method: str) -> Iterator[str]:
    """The operations that a method calls, itself or by the private methods that it calls."""
    for node in ast.walk(functions[method]):
        if isinstance(node, ast.Constant) and node.value in ACTIONS:
            yield str(node.value)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and node.attr in functions:
            yield from _operations(functions, node.attr)


def adapter_attributes(path: Path) -> set[str]:
    """The names that a module asks of something that is called a queue, a table or a bus."""
    names = ("queue", "dlq", "main", "table", "bus", "target", "subject", "changes")
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value).split(".")[-1].lstrip("_").endswith(names)
    }


def allowed(policy: str) -> dict[str, list[Any]]:
    """A policy's actions, with the resources of each."""
    statements = templates.load("pipeline.yaml")["Resources"][policy]["Properties"][
        "PolicyDocument"
    ]["Statement"]
    found: dict[str, list[Any]] = {}
    for statement in statements:
        actions, resources = statement["Action"], statement["Resource"]
        for action in [actions] if isinstance(actions, str) else actions:
            found.setdefault(action, []).extend(
                resources if isinstance(resources, list) else [resources]
            )
    return found


@pytest.mark.parametrize("policy", PROGRAMS)
def test_a_programs_policy_allows_exactly_what_the_program_calls(policy: str) -> None:
    actions = methods()
    used = {m for path in PROGRAMS[policy] for m in adapter_attributes(path)} & actions.keys()
    needed = set[str]().union(*(actions[method] for method in used))
    assert needed == allowed(policy).keys(), sorted(used)


def test_the_worker_sends_to_the_queues_of_dead_letters_and_lost_events_alone() -> None:
    assert allowed("WorkerPolicy")["sqs:SendMessage"] == [
        {"Fn::GetAtt": ["RequestDlq", "Arn"]},
        {"Fn::GetAtt": ["LostEventsQueue", "Arn"]},
    ]


def test_ingest_takes_nothing_off_a_queue() -> None:
    sqs = {action for action in allowed("IngestPolicy") if action.startswith("sqs:")}
    assert sqs == {"sqs:GetQueueAttributes", "sqs:SendMessage"}
