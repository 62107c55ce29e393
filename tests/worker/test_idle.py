"""Polling adapts to the load: one poller while the queue is empty, all of them after messages."""

from tests.faults.proxy import FaultProxy
from tests.worker.support import World, figure, message_of, request, until
from worker.parts import Parts

POLL_S = 1
POLLERS = 4


async def test_an_idle_worker_makes_one_long_poll_after_the_other(
    world: World, proxy: FaultProxy
) -> None:
    async with world.worker(
        endpoint_url=proxy.endpoint_url, receive_wait_s=POLL_S, pollers=POLLERS
    ) as parts:
        await proxy.reached("ReceiveMessage", count=3)
        first, second, third = proxy.calls_of("ReceiveMessage")
        active = figure(parts.metrics.registry, "worker_pollers_active")
        outcomes = [poll.outcome for poll in (first, second, third)]

    assert active == 1
    assert outcomes == ["answered", "answered", "open"]
    assert third.arrived_s - first.arrived_s > 1.9 * POLL_S


async def test_after_the_first_message_all_pollers_work(world: World, proxy: FaultProxy) -> None:
    await world.create_event("E1", capacity=1)
    item = request("E1", "user-1")
    await world.store([item])

    async with world.worker(
        endpoint_url=proxy.endpoint_url, receive_wait_s=POLL_S, pollers=POLLERS
    ) as parts:
        await proxy.reached("ReceiveMessage")
        with proxy.hold("ReceiveMessage") as gate:
            # One receive brings the message; then all pollers poll.
            await world.send([message_of(item)])
            await gate.reached(POLLERS)
            assert figure(parts.metrics.registry, "worker_pollers_active") == POLLERS


async def test_credits_bound_what_is_in_flight(world: World, proxy: FaultProxy) -> None:
    await world.create_event("E1", capacity=100)
    await world.enqueue([request("E1", f"user-{n}") for n in range(60)])

    async with world.worker(endpoint_url=proxy.endpoint_url, max_in_flight=25) as parts:
        with proxy.hold("DeleteMessageBatch") as gate:
            await gate.reached()
            # Published, but not deleted: every place is still taken, and nothing is polled for.
            await until(lambda: _stand_at(parts, in_flight=25, polling=0))
            assert len(proxy.calls_of("ReceiveMessage")) == proxy.count(
                "ReceiveMessage", "answered"
            )
        await world.until_decided("E1", 60)
        await world.until_empty()


async def _stand_at(parts: Parts, in_flight: int, polling: int) -> bool:
    registry = parts.metrics.registry
    return (
        figure(registry, "worker_in_flight_messages") == in_flight
        and figure(registry, "worker_pollers_active") == polling
    )
