"""SIGKILL of a real process after its commit; a restarted worker finishes what was begun.

Simulations kill workers between any two of their steps.
"""

import orjson

from schema.events import encode, participation_processed
from tests.faults.program import kill_at
from tests.faults.proxy import FaultProxy
from tests.worker.support import World, request


async def test_a_restarted_worker_finishes_what_a_killed_one_began(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", capacity=5)
    requests = [request("E1", f"user-{n}") for n in range(5)]
    await world.enqueue(requests)

    with proxy.hold("TransactWriteItems", "forwarded") as gate:
        async with world.program(endpoint_url=proxy.endpoint_url) as killed:
            await kill_at(gate, killed)
    decided_before = {
        request_id: item
        for request_id, item in (await world.items("E1")).items()
        if item.status.is_final
    }
    async with world.worker(worker_id="worker-2"):
        await world.until_decided("E1", 5)
        await world.until_empty()

    items = await world.items("E1")
    assert await world.statuses("E1") == {"SUCCEEDED": 5}
    assert (await world.seats("E1")).remaining == 0
    assert {k: items[k] for k in decided_before} == decided_before
    assert {item.worker_id for item in decided_before.values()} == {"worker-1"}
    lines: dict[str, set[bytes]] = {}
    for envelope in await world.published():
        detail = envelope["detail"]
        lines.setdefault(detail["requestId"], set()).add(orjson.dumps(detail))
    assert lines == {
        request_id: {encode(participation_processed(item, env="dev"))}
        for request_id, item in items.items()
    }
