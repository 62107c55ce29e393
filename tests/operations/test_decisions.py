"""Waiting for decisions, on the table of the embedded AWS."""

from collections import Counter
from random import Random

import anyio

from aws.table import Table
from operations.decisions import Clicked, Decisions, decisions_of
from runtime.stop import Stop
from schema.items import Capacity, EventConfig, RequestItem
from schema.states import EventType, Status
from tests.worker.support import World

CAPACITY = Capacity(event_id="e", total=3, remaining=1)


def request(number: int, status: Status) -> RequestItem:
    return RequestItem(
        request_id=f"r{number}",
        event_id="e",
        user_id=f"user-{number}",
        event_type=EventType.FIRST_COME,
        status=status,
    )


async def table_with(world: World, *statuses: Status) -> Table:
    table = Table(world.dynamodb, world.stack.table_name, Random(0))
    await table.create_event(EventConfig(event_id="e", event_type=EventType.FIRST_COME), CAPACITY)
    for number, status in enumerate(statuses):
        assert not any(await table.insert([request(number, status)]))
    return table


async def decisions(
    table: Table, clicked: Clicked, *, patience_s: float = 60, stop: Stop | None = None
) -> tuple[Decisions, list[int]]:
    seen: list[int] = []
    with anyio.fail_after(60):
        found = await decisions_of(
            table, "e", clicked, patience_s=patience_s, advanced=seen.append, stop=stop or Stop()
        )
    return found, seen


async def test_more_requests_than_one_call_takes_are_counted_by_what_became_of_them(
    world: World,
) -> None:
    statuses = [Status.SUCCEEDED] * 2 + [Status.REJECTED] * 101 + [Status.FAILED_FINAL]
    table = await table_with(world, *statuses)

    found, seen = await decisions(table, Clicked([f"r{n}" for n in range(104)]))

    assert found.by_status == Counter(statuses)
    assert found.undecided == 0
    assert found.capacity == CAPACITY
    assert seen == [100, 104]


async def test_it_waits_for_what_is_not_decided_yet(world: World) -> None:
    table = await table_with(world, Status.REJECTED)
    accepted = Clicked(["r0", "r1"])

    async with anyio.create_task_group() as tasks:
        asked = anyio.Event()

        async def decide() -> None:
            await asked.wait()
            await table.insert([request(1, Status.SUCCEEDED)])

        tasks.start_soon(decide)
        found = await decisions_of(
            table, "e", accepted, patience_s=60, advanced=lambda _: asked.set(), stop=Stop()
        )

    assert found.by_status == {Status.REJECTED: 1, Status.SUCCEEDED: 1}


async def test_what_is_never_decided_is_counted_once_nothing_moves(world: World) -> None:
    table = await table_with(world, Status.QUEUED, Status.SUCCEEDED)

    found, _ = await decisions(table, Clicked(["r0", "r1", "missing"]), patience_s=0)

    assert found.by_status == {Status.SUCCEEDED: 1}
    assert found.undecided == 2


async def test_a_stop_ends_the_waiting(world: World) -> None:
    table = await table_with(world, Status.QUEUED)
    stop = Stop()
    stop.request()

    found, seen = await decisions(table, Clicked(["r0"]), stop=stop)

    assert (found.undecided, seen) == (1, [])


async def test_a_refused_click_that_was_decided_all_the_same_counts(world: World) -> None:
    table = await table_with(world, Status.SUCCEEDED, Status.SUCCEEDED, Status.RECEIVED)

    found, _ = await decisions(table, Clicked(["r0"], ["r1", "r2", "missing"]))

    assert found.by_status == {Status.SUCCEEDED: 2}
    assert found.undecided == 0
