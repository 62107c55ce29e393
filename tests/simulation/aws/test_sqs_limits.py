"""The model's queues: dead-letter moves, messages in flight, second copies, no order."""

from random import Random
from typing import Any

import orjson
import pytest

from config.quotas import Limits
from simulation.aws.cloud import Cloud
from simulation.aws.sqs.queue import Redrive
from tests.simulation.aws.hand_clock import START_MS, Log, Model

ARN = "arn:aws:sqs:us-east-1:000000000000:"


def with_dlq(max_receive_count: int, **account: Any) -> Model:
    model = Model(**account)
    model.queue.redrive = Redrive(model.cloud.queue("dlq"), max_receive_count)
    return model


def test_the_receive_that_would_be_one_too_many_moves_the_message() -> None:
    log = Log()
    model = with_dlq(2, observer=log)
    model.sqs(
        "SendMessage",
        MessageBody="poison",
        MessageAttributes={"why": {"DataType": "String", "StringValue": "x"}},
    )
    ids = []
    for _ in range(2):
        (message,) = model.receive(VisibilityTimeout=1).messages
        ids.append(message["MessageId"])
        model.clock.advance(1)
    assert model.cloud.queue("dlq").waiting == 0

    assert model.receive().messages == []

    assert log.of("moved") == [("q", "dlq", 1)]
    (dead,) = model.receive(
        queue="dlq", MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"]
    ).messages
    assert (dead["Body"], dead["MessageId"]) == ("poison", ids[0])
    assert dead["MessageAttributes"]["why"]["StringValue"] == "x"
    assert dead["Attributes"] == {
        "ApproximateReceiveCount": "3",
        "SentTimestamp": str(START_MS),
        "ApproximateFirstReceiveTimestamp": str(START_MS),
        "SenderId": "000000000000",
        "DeadLetterQueueSourceArn": ARN + "q",
    }


def test_a_receive_gets_others_in_place_of_those_that_are_moved() -> None:
    model = with_dlq(1)
    model.send("a", "b")
    model.receive(VisibilityTimeout=1)
    model.clock.advance(1)
    model.send("c", "d", "e")

    assert model.receive(2).bodies == ["c", "d"]
    assert (model.cloud.queue("dlq").waiting, model.queue.waiting) == (2, 1)


def test_a_long_poll_of_the_dead_letter_queue_gets_what_is_moved() -> None:
    model = with_dlq(1)
    model.send("a")
    model.receive(VisibilityTimeout=3)
    poll = model.receive(queue="dlq", WaitTimeSeconds=20)
    waiting = model.receive(WaitTimeSeconds=20)

    model.clock.advance(20)

    assert (poll.bodies, poll.at) == (["a"], 3.0)
    assert (waiting.messages, waiting.at) == ([], 20.0)


def test_a_handle_of_before_the_move_deletes_nothing() -> None:
    model = with_dlq(1)
    model.send("a")
    (message,) = model.receive(VisibilityTimeout=1).messages
    model.clock.advance(1)
    model.receive()

    for queue in ("q", "dlq"):
        assert model.delete(message["ReceiptHandle"], queue).status == 200

    assert model.cloud.queue("dlq").waiting == 1


def create(model: Model, name: str, **attributes: str) -> Any:
    return model.call("AmazonSQS.CreateQueue", QueueName=name, Attributes=attributes)


def policy(count: int, name: str = "dlq") -> str:
    return orjson.dumps({"deadLetterTargetArn": ARN + name, "maxReceiveCount": count}).decode()


def test_attributes_are_described_as_they_were_created() -> None:
    model = Model()
    create(model, "dlq")
    created = create(model, "main", VisibilityTimeout="45", RedrivePolicy=policy(3))
    assert created.status == 200

    described = model.sqs("GetQueueAttributes", "main", AttributeNames=["All"]).document

    assert described is not None
    attributes = described["Attributes"]
    assert orjson.loads(attributes.pop("RedrivePolicy")) == orjson.loads(policy(3))
    assert attributes == {
        "QueueArn": ARN + "main",
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "VisibilityTimeout": "45",
    }
    one = model.sqs("GetQueueAttributes", "main", AttributeNames=["QueueArn"]).document
    assert one == {"Attributes": {"QueueArn": ARN + "main"}}


def test_a_queue_is_created_again_only_with_the_same_attributes() -> None:
    model = Model()
    create(model, "dlq")
    assert create(model, "main", RedrivePolicy=policy(3)).status == 200

    assert create(model, "main", RedrivePolicy=policy(3)).status == 200
    assert create(model, "main", RedrivePolicy=policy(4)).error == "QueueNameExists"
    assert model.call("AmazonSQS.CreateQueue", QueueName="main").status == 200


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"RedrivePolicy": policy(3, "none")}, "InvalidParameterValue"),
        ({"RedrivePolicy": policy(0)}, "InvalidParameterValue"),
        ({"RedrivePolicy": policy(1_001)}, "InvalidParameterValue"),
        ({"VisibilityTimeout": "43201"}, "InvalidAttributeValue"),
        ({"FifoQueue": "true"}, "InvalidAttributeName"),
    ],
)
def test_attributes_that_cannot_be_are_refused(attributes: dict[str, str], code: str) -> None:
    model = Model()
    create(model, "dlq")

    assert create(model, "main", **attributes).error == code
    assert "main" not in model.cloud.queues


