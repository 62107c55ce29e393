"""The model's queues: visibility, receipt handles, long polls, sizes, failing entries."""

from typing import Any

import pytest

from simulation.aws.sqs.messages import Message
from tests.simulation.aws.hand_clock import START_MS, Log, Model

MIB = 1_048_576


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def handle_of(model: Model, **parameters: Any) -> str:
    (message,) = model.receive(1, **parameters).messages
    return str(message["ReceiptHandle"])


def entries(*bodies: str) -> list[dict[str, Any]]:
    return [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]


def test_a_message_is_visible_again_exactly_when_its_timeout_ends() -> None:
    model = Model()
    model.send("a")
    model.receive(VisibilityTimeout=7)

    model.clock.advance(6.999)
    assert model.receive().messages == []
    model.clock.advance(0.001)

    assert model.receive().bodies == ["a"]


def test_a_long_poll_gets_a_message_at_the_instant_at_which_it_becomes_visible_again() -> None:
    model = Model()
    model.send("a", "b")
    model.receive(1, VisibilityTimeout=9)
    model.receive(1, VisibilityTimeout=5)
    first = model.receive(1, WaitTimeSeconds=20)
    second = model.receive(1, WaitTimeSeconds=20)

    model.clock.advance(20)

    assert (first.bodies, first.at) == (["b"], 5.0)
    assert (second.bodies, second.at) == (["a"], 9.0)


def test_a_shortened_timeout_wakes_a_long_poll_earlier() -> None:
    model = Model()
    model.send("a")
    handle = handle_of(model, VisibilityTimeout=100)
    poll = model.receive(WaitTimeSeconds=20)

    model.hide(handle, 3)
    model.clock.advance(20)

    assert (poll.bodies, poll.at) == (["a"], 3.0)


def test_an_extended_message_stays_hidden_until_its_new_deadline() -> None:
    model = Model()
    model.send("a")
    handle = handle_of(model, VisibilityTimeout=5)
    model.clock.advance(4)
    model.hide(handle, 10)
    poll = model.receive(WaitTimeSeconds=20)

    model.clock.advance(20)

    assert poll.at == 14.0


def test_a_queue_whose_messages_are_deleted_sets_no_more_alarms() -> None:
    model = Model()
    model.send("a", "b")
    for timeout_s in (5, 9):
        model.delete(handle_of(model, VisibilityTimeout=timeout_s))

    model.clock.advance(5)

    assert model.clock.alarms == 0


def test_the_queue_s_own_timeout_holds_where_a_receive_names_none() -> None:
    model = Model()
    created = model.call(
        "AmazonSQS.CreateQueue", QueueName="slow", Attributes={"VisibilityTimeout": "3"}
    )
    assert created.status == 200
    model.sqs("SendMessage", "slow", MessageBody="a")
    model.receive(queue="slow")
    poll = model.receive(queue="slow", WaitTimeSeconds=20)

    model.clock.advance(20)

    assert poll.at == 3.0


def test_an_old_handle_succeeds_and_deletes_nothing() -> None:
    model = Model()
    model.send("a")
    old = handle_of(model, VisibilityTimeout=1)
    model.clock.advance(1)
    new = handle_of(model, VisibilityTimeout=1)

    assert model.delete(old).status == 200
    assert model.queue.in_flight == 1
    assert model.delete(new).status == 200
    assert model.queue.in_flight == 0
    model.clock.advance(1)
    assert model.receive().messages == []


def test_the_latest_handle_deletes_a_message_that_is_visible_again() -> None:
    model = Model()
    model.send("a", "b")
    handle = handle_of(model, VisibilityTimeout=1)
    model.clock.advance(1)
    assert model.queue.waiting == 2

    assert model.delete(handle).status == 200

    assert (model.queue.waiting, model.queue.deleted) == (1, 1)
    assert model.receive().bodies == ["b"]


def test_deleting_twice_succeeds_and_counts_once() -> None:
    model = Model()
    model.send("a")
    handle = handle_of(model)

    assert [model.delete(handle).status for _ in range(2)] == [200, 200]

    assert model.queue.deleted == 1


@pytest.mark.parametrize("handle", ["", "x", "1", "one:AQEB", "1:"])
def test_what_is_no_handle_is_refused(handle: str) -> None:
    model = Model()
    assert model.delete(handle).error == "ReceiptHandleIsInvalid"
    assert model.hide(handle, 1).error == "ReceiptHandleIsInvalid"


