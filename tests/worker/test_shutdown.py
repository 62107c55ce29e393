"""SIGTERM: everything settled or visible again, within the deadline."""

import signal
from time import monotonic

import pytest

from tests.faults.actions import Fault, Hang
from tests.faults.program import Ended, Program
from tests.faults.proxy import FaultProxy
from tests.worker.support import World, message_of, request, until

TIMEOUT_S = 6


async def test_under_load_everything_is_settled_or_visible_again_immediately(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", capacity=1500)
    await world.enqueue([request("E1", f"user-{n}") for n in range(1500)])

    async with world.program(
        endpoint_url=proxy.endpoint_url, VISIBILITY_TIMEOUT_S="600", MAX_IN_FLIGHT="400"
    ) as worker:
        await proxy.reached("DeleteMessageBatch", "answered", count=20)
        ended = await _stop(worker)

    assert ended.exit_code == 0
    closing = _closing_line(ended)
    decided = (await world.statuses("E1"))["SUCCEEDED"]
    assert 0 < decided < 1500, "the stop came too early or too late to say anything"
    assert closing["settled"] == decided
    assert closing["abandoned"] == 0
    # Nothing is in flight any more, and what was settled is gone: the rest is visible immediately.
    assert await _visible(world) == (1500 - decided, 0)
    assert (await world.seats("E1")).remaining == 1500 - decided


async def test_what_was_not_started_goes_back_while_a_started_batch_is_finished(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", capacity=60)
    await world.enqueue([request("E1", f"user-{n}") for n in range(60)])

    with proxy.hold("BatchGetItem") as gate:
        async with world.program(
            endpoint_url=proxy.endpoint_url,
            VISIBILITY_TIMEOUT_S="600",
            PROCESSORS="1",
            BATCH_MAX_MESSAGES="10",
            MAX_IN_FLIGHT="60",
        ) as worker:
            await gate.reached()
            await proxy.reached("ReceiveMessage", "answered", count=6)
            worker.send(signal.SIGTERM)
            await until(lambda: _are_visible(world, 50), timeout_s=5)
            gate.release()
            ended = await _ended(worker)

    assert ended.exit_code == 0
    assert (_closing_line(ended)["settled"], _closing_line(ended)["returned"]) == (10, 50)
    assert await _visible(world) == (50, 0)


async def test_a_hanging_bus_does_not_hold_up_the_drain(world: World, proxy: FaultProxy) -> None:
    await world.create_event("E1", capacity=50)
    await world.enqueue([request("E1", f"user-{n}") for n in range(50)])
    proxy.add(Fault("PutEvents", Hang()))

    async with world.program(
        endpoint_url=proxy.endpoint_url,
        PUBLISH_TIMEOUT_S="1",
        # One call after the other: each waiting for its own timeout would take too long.
        PUBLISH_CONCURRENCY="1",
        SHUTDOWN_TIMEOUT_S=str(TIMEOUT_S),
    ) as worker:
        await proxy.reached("PutEvents")
        ended = await _stop(worker)

    assert ended.exit_code == 0
    assert _closing_line(ended)["settled"] == (await world.statuses("E1"))["SUCCEEDED"] > 0
    assert (await _visible(world))[1] == 0


@pytest.mark.slow
async def test_a_hanging_table_is_cut_off_at_the_deadline_and_the_messages_go_back(
    world: World, proxy: FaultProxy
) -> None:
    timeout_s = 10
    await world.create_event("E1", capacity=50)
    await world.enqueue([request("E1", f"user-{n}") for n in range(50)])
    hang = proxy.add(Fault("BatchGetItem", Hang()))

    async with world.program(
        endpoint_url=proxy.endpoint_url,
        VISIBILITY_TIMEOUT_S="600",
        SHUTDOWN_TIMEOUT_S=str(timeout_s),
    ) as worker:
        await proxy.reached("BatchGetItem")
        ended = await _stop(worker, timeout_s)
    hang.remove()

    assert ended.exit_code == 1
    assert _closing_line(ended)["returned"] == 50
    assert await _visible(world) == (50, 0)


async def test_a_poll_under_way_is_finished_and_what_it_brings_goes_back(
    world: World, proxy: FaultProxy
) -> None:
    async with world.program(
        endpoint_url=proxy.endpoint_url,
        RECEIVE_WAIT_S="4",
        VISIBILITY_TIMEOUT_S="600",
        SHUTDOWN_TIMEOUT_S=str(TIMEOUT_S),
    ) as worker:
        await proxy.reached("ReceiveMessage")
        worker.send(signal.SIGTERM)
        await worker.logged("worker_stopping")
        late = request("E1", "too-late")
        await world.store([late])
        await world.send([message_of(late)])
        ended = await _ended(worker)

    assert ended.exit_code == 0
    assert _closing_line(ended)["returned"] == 1
    assert await _visible(world) == (1, 0)
    assert (await world.item(late.request_id)) == late


async def test_a_second_signal_ends_it_immediately(world: World, proxy: FaultProxy) -> None:
    await world.create_event("E1", capacity=5)
    await world.enqueue([request("E1", f"user-{n}") for n in range(5)])
    proxy.add(Fault("BatchGetItem", Hang()))

    async with world.program(endpoint_url=proxy.endpoint_url, SHUTDOWN_TIMEOUT_S="60") as worker:
        await proxy.reached("BatchGetItem")
        worker.send(signal.SIGTERM)
        await worker.logged("worker_stopping")
        worker.send(signal.SIGTERM)
        ended = await _ended(worker, within_s=3)

    assert ended.exit_code == 130


async def _stop(worker: Program, within_s: float = TIMEOUT_S) -> Ended:
    worker.send(signal.SIGTERM)
    return await _ended(worker, within_s)


async def _ended(worker: Program, within_s: float = TIMEOUT_S) -> Ended:
    began = monotonic()
    ended = await worker.ended()
    assert monotonic() - began < within_s
    return ended


def _closing_line(ended: Ended) -> dict[str, object]:
    (line,) = [entry for entry in ended.logs if entry["event"] == "worker_stopped"]
    return line


async def _visible(world: World) -> tuple[int, int]:
    """Messages that others can receive now, and messages in flight."""
    response = await world.sqs.call(
        "GetQueueAttributes", QueueUrl=world.stack.queue_url, AttributeNames=["All"]
    )
    attributes = response["Attributes"]
    return (
        int(attributes["ApproximateNumberOfMessages"]),
        int(attributes["ApproximateNumberOfMessagesNotVisible"]),
    )


async def _are_visible(world: World, count: int) -> bool:
    return (await _visible(world))[0] == count
