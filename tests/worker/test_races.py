"""The worker outruns ingest's third step: stored and published queuedAt agree in every order."""

from dataclasses import replace

import anyio
import pytest

from aws.table import is_condition_failed
from schema.items import Change, RequestItem
from schema.states import Status
from tests.faults.calls import Stage
from tests.faults.proxy import FaultProxy
from tests.worker.support import World, message_of, now_ms, request

SEATED = 1
SOLD_OUT = 0
COMMITS = {SEATED: "TransactWriteItems", SOLD_OUT: "BatchExecuteStatement"}


def received(user: str) -> RequestItem:
    """A request whose queuedAt ingest has not recorded yet."""
    return request("E1", user, status=Status.RECEIVED, queued_at_ms=None)


def queued(item: RequestItem) -> Change:
    """Ingest's third step."""
    return Change(item, replace(item, status=Status.QUEUED, queued_at_ms=now_ms() + 5))


@pytest.mark.parametrize("seats", [SEATED, SOLD_OUT])
@pytest.mark.parametrize(
    ("operation", "stage"),
    [
        ("ReceiveMessage", "arrived"),
        ("BatchGetItem", "arrived"),
        ("BatchGetItem", "forwarded"),
        ("commit", "arrived"),
        ("commit", "forwarded"),
        ("PutEvents", "arrived"),
        ("DeleteMessageBatch", "forwarded"),
    ],
)
async def test_ingest_and_worker_agree_whichever_of_them_is_first(
    world: World, proxy: FaultProxy, operation: str, stage: Stage, seats: int
) -> None:
    await world.create_event("E1", capacity=seats)
    item = received("user-1")
    await world.store([item])
    await world.send([message_of(item)])
    at = COMMITS[seats] if operation == "commit" else operation

    with proxy.hold(at, stage) as gate:
        async with world.worker(endpoint_url=proxy.endpoint_url):
            await gate.reached()
            change = queued(item)
            (answer,) = await world.table.write([change])
            gate.release()
            await world.until_decided("E1", 1)
            await world.until_empty()

    stored = await world.item(item.request_id)
    assert stored.status is (Status.SUCCEEDED if seats else Status.REJECTED)
    (envelope,) = await world.published()
    assert envelope["detail"]["timestamps"]["queuedAt"] == stored.queued_at_ms
    if answer is None:
        assert stored.queued_at_ms == change.after.queued_at_ms
    else:
        assert is_condition_failed(answer), "ingest's step may only fail for a decided request"
        assert stored.queued_at_ms != change.after.queued_at_ms
    # The index keys carry the same time, and so does the user's own list.
    page = await world.table.user_requests("user-1", 10)
    assert [entry.queued_at_ms for entry in page.requests] == [stored.queued_at_ms]
    capacity = await world.seats("E1")
    assert capacity.remaining == 0


async def test_a_request_still_received_inherits_the_messages_time(world: World) -> None:
    await world.create_event("E1", capacity=1)
    item = received("user-1")
    await world.store([item])
    before = now_ms()
    await world.send([message_of(item)])
    after = now_ms()
    await anyio.sleep(0.1)

    async with world.worker():
        await world.until_decided("E1", 1)
        await world.until_empty()

    stored = await world.item(item.request_id)
    assert stored.queued_at_ms is not None
    # SentTimestamp: when SQS took the message, not when the worker saw it.
    assert before - 1 <= stored.queued_at_ms <= after + 1
