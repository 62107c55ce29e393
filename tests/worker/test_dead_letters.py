"""Retries, quarantine and the DLQ: what happens to messages that can't be decided."""

from dataclasses import replace

import anyio
import jsonschema
import orjson
import pytest

from aws.errors import Transient
from aws.queue import OutgoingMessage
from operations import redrive
from operations.dead_letters import RETRIES_EXHAUSTED, Selection
from schema import json_schemas
from schema.names import REDRIVEN_AT_ATTRIBUTE
from schema.states import Status
from tests.faults.actions import INVALID, SERVER_ERROR, Fault
from tests.faults.proxy import FaultProxy
from tests.worker.support import World, figure, message_of, now_ms, request, until
from worker.parts import Parts


async def test_a_defective_message_is_quarantined_byte_for_byte_and_reported(world: World) -> None:
    bodies = [
        '{"requestId": "r1", "eventId": "E1"',
        '{ "eventId" : "E1", "userId":"u" }',
        '["requestId"]',
        '{"requestId":7,"eventId":"E1","userId":"u"}',
        '{"requestId":"never-stored","eventId":"E1","userId":"ü \\u0000 "}',
    ]
    await world.send([OutgoingMessage(body) for body in bodies])

    async with world.worker() as parts:
        await world.until_empty()

    dead = {message.body: message for message in await world.dead_letters()}
    assert set(dead) == set(bodies)
    reasons = {body: dead[body].attributes["reasonCode"] for body in bodies}
    assert list(reasons.values()) == [
        "BODY_NOT_JSON",
        "FIELD_MISSING",
        "BODY_NOT_AN_OBJECT",
        "FIELD_WRONG_TYPE",
        "REQUEST_NOT_FOUND",
    ]
    assert {message.attributes["attempt"] for message in dead.values()} == {"1"}
    assert all(message.attributes["sourceMessageId"] for message in dead.values())
    envelopes = await world.published()
    assert [e["detail-type"] for e in envelopes] == ["RequestFailed"] * len(bodies)
    schema = jsonschema.Draft202012Validator(json_schemas.load("RequestFailed"))
    for envelope in envelopes:
        schema.validate(envelope["detail"])
    assert sorted(e["detail"]["failure"]["errorCode"] for e in envelopes) == sorted(
        reasons.values()
    )
    quarantined = figure(
        parts.metrics.registry,
        "worker_messages_settled_total",
        queue="main",
        outcome="quarantined",
    )
    assert quarantined == len(bodies)


async def test_a_message_that_cannot_be_quarantined_is_not_deleted(
    world: World, proxy: FaultProxy
) -> None:
    await world.send([OutgoingMessage("not json")])
    refused = proxy.add(Fault("SendMessageBatch", SERVER_ERROR, times=2))

    async with world.worker(endpoint_url=proxy.endpoint_url) as parts:
        await proxy.reached("SendMessageBatch", "answered", count=2)
        assert (await world.queue.describe()).approximate_messages == 1
        await world.until_empty()

    assert refused.hits == 2
    (message,) = await world.dead_letters()
    assert message.body == "not json"
    assert message.attributes["attempt"] == "3"
    retried = figure(
        parts.metrics.registry, "worker_messages_settled_total", queue="main", outcome="retried"
    )
    assert retried == 2


async def test_an_unknown_event_and_a_mismatched_message_fail_for_good(world: World) -> None:
    await world.create_event("E1", capacity=5)
    orphan = request("no-such-event", "user-1")
    borrowed = request("E1", "user-2")
    await world.store([orphan, borrowed])
    await world.send([message_of(orphan), message_of(replace(borrowed, user_id="somebody-else"))])

    async with world.worker():
        await world.until_empty()

    failed = await world.item(orphan.request_id)
    assert (failed.status, failed.result_code) == (Status.FAILED_FINAL, "FAILED_EVENT_NOT_FOUND")
    assert (failed.failure_class, failed.error_code) == ("NON_RETRYABLE", "EVENT_NOT_FOUND")
    mismatched = await world.item(borrowed.request_id)
    assert (mismatched.result_code, mismatched.error_code) == ("FAILED_VALIDATION", "ID_MISMATCH")
    assert {e["detail"]["finalStatus"] for e in await world.published()} == {"FAILED_FINAL"}
    assert (await world.seats("E1")).remaining == 5


