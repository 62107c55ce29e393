"""Polling adapts to the load: one poller while the queue is empty, all of them after messages."""

import anyio

from tests.faults.proxy import FaultProxy
from tests.worker.support import World, figure, message_of, request

POLL_S = 2
POLLERS = 4


async def test_an_idle_worker_polls_no_more_than_the_long_poll_allows(
    world: World, proxy: FaultProxy
) -> None:
    async with world.worker(
        endpoint_url=proxy.endpoint_url, receive_wait_s=POLL_S, pollers=POLLERS
    ) as parts:
        await proxy.reached("ReceiveMessage")
        proxy.forget()
        await anyio.sleep(3 * POLL_S)
        polls = proxy.count("ReceiveMessage")
        active = figure(parts.metrics.registry, "worker_pollers_active")

    assert active == 1
    assert polls <= 3


async def test_after_the_first_message_all_pollers_work(world: World, proxy: FaultProxy) -> None:
    await world.create_event("E1", capacity=1)
    item = request("E1", "user-1")
    await world.store([item])

    async with world.worker(
        endpoint_url=proxy.endpoint_url, receive_wait_s=POLL_S, pollers=POLLERS
    ) as parts:
        await proxy.reached("ReceiveMessage")
        with proxy.hold("ReceiveMessage") as gate:
            # One receive brings the message; the next ones are all pollers' at once.
            await world.send([message_of(item)])
            await gate.reached(POLLERS)
            assert figure(parts.metrics.registry, "worker_pollers_active") == POLLERS


async def test_credits_bound_what_is_in_flight(world: World, proxy: FaultProxy) -> None:
    await world.create_event("E1", capacity=100)
    await world.enqueue([request("E1", f"user-{n}") for n in range(60)])

    async with world.worker(endpoint_url=proxy.endpoint_url, max_in_flight=25) as parts:
        with proxy.hold("DeleteMessageBatch") as gate:
            await gate.reached()
            await anyio.sleep(1.5)
            # Published, but not deleted: every place is still taken, and nothing is polled for.
            assert figure(parts.metrics.registry, "worker_in_flight_messages") == 25
            assert figure(parts.metrics.registry, "worker_pollers_active") == 0
        await world.until_decided("E1", 60)
        await world.until_empty()
