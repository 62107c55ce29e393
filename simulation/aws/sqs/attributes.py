"""A queue's attributes, as CreateQueue takes them and GetQueueAttributes gives them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from simulation.aws import errors
from simulation.aws.account import Account, Payload
from simulation.aws.sqs.queue import DEFAULT_VISIBILITY_S, MAX_VISIBILITY_S, Queue, Redrive

_MAX_RECEIVE_COUNT: Final = 1_000
_KNOWN: Final = frozenset({"VisibilityTimeout", "RedrivePolicy"})


def create_queue(
    payload: Payload, queues: Mapping[str, Queue], account: Account, numbers: Iterator[int]
) -> Queue:
    """Make the queue that CreateQueue asks for; raises ServiceError for what is not modelled."""
    attributes: Mapping[str, str] = payload.get("Attributes", {})
    for name in attributes:
        if name not in _KNOWN:
            raise errors.queue_error("InvalidAttributeName", f"{name} is not modelled")
    timeout_s = int(attributes.get("VisibilityTimeout", DEFAULT_VISIBILITY_S))
    if not 0 <= timeout_s <= MAX_VISIBILITY_S:
        raise errors.queue_error("InvalidAttributeValue", f"VisibilityTimeout: {timeout_s}")
    redrive = None
    if "RedrivePolicy" in attributes:
        redrive = _redrive(orjson.loads(attributes["RedrivePolicy"]), queues)
    return Queue(
        payload["QueueName"], account, numbers, visibility_timeout_s=timeout_s, redrive=redrive
    )


def _redrive(policy: Mapping[str, Any], queues: Mapping[str, Queue]) -> Redrive:
    target = queues.get(policy["deadLetterTargetArn"].rpartition(":")[2])
    if target is None:
        raise errors.queue_error("InvalidParameterValue", "Dead letter target does not exist.")
    count = int(policy["maxReceiveCount"])
    if not 1 <= count <= _MAX_RECEIVE_COUNT:
        raise errors.queue_error("InvalidParameterValue", f"maxReceiveCount: {count}")
    return Redrive(target, count)


def get_queue_attributes(queue: Queue, payload: Payload) -> dict[str, Any]:
    """GetQueueAttributes: of those that programs read at start, the ones asked for."""
    attributes = {
        "QueueArn": queue.arn,
        "ApproximateNumberOfMessages": str(queue.waiting),
        "ApproximateNumberOfMessagesNotVisible": str(queue.in_flight),
        "ApproximateNumberOfMessagesDelayed": "0",
        "VisibilityTimeout": str(queue.visibility_timeout_s),
    }
    if queue.redrive is not None:
        policy = {
            "deadLetterTargetArn": queue.redrive.target.arn,
            "maxReceiveCount": queue.redrive.max_receive_count,
        }
        attributes["RedrivePolicy"] = orjson.dumps(policy).decode()
    wanted = payload.get("AttributeNames", ())
    if "All" not in wanted:
        attributes = {name: value for name, value in attributes.items() if name in wanted}
    return {"Attributes": attributes} if attributes else {}
