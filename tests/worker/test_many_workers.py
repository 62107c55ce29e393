"""Several workers compete for the seats of one event."""

from contextlib import AsyncExitStack

import pytest

from tests.worker.support import World, figure, request


@pytest.mark.slow
async def test_three_workers_give_away_exactly_the_seats_that_there_are(world: World) -> None:
    await world.create_event("E1", capacity=500)
    requests = [request("E1", f"user-{n}") for n in range(5000)]
    await world.enqueue(requests)

    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(world.worker(worker_id=f"worker-{n}")) for n in range(3)
        ]
        await world.until_decided("E1", 5000, timeout_s=120)
        await world.until_empty()

    assert await world.statuses("E1") == {"SUCCEEDED": 500, "REJECTED": 4500}
    assert (await world.seats("E1")).remaining == 0
    items = (await world.items("E1")).values()
    assert {item.worker_id for item in items} == {"worker-0", "worker-1", "worker-2"}
    assert (
        sum(
            figure(
                worker.metrics.registry,
                "worker_messages_settled_total",
                queue="main",
                outcome="succeeded",
            )
            for worker in workers
        )
        == 500
    )


async def test_a_worker_that_finds_too_few_seats_plans_again_and_fills_every_one(
    world: World,
) -> None:
    """The last seats: the first plan is cancelled by another worker's commit."""
    await world.create_event("E1", capacity=45)
    requests = [request("E1", f"user-{n}") for n in range(60)]
    await world.enqueue(requests)

    async with world.worker(worker_id="a"), world.worker(worker_id="b"):
        await world.until_decided("E1", 60)
        await world.until_empty()

    assert await world.statuses("E1") == {"SUCCEEDED": 45, "REJECTED": 15}
    assert (await world.seats("E1")).remaining == 0
