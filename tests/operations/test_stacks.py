"""Stacks are made, changed and deleted, and each comes to its end before anybody goes on."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from aws.client import Connection
from aws.errors import Rejected
from aws.sdk import open_client
from operations.stacks import StackError, Stacks

TEMPLATE = """
Parameters:
  Seconds: {Type: Number, Default: 30}
  Name: {Type: String}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Ref Name, VisibilityTimeout: !Ref Seconds}
Outputs:
  Seconds: {Value: !Ref Seconds}
  Name: {Value: !GetAtt Queue.QueueName}
"""
REFUSED = """
Resources:
  Database:
    Type: AWS::Glue::Database
    Properties: {CatalogId: "0", DatabaseInput: {Name: %s}}
"""


class Session:
    """The stacks of the emulator, and the lines written meanwhile."""

    def __init__(self, stacks: Stacks, lines: list[str]) -> None:
        self.stacks = stacks
        self.lines = lines
        self.name = f"stack-{uuid4().hex[:12]}"


@pytest.fixture
async def session(connection: Connection) -> AsyncIterator[Session]:
    lines: list[str] = []
    async with open_client("cloudformation", connection) as client:
        yield Session(Stacks(client, lines.append, poll_s=0.02), lines)


async def test_a_stack_is_made_and_its_outputs_returned(session: Session) -> None:
    outputs = await session.stacks.apply(session.name, TEMPLATE, {"Name": session.name})
    assert outputs == {"Seconds": "30", "Name": session.name}
    assert session.lines[0] == f"{session.name}: creating"
    assert session.lines[1].startswith(f"{session.name}: CREATE_COMPLETE after ")


async def test_applying_the_same_again_changes_nothing(session: Session) -> None:
    first = await session.stacks.apply(session.name, TEMPLATE, {"Name": session.name})
    assert await session.stacks.apply(session.name, TEMPLATE, {"Name": session.name}) == first
    assert session.lines[-1] == f"{session.name}: up to date"


async def test_a_parameter_that_is_not_given_keeps_its_value(session: Session) -> None:
    await session.stacks.apply(session.name, TEMPLATE, {"Name": session.name, "Seconds": "40"})
    changed = TEMPLATE.replace("Outputs:", "Outputs:\n  More: {Value: x}")
    outputs = await session.stacks.apply(session.name, changed, {})
    assert outputs == {"Seconds": "40", "Name": session.name, "More": "x"}


async def test_a_given_parameter_changes_the_stack(session: Session) -> None:
    await session.stacks.apply(session.name, TEMPLATE, {"Name": session.name})
    outputs = await session.stacks.apply(session.name, TEMPLATE, {"Seconds": "50"})
    assert outputs["Seconds"] == "50"


async def test_a_deleted_stack_is_gone_and_can_be_made_again(session: Session) -> None:
    await session.stacks.apply(session.name, TEMPLATE, {"Name": session.name})
    assert await session.stacks.delete(session.name) is True
    assert await session.stacks.find(session.name) is None
    assert await session.stacks.delete(session.name) is False
    await session.stacks.apply(session.name, TEMPLATE, {"Name": session.name})


async def test_what_cannot_be_made_is_named_and_nothing_is_left(session: Session) -> None:
    name = session.name.replace("-", "_")
    await session.stacks.apply(session.name, REFUSED % name, {})
    with pytest.raises(StackError, match="Database: ") as caught:
        await session.stacks.apply(f"{session.name}-2", REFUSED % name, {})
    assert "\n" not in str(caught.value)


async def test_a_template_that_is_none_is_refused(session: Session) -> None:
    with pytest.raises(Rejected):
        await session.stacks.apply(session.name, "Resources: {}}", {})


async def test_a_templates_parameters_are_known_without_deploying_it(session: Session) -> None:
    assert await session.stacks.parameters_of(TEMPLATE) == {"Seconds", "Name"}


async def test_a_change_of_parameters_leaves_the_template_as_it_is(session: Session) -> None:
    await session.stacks.apply(session.name, TEMPLATE, {"Name": session.name, "Seconds": "40"})
    assert await session.stacks.change(session.name, {"Seconds": "50"}) == {
        "Seconds": "50",
        "Name": session.name,
    }
    assert session.lines[-1].startswith(f"{session.name}: UPDATE_COMPLETE after ")


async def test_a_change_needs_a_stack_and_a_template_that_takes_it(session: Session) -> None:
    with pytest.raises(StackError, match=f"there is no stack {session.name} in this account"):
        await session.stacks.change(session.name, {"Seconds": "50"})
    await session.stacks.apply(session.name, TEMPLATE, {"Name": session.name})
    with pytest.raises(StackError, match="a template without Minutes: run `participation deploy`"):
        await session.stacks.change(session.name, {"Minutes": "1"})
