"""The queue adapter against the embedded AWS and against the model: both must answer alike."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import anyio
import orjson
import pytest

from aws.client import Client, Connection
from aws.errors import Fatal, Rejected
from aws.queue import Delivery, OutgoingMessage, Queue, VisibilityChange, is_lost_handle
from aws.sdk import open_client
from simulation.client import ModelClient
from tests.aws.contract import EMBEDDED, MODEL, model_client


@pytest.fixture(params=[EMBEDDED, MODEL])
async def sqs(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    if request.param == MODEL:
        yield model_client("sqs")
        return
    connection: Connection = request.getfixturevalue("connection")
    async with open_client("sqs", connection) as client:
        yield client


async def new_queue(sqs: Client, **attributes: str) -> Queue:
    parameters: dict[str, Any] = {"QueueName": f"queue-{uuid4().hex}"}
    if attributes:
        parameters["Attributes"] = attributes
    created = await sqs.call("CreateQueue", **parameters)
    return Queue(sqs, created["QueueUrl"])


@pytest.fixture
async def queue(sqs: Client) -> Queue:
    """An empty queue of its own."""
    return await new_queue(sqs)


async def sent_and_received(queue: Queue, *bodies: str) -> list[Delivery]:
    await queue.send([OutgoingMessage(body) for body in bodies])
    deliveries = await queue.receive(10, 1, 30)
    assert [delivery.body for delivery in deliveries] == list(bodies)
    return deliveries


async def give_back(queue: Queue, *deliveries: Delivery) -> None:
    changes = [VisibilityChange(delivery.receipt_handle, 0) for delivery in deliveries]
    assert await queue.change_visibility(changes) == [None] * len(deliveries)


def assert_succeeds_on_the_model_alone(result: Exception | None, sqs: Client) -> None:
    if isinstance(sqs, ModelClient):
        assert result is None
    else:
        assert result is not None
        assert is_lost_handle(result)


async def test_a_message_comes_back_with_its_attributes_and_its_attempt(queue: Queue) -> None:
    (message_id,) = await queue.send([OutgoingMessage("body", {"redrivenAt": "17"})])

    (first,) = await queue.receive(10, 1, 30)
    assert await queue.change_visibility([VisibilityChange(first.receipt_handle, 0)]) == [None]
    (second,) = await queue.receive(10, 1, 30)

    assert (first.message_id, first.body, first.attempt) == (message_id, "body", 1)
    assert first.attributes == {"redrivenAt": "17"}
    assert not first.from_dlq
    assert (second.message_id, second.attempt) == (message_id, 2)
    assert second.sent_at_ms == first.sent_at_ms > 1_600_000_000_000
    assert await queue.delete([second.receipt_handle]) == [None]
    assert (await queue.describe()).approximate_messages == 0


async def test_each_receive_counts_and_has_a_handle_of_its_own(queue: Queue) -> None:
    (delivery,) = await sent_and_received(queue, "body")
    seen = [delivery]
    for _ in range(3):
        await give_back(queue, seen[-1])
        seen += await queue.receive(10, 1, 30)

    assert [delivery.attempt for delivery in seen] == [1, 2, 3, 4]
    assert len({delivery.receipt_handle for delivery in seen}) == 4


async def test_a_message_in_flight_is_hidden_until_it_is_given_back(queue: Queue) -> None:
    first, second = await sent_and_received(queue, "first", "second")
    assert await queue.receive(10, 0, 30) == []

    await give_back(queue, second)

    assert [delivery.body for delivery in await queue.receive(10, 0, 30)] == ["second"]
    assert (await queue.describe()).approximate_messages == 2
    assert first.body == "first"


async def test_a_long_poll_ends_with_a_send(queue: Queue) -> None:
    got: list[Delivery] = []

    async def poll() -> None:
        got.extend(await queue.receive(10, 20, 30))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poll)
            await anyio.lowlevel.checkpoint()
            await queue.send([OutgoingMessage("body")])

    assert [delivery.body for delivery in got] == ["body"]


async def test_a_long_poll_ends_with_a_message_that_is_given_back(queue: Queue) -> None:
    (delivery,) = await sent_and_received(queue, "body")
    got: list[Delivery] = []

    async def poll() -> None:
        got.extend(await queue.receive(10, 20, 30))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poll)
            await anyio.lowlevel.checkpoint()
            await give_back(queue, delivery)

    assert [delivery.attempt for delivery in got] == [2]


async def test_one_unknown_receipt_fails_alone(queue: Queue) -> None:
    await queue.send([OutgoingMessage("body")])
    (delivery,) = await queue.receive(10, 1, 30)

    deleted, unknown = await queue.delete([delivery.receipt_handle, "no-such-receipt"])

    assert deleted is None
    assert unknown is not None
    assert is_lost_handle(unknown)


async def test_a_deleted_message_cannot_be_hidden_longer(queue: Queue) -> None:
    gone, kept = await sent_and_received(queue, "gone", "kept")
    await queue.delete([gone.receipt_handle])

    # AWS's code is MessageNotInflight (API Reference, "ChangeMessageVisibility"); the embedded AWS
    # answers ReceiptHandleIsInvalid, which is wrong of a handle that was once given out.
    lost, done = await queue.change_visibility(
        [VisibilityChange(delivery.receipt_handle, 60) for delivery in (gone, kept)]
    )

    assert lost is not None
    assert is_lost_handle(lost)
    assert done is None


async def test_a_message_that_was_received_again_stays_whoever_deletes_by_the_old_handle(
    queue: Queue, sqs: Client
) -> None:
    (old,) = await sent_and_received(queue, "body")
    await give_back(queue, old)
    (new,) = await queue.receive(10, 1, 30)

    # "If you use an old ReceiptHandle, the request will succeed, but the message might not be
    # deleted" (API Reference, "DeleteMessage"): the embedded AWS fails the request, wrongly.
    (result,) = await queue.delete([old.receipt_handle])

    assert_succeeds_on_the_model_alone(result, sqs)
    assert (await queue.describe()).approximate_messages == 1
    assert await queue.delete([new.receipt_handle]) == [None]


async def test_deleting_twice_leaves_the_message_gone(queue: Queue, sqs: Client) -> None:
    (delivery,) = await sent_and_received(queue, "body")
    assert await queue.delete([delivery.receipt_handle]) == [None]

    # The second succeeds on AWS (as above); the embedded AWS fails it, wrongly.
    (result,) = await queue.delete([delivery.receipt_handle])

    assert_succeeds_on_the_model_alone(result, sqs)
    assert (await queue.describe()).approximate_messages == 0


async def test_a_message_received_too_often_moves_with_its_id_and_attributes(sqs: Client) -> None:
    dlq = await new_queue(sqs)
    arn = (await dlq.describe()).arn
    policy = {"deadLetterTargetArn": arn, "maxReceiveCount": 2}
    queue = await new_queue(sqs, RedrivePolicy=orjson.dumps(policy).decode())
    description = await queue.describe()
    assert (description.max_receive_count, description.dlq_arn) == (2, arn)
    (message_id,) = await queue.send([OutgoingMessage("body", {"reason": "x"})])
    sent_at_ms = 0
    for _ in range(2):
        (delivery,) = await queue.receive(10, 1, 30)
        sent_at_ms = delivery.sent_at_ms
        await give_back(queue, delivery)

    assert await queue.receive(10, 0, 30) == []

    (dead,) = await dlq.receive(10, 1, 30)
    assert (dead.message_id, dead.body, dead.attributes) == (message_id, "body", {"reason": "x"})
    assert (dead.attempt, dead.sent_at_ms) == (3, sent_at_ms)
    assert (await queue.describe()).approximate_messages == 0


async def test_a_moved_message_names_the_queue_that_it_comes_from(sqs: Client) -> None:
    dlq = await new_queue(sqs)
    policy = {"deadLetterTargetArn": (await dlq.describe()).arn, "maxReceiveCount": 1}
    queue = await new_queue(sqs, RedrivePolicy=orjson.dumps(policy).decode())
    await give_back(queue, *await sent_and_received(queue, "body"))
    await queue.receive(10, 0, 30)

    answer = await sqs.call("ReceiveMessage", QueueUrl=dlq.url, MessageSystemAttributeNames=["All"])

    (message,) = answer["Messages"]
    source = (await queue.describe()).arn
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == source


async def test_the_queue_s_own_visibility_timeout_is_described(sqs: Client) -> None:
    described = await (await new_queue(sqs, VisibilityTimeout="45")).describe()

    assert described.visibility_timeout_s == 45
    assert (described.max_receive_count, described.dlq_arn) == (None, None)


async def test_a_character_that_sqs_does_not_take_fails_its_message_alone(queue: Queue) -> None:
    good, bad = await queue.send([OutgoingMessage("good"), OutgoingMessage("bad\0")])

    assert isinstance(good, str)
    assert isinstance(bad, Rejected)
    assert bad.code == "InvalidMessageContents"


async def test_messages_that_are_too_long_together_are_refused(queue: Queue) -> None:
    half = OutgoingMessage("x" * 524_288)
    assert all(isinstance(result, str) for result in await queue.send([half, half]))

    with pytest.raises(Rejected, match="BatchRequestTooLong"):
        await queue.send([half, half, OutgoingMessage("x")])


async def test_an_empty_batch_is_refused(queue: Queue) -> None:
    with pytest.raises(Rejected, match="EmptyBatchRequest"):
        await queue.delete([])


async def test_a_missing_queue_is_fatal(queue: Queue, sqs: Client) -> None:
    missing = Queue(sqs, queue.url + "-missing")

    with pytest.raises(Fatal):
        await missing.describe()
    with pytest.raises(Fatal):
        await missing.receive(1, 0, 30)
