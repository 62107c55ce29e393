"""A table that is away, on the wire: the worker pauses, and no message is blamed."""

import anyio
import orjson
import pytest

from tests.faults.actions import SERVER_ERROR, THROTTLE, Action, Fault, Refuse
from tests.faults.proxy import FaultProxy
from tests.worker.support import World, request, until
from worker.parts import Parts

TABLE_CALLS = ("BatchGetItem", "TransactWriteItems", "BatchExecuteStatement", "UpdateItem")


@pytest.mark.parametrize("action", [SERVER_ERROR, THROTTLE, Refuse()], ids=["500", "400", "closed"])
async def test_an_outage_uses_up_no_receive_and_all_are_decided_after_it(
    world: World, proxy: FaultProxy, action: Action
) -> None:
    await world.create_event("E1", capacity=30)
    policy = {"deadLetterTargetArn": (await world.dlq.describe()).arn, "maxReceiveCount": 2}
    await world.sqs.call(
        "SetQueueAttributes",
        QueueUrl=world.stack.queue_url,
        Attributes={"RedrivePolicy": orjson.dumps(policy).decode()},
    )
    await world.enqueue([request("E1", f"user-{n}") for n in range(60)])
    outage = [proxy.add(Fault(operation, action)) for operation in TABLE_CALLS]

    async with world.worker(endpoint_url=proxy.endpoint_url, visibility_timeout_s=3) as parts:
        await until(lambda: _is_paused(parts))
        await anyio.sleep(1)
        polls = len(proxy.calls_of("ReceiveMessage"))
        # Longer than a lease, and than the first back-offs of messages that were handed back.
        await anyio.sleep(6)
        assert len(proxy.calls_of("ReceiveMessage")) == polls
        for fault in outage:
            fault.remove()
        await world.until_decided("E1", 60, timeout_s=10)
        await world.until_empty()
        assert not await _is_paused(parts)

    assert await world.statuses("E1") == {"SUCCEEDED": 30, "REJECTED": 30}
    assert {item.attempt for item in (await world.items("E1")).values()} == {1}
    assert await world.dead_letters() == []


async def _is_paused(parts: Parts) -> bool:
    labels = {"service": "dynamodb"}
    return parts.metrics.registry.get_sample_value("worker_paused", labels) == 1
