"""The queue adapter: what it asks for, and a result per entry."""

import pytest

from aws.errors import Fatal, Rejected, Transient
from aws.queue import Delivery, OutgoingMessage, Queue, VisibilityChange, is_lost_handle
from tests.aws.scripted import ScriptedClient


def sqs(answer: dict[str, object]) -> tuple[ScriptedClient, Queue]:
    client = ScriptedClient([answer])
    return client, Queue(client, "http://queue")


RECEIVED = {
    "MessageId": "m1",
    "ReceiptHandle": "h1",
    "Body": "{}",
    "Attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1704290000000"},
    "MessageAttributes": {
        "redrivenAt": {"DataType": "Number", "StringValue": "1704290000001"},
        "blob": {"DataType": "Binary", "BinaryValue": b"x"},
    },
}


async def test_a_receive_asks_for_what_decisions_need() -> None:
    client, queue = sqs({})

    assert await queue.receive(7, 10, 60) == []
    assert client.calls == [
        (
            "ReceiveMessage",
            {
                "QueueUrl": "http://queue",
                "MaxNumberOfMessages": 7,
                "WaitTimeSeconds": 10,
                "VisibilityTimeout": 60,
                "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
                "MessageAttributeNames": ["All"],
            },
        )
    ]


@pytest.mark.parametrize("is_dlq", [False, True])
async def test_a_delivery_carries_attempt_times_and_attributes(*, is_dlq: bool) -> None:
    queue = Queue(ScriptedClient([{"Messages": [RECEIVED]}]), "http://queue", is_dlq=is_dlq)

    assert await queue.receive(10, 0, 60) == [
        Delivery(
            "m1",
            "h1",
            "{}",
            attempt=3,
            sent_at_ms=1_704_290_000_000,
            attributes={"redrivenAt": "1704290000001"},
            from_dlq=is_dlq,
        )
    ]


@pytest.mark.parametrize("system", [{}, {"SentTimestamp": "soon"}])
async def test_an_answer_without_the_time_of_sending_is_no_answer(system: dict[str, str]) -> None:
    _, queue = sqs({"Messages": [RECEIVED | {"Attributes": system}]})

    with pytest.raises(Transient, match="SentTimestamp"):
        await queue.receive(10, 0, 60)


async def test_a_send_gives_the_id_or_the_error_of_each_message_in_order() -> None:
    client, queue = sqs(
        {
            "Failed": [
                {"Id": "0", "Code": "InternalError", "SenderFault": False, "Message": "later"}
            ],
            "Successful": [{"Id": "2", "MessageId": "m3"}, {"Id": "1", "MessageId": "m2"}],
        }
    )

    results = await queue.send(
        [OutgoingMessage("a"), OutgoingMessage("b", {"reasonCode": "X"}), OutgoingMessage("c")]
    )

    assert isinstance(results[0], Transient)
    assert results[1:] == ["m2", "m3"]
    assert client.parameters["Entries"] == [
        {"Id": "0", "MessageBody": "a", "MessageAttributes": {}},
        {
            "Id": "1",
            "MessageBody": "b",
            "MessageAttributes": {"reasonCode": {"DataType": "String", "StringValue": "X"}},
        },
        {"Id": "2", "MessageBody": "c", "MessageAttributes": {}},
    ]


async def test_a_delete_gives_none_or_the_error_of_each_receipt_in_order() -> None:
    client, queue = sqs(
        {
            "Successful": [{"Id": "2"}],
            "Failed": [{"Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": True}],
        }
    )

    results = await queue.delete(["h1", "h2", "h3"])

    assert isinstance(results[0], Rejected)
    assert isinstance(results[1], Transient)
    assert results[1].code == "NoAnswer"
    assert results[2] is None
    assert client.calls[0][0] == "DeleteMessageBatch"


async def test_equal_receipts_have_different_ids() -> None:
    client, queue = sqs({"Successful": [{"Id": "0"}, {"Id": "1"}]})

    assert await queue.delete(["same", "same"]) == [None, None]
    assert [entry["Id"] for entry in client.parameters["Entries"]] == ["0", "1"]


async def test_a_visibility_change_names_receipt_and_seconds() -> None:
    client, queue = sqs({"Successful": [{"Id": "0"}]})

    assert await queue.change_visibility([VisibilityChange("h1", 30)]) == [None]
    assert client.calls == [
        (
            "ChangeMessageVisibilityBatch",
            {
                "QueueUrl": "http://queue",
                "Entries": [{"Id": "0", "ReceiptHandle": "h1", "VisibilityTimeout": 30}],
            },
        )
    ]


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"Code": "RequestThrottled", "SenderFault": True}, Transient),
        ({"Code": "InternalError", "SenderFault": False}, Transient),
        ({"Code": "Unheard", "SenderFault": False}, Transient),
        ({"Code": "Unheard", "SenderFault": True}, Rejected),
        ({"Code": "AccessDenied", "SenderFault": True}, Fatal),
    ],
)
async def test_an_entry_s_failure_is_of_the_same_three_kinds(
    entry: dict[str, object], kind: type[Exception]
) -> None:
    _, queue = sqs({"Failed": [{"Id": "0", **entry}]})

    (result,) = await queue.delete(["h1"])

    assert type(result) is kind


async def test_a_description_reads_the_redrive_policy() -> None:
    _, queue = sqs(
        {
            "Attributes": {
                "QueueArn": "arn:q",
                "VisibilityTimeout": "60",
                "RedrivePolicy": '{"deadLetterTargetArn":"arn:dlq","maxReceiveCount":"5"}',
                "ApproximateNumberOfMessages": "1",
                "ApproximateNumberOfMessagesNotVisible": "2",
                "ApproximateNumberOfMessagesDelayed": "4",
            }
        }
    )

    description = await queue.describe()

    assert (description.arn, description.dlq_arn) == ("arn:q", "arn:dlq")
    assert description.max_receive_count == 5
    assert description.visibility_timeout_s == 60
    assert description.approximate_messages == 7


async def test_a_queue_without_a_redrive_policy_has_no_receive_limit() -> None:
    _, queue = sqs({"Attributes": {"QueueArn": "arn:q"}})

    description = await queue.describe()

    assert (description.max_receive_count, description.dlq_arn) == (None, None)


@pytest.mark.parametrize(
    ("code", "message", "lost"),
    [
        ("ReceiptHandleIsInvalid", "", True),
        ("AWS.SimpleQueueService.MessageNotInflight", "", True),
        ("InvalidParameterValue", "Value x for parameter ReceiptHandle is invalid.", True),
        ("InvalidParameterValue", "VisibilityTimeout is too long", False),
        ("AccessDenied", "receipt", False),
    ],
)
def test_a_receipt_that_sqs_no_longer_knows_is_recognised(
    code: str, message: str, *, lost: bool
) -> None:
    assert is_lost_handle(Rejected("sqs", "DeleteMessageBatch", code, message)) is lost


def test_a_transient_error_is_not_a_lost_receipt() -> None:
    assert not is_lost_handle(Transient("sqs", "DeleteMessageBatch", "ReceiptHandleIsInvalid", ""))


def test_a_message_s_size_counts_utf_8_bytes_and_attributes() -> None:
    assert OutgoingMessage("가나").size == 6
    assert OutgoingMessage("ab", {"name": "가"}).size == 2 + 4 + 6 + 3
