"""The single calls that the plain workers make for one message."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from schema import events, keys, names

QUEUE_URL: Final = os.environ.get("QUEUE_URL", "")
TABLE_NAME: Final = os.environ.get("TABLE_NAME", "")
BUS_NAME: Final = os.environ.get("EVENT_BUS_NAME", "default")

RECEIVE: Final[dict[str, Any]] = {
    "QueueUrl": QUEUE_URL,
    "MaxNumberOfMessages": 10,
    "WaitTimeSeconds": 10,
    "VisibilityTimeout": 60,
    "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
}


def start(request: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """UpdateItem: the request is being processed."""
    return _update_request(
        request,
        "SET #status = :after, startedAt = :now",
        "#status = :before",
        {":after": "PROCESSING", ":before": "QUEUED", ":now": now_ms},
    )


def take_seat(request: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """UpdateItem: one seat less, while there is one."""
    return {
        "TableName": TABLE_NAME,
        "Key": {
            names.PARTITION_KEY: {"S": keys.event_pk(request["eventId"])},
            names.SORT_KEY: {"S": keys.CAPACITY_SORT_KEY},
        },
        "UpdateExpression": "SET capacityRemaining = capacityRemaining - :one, updatedAt = :now",
        "ConditionExpression": "capacityRemaining >= :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}, ":now": {"N": str(now_ms)}},
    }


def finish(request: Mapping[str, str], now_ms: int, *, seated: bool) -> dict[str, Any]:
    """UpdateItem: the request's final status."""
    return _update_request(
        request,
        "SET #status = :after, resultCode = :code, finishedAt = :now, attempt = :attempt",
        "#status = :before",
        {
            ":after": "SUCCEEDED" if seated else "REJECTED",
            ":code": "SUCCESS" if seated else "REJECTED_CAPACITY",
            ":before": "PROCESSING",
            ":now": now_ms,
            ":attempt": 1,
        },
    )


def entry(
    request: Mapping[str, str], started_at_ms: int, finished_at_ms: int, *, seated: bool
) -> dict[str, Any]:
    """One entry of PutEvents."""
    event = events.ParticipationProcessed(
        env="dev",
        eventId=request["eventId"],
        requestId=request["requestId"],
        eventType="FIRST_COME",
        finalStatus="SUCCEEDED" if seated else "REJECTED",
        resultCode="SUCCESS" if seated else "REJECTED_CAPACITY",
        timestamps=events.Timestamps(started_at_ms, started_at_ms, finished_at_ms),
        delivery=events.DeliveryInfo(1, isDlq=False),
        meta=events.Meta("worker-1"),
    )
    return {
        "EventBusName": BUS_NAME,
        "Source": names.WORKER_SOURCE,
        "DetailType": names.PARTICIPATION_PROCESSED,
        "Detail": orjson.dumps(event).decode(),
        "Time": datetime.fromtimestamp(finished_at_ms / 1000, UTC),
    }


def _update_request(
    request: Mapping[str, str], update: str, condition: str, values: Mapping[str, str | int]
) -> dict[str, Any]:
    return {
        "TableName": TABLE_NAME,
        "Key": {
            names.PARTITION_KEY: {"S": keys.request_pk(request["requestId"])},
            names.SORT_KEY: {"S": keys.REQUEST_SORT_KEY},
        },
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {
            name: {"N": str(value)} if isinstance(value, int) else {"S": value}
            for name, value in values.items()
        },
    }