def test_only_a_message_in_flight_by_that_receive_changes_its_visibility() -> None:
    log = Log()
    model = Model(observer=log)
    model.send("a")
    old = handle_of(model, VisibilityTimeout=1)
    model.clock.advance(1)

    assert model.hide(old, 5).error == "MessageNotInflight"
    new = handle_of(model)
    assert model.hide(old, 5).error == "MessageNotInflight"
    assert model.hide(new, 5).status == 200
    model.delete(new)
    assert model.hide(new, 5).error == "MessageNotInflight"
    assert log.of("not in flight") == [("q", 1, 5), ("q", 1, 5), ("q", 2, 5)]


def test_twelve_hours_after_the_receive_a_message_is_visible_whatever_one_asks_for() -> None:
    model = Model()
    model.send("a")
    handle = handle_of(model, VisibilityTimeout=43_200)
    model.clock.advance(3_200)

    assert model.hide(handle, 40_001).error == "InvalidParameterValue"
    assert model.hide(handle, 40_000).status == 200
    assert model.hide(handle, 43_201).error == "InvalidParameterValue"


def test_all_system_attributes_are_given_where_asked_for() -> None:
    model = Model()
    model.send("a")
    model.clock.advance(2)
    model.receive(VisibilityTimeout=1)
    model.clock.advance(3)

    (message,) = model.receive(MessageSystemAttributeNames=["All"]).messages

    assert message["Attributes"] == {
        "ApproximateReceiveCount": "2",
        "SentTimestamp": str(START_MS),
        "ApproximateFirstReceiveTimestamp": str(START_MS + 2_000),
        "SenderId": "000000000000",
    }


def test_message_ids_depend_on_nothing_but_the_cloud() -> None:
    ids = []
    for _ in range(2):
        model = Model()
        model.send("a")
        ids.append(model.receive().messages[0]["MessageId"])

    assert ids[0] == ids[1]


def test_an_observer_sees_each_step_with_its_deadline() -> None:
    log = Log()
    model = Model(observer=log)
    model.send("a")
    handle = handle_of(model, VisibilityTimeout=10)
    model.clock.advance(4)
    model.hide(handle, 20)
    model.delete(handle)

    assert log.seen == [
        ("sent", "q", 1),
        ("received", "q", 1, 1, 10.0),
        ("changed", "q", 1, 24.0),
        ("deleted", "q", 1),
    ]


def test_the_latest_handle_is_known_to_the_observer() -> None:
    handles = []

    class Handles(Log):
        def received(self, queue: str, message: Message) -> None:  # noqa: ARG002 - the interface
            handles.append(message.receipt_handle)

    model = Model(observer=Handles())
    model.send("a")

    assert handle_of(model) == handles[0]


def test_a_long_poll_is_its_caller_s_receive_whoever_ends_its_wait() -> None:
    callers = []

    class Callers(Log):
        def received(self, queue: str, message: Message) -> None:  # noqa: ARG002 - the interface
            callers.append(model.cloud.account.caller)

    model = Model(observer=Callers())
    model.cloud.account.caller = "worker"
    model.receive(WaitTimeSeconds=20)
    model.cloud.account.caller = "ingest"
    model.send("a")

    assert callers == ["worker"]
    assert model.cloud.account.caller == "ingest"


def test_an_empty_long_poll_ends_exactly_when_its_time_is_up() -> None:
    model = Model()
    poll = model.receive(WaitTimeSeconds=20)
    model.clock.advance(19.9)
    assert poll.document is None

    model.clock.advance(1)

    assert (poll.messages, poll.at) == ([], 20.0)


@pytest.mark.parametrize(
    "parameters",
    [
        {"MaxNumberOfMessages": 0},
        {"MaxNumberOfMessages": 11},
        {"WaitTimeSeconds": 21},
        {"VisibilityTimeout": 43_201},
    ],
)
def test_parameters_beyond_their_bounds_are_refused(parameters: dict[str, Any]) -> None:
    assert Model().sqs("ReceiveMessage", **parameters).error == "InvalidParameterValue"


