"""A fifth of all calls goes wrong, in every way the wire knows; the outcome may not.

Far more faults are tried in simulations; here they meet the real client, on real connections.
"""

import orjson
import pytest

from schema.events import encode, participation_processed
from tests.faults.actions import (
    SERVER_ERROR,
    THROTTLE,
    CancelTransaction,
    Cut,
    Delay,
    DropAnswer,
    FailEntries,
    Fault,
    OneOf,
    Refuse,
)
from tests.faults.proxy import FaultProxy
from tests.worker.support import World, request

ANY = OneOf(
    (
        Refuse(),
        Cut(),
        DropAnswer(),
        THROTTLE,
        SERVER_ERROR,
        Delay(before_s=0.05),
        CancelTransaction(),
        FailEntries(share=0.3),
        FailEntries(share=0.3, took_effect=True),
    )
)
CALLS = (
    "ReceiveMessage",
    "BatchGetItem",
    "TransactWriteItems",
    "BatchExecuteStatement",
    "PutEvents",
    "DeleteMessageBatch",
    "ChangeMessageVisibilityBatch",
)
REQUESTS = 600
CAPACITY = 200


@pytest.mark.slow
async def test_no_request_is_lost_or_decided_twice_when_a_fifth_of_all_calls_fails(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", CAPACITY)
    requests = [request("E1", f"user-{n}") for n in range(REQUESTS)]
    await world.enqueue(requests, duplicates=REQUESTS * 5 // 100)

    # Faults begin when the worker has started: its checks are not what is tested here.
    async with world.worker(endpoint_url=proxy.endpoint_url, visibility_timeout_s=5):
        for operation in CALLS:
            proxy.add(Fault(operation, ANY, probability=0.2))
        await world.until_decided("E1", REQUESTS, timeout_s=150)
        await world.until_empty(timeout_s=60)
        proxy.clear()

    items = await world.items("E1")
    assert set(items) == {item.request_id for item in requests}
    assert await world.statuses("E1") == {"SUCCEEDED": CAPACITY, "REJECTED": REQUESTS - CAPACITY}
    assert (await world.seats("E1")).remaining == 0
    assert await world.dead_letters() == []
    published: dict[str, set[bytes]] = {}
    for envelope in await world.published():
        line = orjson.dumps(envelope["detail"])
        published.setdefault(envelope["detail"]["requestId"], set()).add(line)
    assert all(
        lines == {encode(participation_processed(items[request_id], env="dev"))}
        for request_id, lines in published.items()
    )
    # Every call was struck with the same probability, PutEvents too: most events arrive.
    assert len(published) > REQUESTS * 0.7
