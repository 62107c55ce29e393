"""An event sold by the real worker, to which an operator adds seats: after the sale and amid it."""

import anyio

from operations import events
from schema.items import RequestItem
from schema.states import Status
from tests.worker.support import World, request

FIRST_QUEUED_MS = 1_700_000_000_000


def burst(first: int, count: int) -> list[RequestItem]:
    return [
        request("E1", f"user-{n}", queued_at_ms=FIRST_QUEUED_MS + n)
        for n in range(first, first + count)
    ]


async def winners(world: World) -> list[str]:
    listed = events.winners(world.connection, world.table.name, "E1")
    return [one.request_id async for one in listed]


async def succeeded(world: World) -> set[str]:
    items = await world.items("E1")
    return {name for name, item in items.items() if item.status is Status.SUCCEEDED}


async def test_seats_added_after_the_sale_go_to_later_requests_and_losers_stay_losers(
    world: World,
) -> None:
    await world.create_event("E1", capacity=5)
    await world.enqueue(burst(0, 12))
    async with world.worker():
        await world.until_decided("E1", 12)
    before = await world.items("E1")

    await events.add_seats(world.connection, world.table.name, "E1", 3)
    await world.enqueue(burst(12, 12))
    async with world.worker():
        await world.until_decided("E1", 24)

    seats = await world.seats("E1")
    assert (seats.total, seats.remaining) == (8, 0)
    after = await world.items("E1")
    assert {name: after[name] for name in before} == before
    listed = await winners(world)
    assert len(listed) == 8
    assert set(listed) == await succeeded(world)


async def test_seats_added_while_it_sells_are_counted_once(world: World) -> None:
    await world.create_event("E1", capacity=300)
    await world.enqueue(burst(0, 400))

    async with world.worker(), anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(events.add_seats, world.connection, world.table.name, "E1", 2)
        await world.until_decided("E1", 400)

    seats = await world.seats("E1")
    taken = len(await succeeded(world))
    assert seats.total == 320
    assert seats.remaining == 320 - taken
    assert taken >= 300
