"""Errors that only an operator can fix: the worker says so, drains, and keeps nothing."""

import anyio
import pytest

from aws import statements
from schema import events, keys
from schema.states import Status
from tests.aws.model import NOW_MS, Aws
from tests.faults.actions import Answer, Delay, Fault, Hang
from tests.faults.proxy import FaultProxy
from tests.virtual_time import virtual_time
from tests.worker.parts import Requests, parts_of, total
from tests.worker.support import World, figure, request, until
from worker import retry
from worker.commit import Committer

DENIED = Answer(400, "AccessDeniedException", "not authorized")


@pytest.mark.parametrize("operation", ["TransactWriteItems", "BatchGetItem", "DeleteMessageBatch"])
async def test_a_denied_call_ends_the_worker_and_leaves_the_messages_to_others(
    world: World, proxy: FaultProxy, operation: str
) -> None:
    await world.create_event("E1", capacity=100)
    await world.enqueue([request("E1", f"user-{n}") for n in range(5)])
    proxy.add(Fault(operation, DENIED))

    async with world.program(
        endpoint_url=proxy.endpoint_url, VISIBILITY_TIMEOUT_S="5", RECEIVE_WAIT_S="2"
    ) as worker:
        ended = await worker.ended()

    assert ended.exit_code == 2
    (line,) = [entry for entry in ended.logs if entry["event"] == "cannot_go_on"]
    assert "not authorized" in line["error"]
    assert "worker_stopped" in {entry["event"] for entry in ended.logs}
    # Others get the messages: no poll of the ended worker has taken them away again.
    found = 0
    with anyio.fail_after(10):
        while found < 5:
            found += len(await world.queue.receive(10, 1, 60))


async def test_a_hanging_extension_does_not_let_the_other_leases_run_out(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", capacity=30)
    await world.enqueue([request("E1", f"user-{n}") for n in range(30)])
    proxy.add(Fault("BatchGetItem", Delay(before_s=6), times=1))
    hang = proxy.add(Fault("ChangeMessageVisibilityBatch", Hang(), times=1))

    async with world.worker(endpoint_url=proxy.endpoint_url, visibility_timeout_s=2) as parts:
        await world.until_decided("E1", 30)
        await world.until_empty()

    assert hang.hits == 1
    received = figure(parts.metrics.registry, "worker_messages_received_total", queue="main")
    assert received == 30


async def test_no_queue_starves_when_places_are_few(world: World, proxy: FaultProxy) -> None:
    async with world.worker(endpoint_url=proxy.endpoint_url, max_in_flight=10, dlq_pollers=1):

        async def both_are_polled() -> bool:
            polls = proxy.calls_of("ReceiveMessage")
            return len({call.request["QueueUrl"] for call in polls}) == 2

        await until(both_are_polled, timeout_s=10)


@virtual_time
async def test_what_an_older_try_left_on_the_item_does_not_colour_the_event() -> None:
    aws, made = Aws(), Requests()
    aws.create("e1", 5)
    item = made.request(
        status=Status.PROCESSING, failure_class="RETRYABLE", error_code="OLD", error_message="x"
    )
    aws.store(item)

    committer = Committer(parts_of(aws))
    outcomes = await total(retry.decide_batch(committer, [made.candidate(item)], NOW_MS))

    first = events.participation_processed(outcomes.decided[0].item, env="dev")
    again = events.participation_processed(aws.requests[item.request_id], env="dev")
    assert first == again
    assert first.failure.errorCode is None


@virtual_time
async def test_the_dlq_has_the_last_word_on_an_event_that_cannot_be_read() -> None:
    aws, made = Aws(), Requests()
    aws.cloud.table.seed(statements.event_key("e1", keys.CAPACITY_SORT_KEY))
    item = made.request()
    aws.store(item)

    candidates = [made.candidate(item, from_dlq=True)]
    outcomes = await total(retry.decide_batch(Committer(parts_of(aws)), candidates, NOW_MS))

    (decided,) = outcomes.decided
    assert (decided.item.result_code, decided.item.error_code) == (
        "FAILED_WORKER",
        "RETRIES_EXHAUSTED",
    )