def test_a_message_of_one_mebibyte_is_taken_and_one_byte_more_is_not() -> None:
    model = Model()
    assert model.sqs("SendMessage", MessageBody="x" * MIB).status == 200
    assert model.sqs("SendMessage", MessageBody="é" * (MIB // 2)).status == 200

    assert model.sqs("SendMessage", MessageBody="x" * (MIB + 1)).error == "InvalidParameterValue"
    long = model.sqs("SendMessage", MessageBody="é" * (MIB // 2) + "x")
    assert long.error == "InvalidParameterValue"
    assert model.queue.sent == 2


def test_attributes_count_towards_the_size_by_name_type_and_value() -> None:
    model = Model()
    attributes = {"reason": text("x" * 100)}
    spare = len("reason") + len("String") + 100
    sizes = [MIB - spare, MIB - spare + 1]
    answers = [
        model.sqs("SendMessage", MessageBody="x" * size, MessageAttributes=attributes)
        for size in sizes
    ]

    assert [answer.status for answer in answers] == [200, 400]
    huge = {"reason": text("x" * MIB)}
    refused = model.sqs("SendMessage", MessageBody="x", MessageAttributes=huge)
    assert refused.error == "InvalidParameterValue"


def test_a_batch_of_one_mebibyte_is_taken_and_one_byte_more_is_not() -> None:
    model = Model()
    half = "x" * (MIB // 2)

    assert model.sqs("SendMessageBatch", Entries=entries(half, half)).status == 200
    refused = model.sqs("SendMessageBatch", Entries=entries(half, half + "x"))

    assert refused.error == "BatchRequestTooLong"
    assert model.queue.sent == 2


@pytest.mark.parametrize("body", ["\0", "a\x1f", "\ufffe", "é\x08"])
def test_characters_that_sqs_does_not_take_fail_their_entry_alone(body: str) -> None:
    model = Model()
    assert model.sqs("SendMessage", MessageBody=body).error == "InvalidMessageContents"

    answer = model.sqs("SendMessageBatch", Entries=entries("\t\r\n ~é\U0001f39f", body)).document

    assert answer is not None
    assert [entry["Id"] for entry in answer["Successful"]] == ["0"]
    assert [(e["Id"], e["Code"], e["SenderFault"]) for e in answer["Failed"]] == [
        ("1", "InvalidMessageContents", True)
    ]
    assert model.receive().bodies == ["\t\r\n ~é\U0001f39f"]


def test_a_message_has_a_body_and_up_to_ten_attributes() -> None:
    model = Model()
    attributes = {f"a{n}": text("x") for n in range(11)}

    assert model.sqs("SendMessage", MessageBody="").error == "MissingParameter"
    many = model.sqs("SendMessage", MessageBody="x", MessageAttributes=attributes)
    assert many.error == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        ([], "EmptyBatchRequest"),
        (entries(*"abcdefghijk"), "TooManyEntriesInBatchRequest"),
        ([*entries("a"), *entries("b")], "BatchEntryIdsNotDistinct"),
    ],
)
def test_batches_that_are_refused_as_a_whole(batch: list[dict[str, Any]], code: str) -> None:
    model = Model()
    assert model.sqs("SendMessageBatch", Entries=batch).error == code
    assert model.queue.sent == 0


def test_an_entry_that_the_service_fails_has_no_effect() -> None:
    faults = iter(["InternalError", None] * 3)
    asked: list[str] = []

    def fault(operation: str) -> str | None:
        asked.append(operation)
        return next(faults)

    model = Model()
    model.send("a", "b")
    first, second = (message["ReceiptHandle"] for message in model.receive().messages)
    model.cloud.account.entry_fault = fault

    answers = [
        model.sqs("SendMessageBatch", Entries=entries("c", "d")),
        model.sqs(
            "ChangeMessageVisibilityBatch",
            Entries=[
                {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for n, handle in enumerate((first, second))
            ],
        ),
        model.sqs(
            "DeleteMessageBatch",
            Entries=[
                {"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate((first, second))
            ],
        ),
    ]

    for answer in answers:
        assert answer.status == 200
        assert answer.document is not None
        assert [entry["Id"] for entry in answer.document["Successful"]] == ["1"]
        (failed,) = answer.document["Failed"]
        assert (failed["Id"], failed["Code"]) == ("0", "InternalError")
        assert failed["SenderFault"] is False
    operations = ["SendMessageBatch", "ChangeMessageVisibilityBatch", "DeleteMessageBatch"]
    assert asked == [operation for operation in operations for _ in range(2)]
    assert (model.queue.in_flight, model.queue.waiting) == (1, 1)
    assert model.receive().bodies == ["d"]
