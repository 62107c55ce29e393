"""The stand-in's SQS, called by the real SDK."""

from time import perf_counter

import anyio
import anyio.lowlevel
import pytest

from aws.errors import Fatal, Rejected
from bench.stub_process import Stub
from tests.bench.conftest import Clients


async def receive(clients: Clients, stub: Stub, **options: object) -> list[dict[str, object]]:
    answer = await clients.sqs.call(
        "ReceiveMessage", QueueUrl=stub.queue_url, MaxNumberOfMessages=10, **options
    )
    messages: list[dict[str, object]] = answer.get("Messages", [])
    return messages


async def test_a_sent_message_is_received_once_with_its_attributes(
    clients: Clients, stub: Stub
) -> None:
    attributes = {"redrivenAt": {"DataType": "Number", "StringValue": "17"}}
    sent = await clients.sqs.call(
        "SendMessage", QueueUrl=stub.queue_url, MessageBody="hello", MessageAttributes=attributes
    )
    (message,) = await receive(
        clients,
        stub,
        MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        MessageAttributeNames=["All"],
    )
    assert message["Body"] == "hello"
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == "5d41402abc4b2a76b9719d911017c592"
    assert message["MessageAttributes"] == attributes
    system = message["Attributes"]
    assert isinstance(system, dict)
    assert system["ApproximateReceiveCount"] == "1"
    assert set(system) == {"ApproximateReceiveCount", "SentTimestamp"}
    assert await receive(clients, stub) == []


async def test_a_long_poll_gets_what_comes_while_it_waits(clients: Clients, stub: Stub) -> None:
    got: list[dict[str, object]] = []

    async def poll() -> None:
        got.extend(await receive(clients, stub, WaitTimeSeconds=20))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(poll)
        while not stub.stats()["calls"].get("ReceiveMessage"):
            await anyio.lowlevel.checkpoint()
        await clients.sqs.call(
            "SendMessageBatch",
            QueueUrl=stub.queue_url,
            Entries=[{"Id": str(n), "MessageBody": f"body {n}"} for n in range(3)],
        )
    assert [message["Body"] for message in got] == ["body 0", "body 1", "body 2"]


async def test_an_empty_long_poll_ends_when_its_time_is_up(clients: Clients, stub: Stub) -> None:
    began = perf_counter()
    assert await receive(clients, stub, WaitTimeSeconds=1) == []
    assert perf_counter() - began >= 0.99


async def test_a_message_not_deleted_becomes_visible_again(clients: Clients, stub: Stub) -> None:
    stub.seed_messages(1, "again")
    stub.release()
    assert len(await receive(clients, stub, VisibilityTimeout=1)) == 1
    assert await receive(clients, stub) == []
    (message,) = await receive(
        clients, stub, WaitTimeSeconds=5, MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )
    assert message["Attributes"] == {"ApproximateReceiveCount": "2"}


async def test_of_one_receive_only_what_is_not_deleted_comes_back(
    clients: Clients, stub: Stub
) -> None:
    stub.seed_messages(3, "one of three: “é”")
    stub.release()
    first, *others = await receive(clients, stub, VisibilityTimeout=1)
    await clients.sqs.call(
        "DeleteMessage", QueueUrl=stub.queue_url, ReceiptHandle=first["ReceiptHandle"]
    )
    again = await receive(clients, stub, WaitTimeSeconds=5, AttributeNames=["All"])
    assert [m["MessageId"] for m in again] == [m["MessageId"] for m in others]
    assert {str(message["Body"]) for message in again} == {"one of three: “é”"}
    assert all(
        set(message["Attributes"])  # type: ignore[call-overload]
        == {
            "ApproximateReceiveCount",
            "SentTimestamp",
            "ApproximateFirstReceiveTimestamp",
            "SenderId",
        }
        for message in again
    )


async def test_visibility_zero_gives_a_message_back_immediately(
    clients: Clients, stub: Stub
) -> None:
    stub.seed_messages(2, "back")
    stub.release()
    first, second = await receive(clients, stub)
    await clients.sqs.call(
        "ChangeMessageVisibilityBatch",
        QueueUrl=stub.queue_url,
        Entries=[{"Id": "0", "ReceiptHandle": first["ReceiptHandle"], "VisibilityTimeout": 0}],
    )
    await clients.sqs.call(
        "ChangeMessageVisibility",
        QueueUrl=stub.queue_url,
        ReceiptHandle=second["ReceiptHandle"],
        VisibilityTimeout=100,
    )
    (again,) = await receive(clients, stub)
    assert again["MessageId"] == first["MessageId"]


async def test_an_extended_message_does_not_come_back_at_its_first_deadline(
    clients: Clients, stub: Stub
) -> None:
    stub.seed_messages(2, "kept")
    stub.release()
    kept, other = await receive(clients, stub, VisibilityTimeout=1)
    await clients.sqs.call(
        "ChangeMessageVisibility",
        QueueUrl=stub.queue_url,
        ReceiptHandle=kept["ReceiptHandle"],
        VisibilityTimeout=100,
    )
    again = await receive(clients, stub, WaitTimeSeconds=5)
    assert [message["MessageId"] for message in again] == [other["MessageId"]]


async def test_a_batch_delete_has_a_result_for_each_entry(clients: Clients, stub: Stub) -> None:
    stub.seed_messages(2, "gone")
    stub.release()
    first, second = await receive(clients, stub)
    answer = await clients.sqs.call(
        "DeleteMessageBatch",
        QueueUrl=stub.queue_url,
        Entries=[
            {"Id": "0", "ReceiptHandle": first["ReceiptHandle"]},
            {"Id": "1", "ReceiptHandle": "not a handle"},
        ],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["0"]
    assert [(e["Id"], e["Code"]) for e in answer["Failed"]] == [("1", "ReceiptHandleIsInvalid")]
    await clients.sqs.call(
        "DeleteMessage", QueueUrl=stub.queue_url, ReceiptHandle=second["ReceiptHandle"]
    )
    assert stub.figures().deleted == 2


async def test_more_than_ten_entries_are_refused(clients: Clients, stub: Stub) -> None:
    entries = [{"Id": str(n), "MessageBody": "x"} for n in range(11)]
    with pytest.raises(Rejected, match="TooManyEntriesInBatchRequest"):
        await clients.sqs.call("SendMessageBatch", QueueUrl=stub.queue_url, Entries=entries)


async def test_a_missing_queue_is_a_fatal_error(clients: Clients, stub: Stub) -> None:
    with pytest.raises(Fatal, match="QueueDoesNotExist"):
        await clients.sqs.call("GetQueueAttributes", QueueUrl=stub.queue_url + "-not")
    found = await clients.sqs.call("GetQueueUrl", QueueName="requests")
    assert found["QueueUrl"].endswith("/requests")
    attributes = await clients.sqs.call(
        "GetQueueAttributes", QueueUrl=stub.queue_url, AttributeNames=["All"]
    )
    assert attributes["Attributes"]["ApproximateNumberOfMessages"] == "0"