def limited(most: int) -> tuple[Model, Log]:
    log = Log()
    return Model(limits=Limits(in_flight_messages=most), observer=log), log


def test_receives_stop_at_the_limit_of_messages_in_flight() -> None:
    model, log = limited(12)
    model.send(*(f"m{n}" for n in range(20)))

    assert [len(model.receive().messages) for _ in range(2)] == [10, 2]
    assert log.of("throttled") == []
    assert model.receive().error == "OverLimit"
    assert log.of("throttled") == [("in_flight_messages", ARN + "q")]


def test_a_long_poll_at_the_limit_ends_empty_and_without_an_error() -> None:
    model, log = limited(1)
    model.send("a", "b")
    model.receive(1)
    poll = model.receive(WaitTimeSeconds=20)

    model.clock.advance(20)

    assert (poll.messages, poll.at) == ([], 20.0)
    assert log.of("throttled") == [("in_flight_messages", ARN + "q")]


def test_a_delete_makes_room_for_a_long_poll() -> None:
    model, _ = limited(1)
    model.send("a", "b")
    (first,) = model.receive(1).messages
    poll = model.receive(WaitTimeSeconds=20)
    model.clock.advance(5)

    model.delete(first["ReceiptHandle"])

    assert (poll.bodies, poll.at) == (["b"], 5.0)


def test_a_second_copy_is_received_while_the_first_is_in_flight_and_outlives_its_delete() -> None:
    log = Log()
    model = Model(duplicate_delivery=1.0, observer=log)
    model.send("a")
    (first,) = model.receive(1).messages
    model.cloud.account.duplicate_delivery = 0.0
    model.delete(first["ReceiptHandle"])

    (second,) = model.receive(1, MessageSystemAttributeNames=["All"]).messages

    assert (second["MessageId"], second["Body"]) == (first["MessageId"], "a")
    assert second["Attributes"]["ApproximateReceiveCount"] == "1"
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    assert [number for _, number, *_ in log.of("received")] == [1, 2]
    assert model.delete(second["ReceiptHandle"]).status == 200
    assert (model.queue.deleted, model.queue.in_flight, model.queue.waiting) == (2, 0, 0)


def test_about_the_share_asked_for_is_handed_out_twice() -> None:
    model = Model(duplicate_delivery=0.1, random=Random(1))
    model.send(*(f"m{n}" for n in range(1_000)))
    bodies: list[str] = []
    while got := model.receive().bodies:
        bodies += got

    assert 1_080 < len(bodies) < 1_150
    assert len(set(bodies)) == 1_000


def order_of(seed: int) -> tuple[list[str], list[int]]:
    model = Model(unordered=True, random=Random(seed))
    model.send(*(f"m{n:02}" for n in range(50)))
    got: list[list[str]] = []
    while model.queue.waiting:
        got.append(model.receive(WaitTimeSeconds=20).bodies)
    return [body for bodies in got for body in bodies], [len(bodies) for bodies in got]


def test_without_order_each_message_comes_once_in_an_order_that_the_seed_decides() -> None:
    bodies, counts = order_of(1)

    assert sorted(bodies) == [f"m{n:02}" for n in range(50)]
    assert bodies != sorted(bodies)
    assert min(counts) < 10
    assert (bodies, counts) == order_of(1)
    assert order_of(2) != order_of(1)


def test_without_order_a_long_poll_is_never_empty_and_a_short_one_may_be() -> None:
    model = Model(unordered=True)
    model.send(*(f"m{n}" for n in range(200)))
    short = [len(model.receive(1).messages) for _ in range(100)]
    long = [len(model.receive(1, WaitTimeSeconds=20).messages) for _ in range(50)]

    assert set(short) == {0, 1}
    assert set(long) == {1}


def test_a_late_delete_is_remembered_where_messages_have_no_order() -> None:
    model = Model(unordered=True)
    model.send("a")
    poll = model.receive(WaitTimeSeconds=20, VisibilityTimeout=1)
    model.clock.advance(1)
    model.delete(poll.messages[0]["ReceiptHandle"])

    later = model.receive(WaitTimeSeconds=20)
    model.clock.advance(20)

    assert later.messages == []


def test_by_default_messages_come_in_order_and_as_many_as_there_are() -> None:
    model = Model()
    assert isinstance(model.cloud, Cloud)
    model.send(*(f"m{n}" for n in range(12)))

    assert model.receive().bodies == [f"m{n}" for n in range(10)]
    assert model.receive().bodies == ["m10", "m11"]
