"""A slow batch keeps its messages: nobody else gets them before their delete is confirmed."""

import anyio

from tests.faults.actions import Delay, FailEntries, Fault
from tests.faults.proxy import FaultProxy
from tests.worker.support import World, figure, request

VISIBILITY_S = 2


async def test_a_table_slower_than_the_visibility_timeout_leads_to_no_second_delivery(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", capacity=10)
    requests = [request("E1", f"user-{n}") for n in range(10)]
    await world.enqueue(requests)
    slow = proxy.add(Fault("BatchGetItem", Delay(before_s=3 * VISIBILITY_S), times=1))

    async with world.worker(
        endpoint_url=proxy.endpoint_url, visibility_timeout_s=VISIBILITY_S
    ) as parts:
        await proxy.reached("BatchGetItem")
        # A rival polls meanwhile; it must get nothing.
        stolen = await _poll(world, seconds=2 * VISIBILITY_S)
        await world.until_decided("E1", 10)
        await world.until_empty()

    assert slow.hits == 1
    assert stolen == 0
    items = (await world.items("E1")).values()
    assert {item.attempt for item in items} == {1}
    registry = parts.metrics.registry
    assert figure(registry, "worker_messages_received_total", queue="main") == 10
    assert figure(registry, "worker_lease_extensions_total") >= 20
    assert len(await world.published()) == 10


async def test_a_slow_delete_is_leased_until_it_is_confirmed(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", capacity=3)
    await world.enqueue([request("E1", f"user-{n}") for n in range(3)])
    proxy.add(Fault("DeleteMessageBatch", Delay(before_s=2 * VISIBILITY_S), times=1))

    async with world.worker(
        endpoint_url=proxy.endpoint_url, visibility_timeout_s=VISIBILITY_S
    ) as parts:
        await proxy.reached("DeleteMessageBatch")
        # Stopped now, the drain itself has to keep the lease.
        parts.stop.request()
        stolen = await _poll(world, seconds=1.5 * VISIBILITY_S)

    assert stolen == 0
    assert (await world.queue.describe()).approximate_messages == 0
    assert figure(parts.metrics.registry, "worker_lease_extensions_total") > 0


async def test_deletes_that_fail_are_tried_again_and_free_their_places_only_then(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", capacity=10)
    await world.enqueue([request("E1", f"user-{n}") for n in range(10)])
    proxy.add(Fault("DeleteMessageBatch", FailEntries(positions=(0, 3, 7)), times=2))

    async with world.worker(endpoint_url=proxy.endpoint_url) as parts:
        with proxy.hold("DeleteMessageBatch") as gate:
            await gate.reached()
            assert figure(parts.metrics.registry, "worker_in_flight_messages") == 10
        await world.until_empty()

    registry = parts.metrics.registry
    assert figure(registry, "worker_in_flight_messages") == 0
    assert figure(registry, "worker_delete_failures_total") == 0
    assert figure(registry, "worker_messages_received_total", queue="main") == 10
    assert len(proxy.calls_of("DeleteMessageBatch")) >= 3


async def _poll(world: World, seconds: float) -> int:
    """Receive in the worker's place for a while; returns how many messages came."""
    found = 0
    with anyio.move_on_after(seconds):
        while True:
            found += len(await world.queue.receive(10, 0, 1))
            await anyio.sleep(0.1)
    return found
