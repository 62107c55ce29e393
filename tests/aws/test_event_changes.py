"""An operator's changes of an event: each takes effect once, or not at all."""

from dataclasses import replace
from random import Random

import pytest

from aws.errors import Transient
from aws.event_changes import EventChanges
from schema.items import EventConfig
from simulation.aws.errors import ServiceError
from simulation.scenario import Kind
from tests.aws.model import Aws
from tests.aws.scripted import Answer, Answering, ScriptedClient
from tests.aws.wire import CONFLICT, DENIED, THROTTLED, Fault
from tests.virtual_time import virtual_time

CHANGE = "TransactWriteItems"
EVENT = EventConfig(event_id="e1", event_type="FIRST_COME")


def selling() -> Aws:
    """An AWS with an event of five seats."""
    aws = Aws()
    aws.create("e1", 5)
    return aws


async def total(aws: Aws) -> int:
    capacity = await aws.straight.capacity("e1")
    assert capacity is not None
    assert capacity.total == capacity.remaining
    return capacity.total


async def config(aws: Aws) -> EventConfig | None:
    return (await aws.straight.load([], ["e1"])).events["e1"].config


def is_listed(aws: Aws, event_id: str) -> bool:
    return ("EVENTS", event_id) in aws.cloud.table.store.records


@virtual_time
@pytest.mark.parametrize("fault", [Kind.UNANSWERED, Kind.LOST, THROTTLED, CONFLICT])
async def test_seats_are_added_once_however_often_it_is_tried(fault: Fault) -> None:
    aws = selling()
    aws.wire.faults[CHANGE] = iter([fault] * 3)

    assert await aws.event_changes.add_seats("e1", 3)

    assert aws.wire.asked[CHANGE] == 4
    assert await total(aws) == 8


@virtual_time
async def test_workers_that_sell_are_waited_for_longer_than_a_table_that_is_away() -> None:
    aws = selling()
    aws.wire.faults[CHANGE] = iter([CONFLICT] * 40)
    assert await aws.event_changes.add_seats("e1", 3)

    aws.wire.faults[CHANGE] = iter([Kind.LOST] * 40)
    with pytest.raises(Transient):
        await aws.event_changes.add_seats("e1", 3)
    assert await total(aws) == 8


@virtual_time
async def test_a_refusal_is_not_tried_again() -> None:
    aws = selling()
    invalid = ServiceError(
        "TransactionCanceledException",
        "no",
        extra={"CancellationReasons": [{"Code": "ValidationError"}]},
    )
    for fault in (DENIED, invalid):
        aws.wire.faults[CHANGE] = iter([fault])
        with pytest.raises(Exception, match="no"):
            await aws.event_changes.add_seats("e1", 3)
    assert aws.wire.asked[CHANGE] == 2


@virtual_time
async def test_an_event_without_seats_gets_none() -> None:
    aws = selling()

    assert not await aws.event_changes.add_seats("e2", 3)
    assert not is_listed(aws, "e2")


@virtual_time
async def test_times_are_set_and_removed() -> None:
    aws = selling()
    both = replace(EVENT, opens_at_ms=1, closes_at_ms=2)

    assert await aws.event_changes.set_times(EVENT, both)
    assert await config(aws) == both
    assert await aws.event_changes.set_times(both, EVENT)
    assert await config(aws) == EVENT
    assert is_listed(aws, "e1")


@virtual_time
@pytest.mark.parametrize(
    "found", [EVENT, replace(EVENT, opens_at_ms=1), replace(EVENT, opens_at_ms=1, closes_at_ms=3)]
)
async def test_times_that_somebody_else_changed_meanwhile_stay(found: EventConfig) -> None:
    aws = selling()
    assert found == EVENT or await aws.event_changes.set_times(EVENT, found)
    read = replace(EVENT, opens_at_ms=1, closes_at_ms=2)

    assert not await aws.event_changes.set_times(read, replace(read, closes_at_ms=9))
    assert await config(aws) == found


async def test_the_list_is_read_to_its_end() -> None:
    pages: list[Answer | Exception | Answering] = [
        {"Items": [{"SK": {"S": "e1"}}], "LastEvaluatedKey": {"SK": {"S": "e1"}}},
        {"Items": [{"SK": {"S": "e2"}}]},
    ]
    client = ScriptedClient(pages)

    assert await EventChanges(client, "T", Random(0)).ids() == ["e1", "e2"]
    assert client.calls[1][1]["ExclusiveStartKey"] == {"SK": {"S": "e1"}}