@pytest.mark.slow
async def test_a_failing_message_is_retried_stamped_and_left_to_sqs_for_the_dlq(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", capacity=5)
    item = request("E1", "user-1")
    policy = {"deadLetterTargetArn": (await world.dlq.describe()).arn, "maxReceiveCount": 5}
    await world.sqs.call(
        "SetQueueAttributes",
        QueueUrl=world.stack.queue_url,
        Attributes={"RedrivePolicy": orjson.dumps(policy).decode()},
    )
    await world.enqueue([item])
    refusal = proxy.add(Fault("TransactWriteItems", INVALID))

    async with world.worker(endpoint_url=proxy.endpoint_url) as parts:
        await until(lambda: _is_filled(world))

    assert parts.state.max_receive_count == 5
    undecided = await world.item(item.request_id)
    assert undecided.status is Status.QUEUED
    assert undecided.dlq_at_ms is not None
    retried = figure(
        parts.metrics.registry, "worker_messages_settled_total", queue="main", outcome="retried"
    )
    assert retried == 5
    # A redrive by the console leaves no mark on the message; the stamp on the request speaks.
    refusal.remove()
    for message in await world.dead_letters():
        await world.send([OutgoingMessage(message.body)])
    async with world.worker():
        await world.until_decided("E1", 1)
        await world.until_empty()
    (envelope,) = await world.published()
    assert envelope["detail"]["delivery"]["isDlq"] is True
    assert envelope["detail"]["finalStatus"] == "SUCCEEDED"


async def test_the_dlq_consumer_tries_once_more_and_then_fails_the_request_for_good(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", capacity=1)
    good, bad = request("E1", "user-1"), request("E1", "user-2")
    await world.store([good, bad])
    await world.dlq.send([message_of(good)])
    async with world.worker(dlq_pollers=1):
        await world.until_decided("E1", 1)
    await world.create_event("E2", capacity=1)
    await world.dlq.send([message_of(bad)])
    proxy.add(
        Fault(
            "BatchExecuteStatement",
            INVALID,
            where=lambda d: "REJECTED" in str(d["Statements"]),
        )
    )
    async with world.worker(endpoint_url=proxy.endpoint_url, dlq_pollers=1) as parts:
        await world.until_decided("E1", 2)
        await until(lambda: _is_emptied(world))

    decided = await world.item(good.request_id)
    assert (decided.status, decided.is_dlq) == (Status.SUCCEEDED, True)
    failed = await world.item(bad.request_id)
    assert (failed.status, failed.result_code) == (Status.FAILED_FINAL, "FAILED_WORKER")
    assert (failed.is_dlq, failed.failure_class) == (True, "RETRYABLE")
    counted = figure(
        parts.metrics.registry,
        "worker_messages_settled_total",
        queue="dlq",
        outcome="failed_final",
    )
    assert counted == 1
    assert {e["detail"]["delivery"]["isDlq"] for e in await world.published()} == {True}


async def test_the_dlq_consumer_leaves_quarantined_messages_for_people(world: World) -> None:
    await world.dlq.send([OutgoingMessage("not json", {"reasonCode": "BODY_NOT_JSON"})])

    async with world.worker(dlq_pollers=1) as parts:
        await until(lambda: _has_returned_one(parts))

    assert (await world.dlq.describe()).approximate_messages == 1


async def test_a_redrive_marks_the_messages_and_they_are_decided_as_dlq(world: World) -> None:
    await world.create_event("E1", capacity=30)
    requests = [request("E1", f"user-{n}") for n in range(25)]
    await world.store(requests)
    for start in range(0, 25, 10):
        await world.dlq.send([message_of(item) for item in requests[start : start + 10]])
    await world.dlq.send([OutgoingMessage("not json", {"reasonCode": "BODY_NOT_JSON"})])
    await anyio.sleep(0.01)

    at_ms = now_ms()
    selection = Selection(reason=RETRIES_EXHAUSTED, sent_before_ms=at_ms)
    result = await redrive.redrive(world.queue, world.dlq, selection, at_ms)

    assert (result.moved, result.failed, result.twice) == (25, 0, 0)
    left = await world.dead_letters()
    assert [message.body for message in left] == ["not json"]
    async with world.worker():
        await world.until_decided("E1", 25)
        await world.until_empty()
    assert {item.is_dlq for item in (await world.items("E1")).values()} == {True}


async def test_a_redrive_is_bounded_and_goes_on_where_it_ended(world: World) -> None:
    for start in range(0, 30, 10):
        await world.dlq.send([OutgoingMessage(f"message {start + n}") for n in range(10)])
    await anyio.sleep(0.01)
    at_ms = now_ms()

    first = await redrive.redrive(
        world.queue, world.dlq, Selection(limit=12, sent_before_ms=at_ms), at_ms
    )
    second = await redrive.redrive(
        world.queue, world.dlq, Selection(sent_before_ms=now_ms()), at_ms
    )

    assert (first.moved, second.moved) == (12, 18)
    moved = []
    while deliveries := await world.queue.receive(10, 0, 60):
        moved += deliveries
    assert sorted(m.body for m in moved) == sorted(f"message {n}" for n in range(30))
    assert {m.attributes[REDRIVEN_AT_ATTRIBUTE] for m in moved} == {str(at_ms)}


async def test_a_redrive_killed_between_send_and_delete_loses_nothing(
    world: World, proxy: FaultProxy
) -> None:
    await world.create_event("E1", capacity=5)
    item = request("E1", "user-1")
    await world.store([item])
    await world.dlq.send([message_of(item)])
    proxy.add(Fault("DeleteMessageBatch", SERVER_ERROR, times=1))
    through = world.through(proxy.endpoint_url)

    async with through as (main, dlq):
        at_ms = now_ms() + 1000
        with pytest.raises(Transient):  # cut off here, as by a kill
            await redrive.redrive(main, dlq, Selection(sent_before_ms=at_ms), at_ms)
        await redrive.redrive(main, dlq, Selection(sent_before_ms=at_ms), at_ms)
    async with world.worker() as parts:
        await world.until_decided("E1", 1)
        await world.until_empty()

    assert (await world.seats("E1")).remaining == 4
    assert figure(parts.metrics.registry, "worker_messages_received_total", queue="main") == 2


async def _is_filled(world: World) -> bool:
    return (await world.dlq.describe()).approximate_messages > 0


async def _is_emptied(world: World) -> bool:
    return (await world.dlq.describe()).approximate_messages == 0


async def _has_returned_one(parts: Parts) -> bool:
    name = "worker_messages_settled_total"
    return figure(parts.metrics.registry, name, queue="dlq", outcome="returned") == 1
