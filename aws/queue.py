"""The queue adapter: receive, send, delete and change visibility, with a result per entry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar

import orjson

from aws import errors
from aws.client import Client
from aws.errors import AwsError, Rejected
from config.limits import SQS_BATCH_ENTRIES
from schema.values import value

T = TypeVar("T")

_SERVICE: Final = "sqs"
_SYSTEM_ATTRIBUTES: Final = ["ApproximateReceiveCount", "SentTimestamp"]
_POSITIONS: Final = tuple(map(str, range(SQS_BATCH_ENTRIES)))
"""The entries' ids: two equal ids would make SQS reject the whole batch."""
_NO_ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType({})
_LOST_HANDLE_CODES: Final = frozenset({"ReceiptHandleIsInvalid", "MessageNotInflight"})


@value(frozen=True, slots=True)
class Delivery:
    """One receive of one message."""

    message_id: str
    receipt_handle: str
    body: str
    attempt: int
    """How often the message has been received, this time included."""
    sent_at_ms: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    """The message's own text and number attributes."""
    from_dlq: bool = False


@value(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send."""

    body: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes as SQS counts them: the body, and each attribute's name, type and value."""
        size = len(self.body.encode())
        for name, text in self.attributes.items():
            size += len(name.encode()) + len("String") + len(text.encode())
        return size


@dataclass(frozen=True, slots=True)
class VisibilityChange:
    """When a message that is in flight becomes visible again, in seconds from now."""

    receipt_handle: str
    timeout_s: int


@dataclass(frozen=True, slots=True)
class QueueDescription:
    """The settings of a queue that the programs depend on."""

    arn: str
    visibility_timeout_s: int
    max_receive_count: int | None
    """How many receives send a message to the DLQ; None without a redrive policy."""
    dlq_arn: str | None
    approximate_messages: int
    """Visible, in flight and delayed together, as far as SQS knows."""


def is_lost_handle(error: Exception) -> bool:
    """Whether SQS no longer knows the receipt: its message was deleted, or received again since."""
    return isinstance(error, Rejected) and (
        error.code.rsplit(".", 1)[-1] in _LOST_HANDLE_CODES
        or (error.code.endswith("InvalidParameterValue") and "eceipt" in error.message)
    )


class Queue:
    """One SQS queue."""

    def __init__(self, client: Client, url: str, *, is_dlq: bool = False) -> None:
        self._client = client
        self.url = url
        self.is_dlq = is_dlq

    async def receive(
        self, max_messages: int, wait_s: int, visibility_timeout_s: int
    ) -> list[Delivery]:
        """Long-poll for up to ten messages; raises AwsError."""
        response = await self._client.call(
            "ReceiveMessage",
            QueueUrl=self.url,
            MaxNumberOfMessages=max_messages,
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=visibility_timeout_s,
            MessageSystemAttributeNames=_SYSTEM_ATTRIBUTES,
            MessageAttributeNames=["All"],
        )
        return [self._delivery(message) for message in response.get("Messages", ())]

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[str | Exception]:
        """Send up to ten messages in one call: the message id, or the error, of each."""
        response = await self._client.call(
            "SendMessageBatch",
            QueueUrl=self.url,
            Entries=[
                {
                    "Id": str(index),
                    "MessageBody": message.body,
                    "MessageAttributes": {
                        name: {"DataType": "String", "StringValue": value}
                        for name, value in message.attributes.items()
                    },
                }
                for index, message in enumerate(messages)
            ],
        )
        missing = errors.unanswered(_SERVICE, "SendMessageBatch")
        results: list[str | Exception] = [missing] * len(messages)
        for entry in response.get("Successful", ()):
            results[int(entry["Id"])] = str(entry["MessageId"])
        for entry in response.get("Failed", ()):
            results[int(entry["Id"])] = _entry_error("SendMessageBatch", entry)
        return results

    async def delete(self, receipt_handles: Sequence[str]) -> list[Exception | None]:
        """Delete up to ten messages in one call: None, or the error, of each."""
        return await self._batch(
            "DeleteMessageBatch",
            len(receipt_handles),
            (
                {"Id": position, "ReceiptHandle": handle}
                for position, handle in _numbered(receipt_handles)
            ),
        )

    async def change_visibility(
        self, changes: Sequence[VisibilityChange]
    ) -> list[Exception | None]:
        """Change when up to ten messages become visible again: None, or the error, of each."""
        return await self._batch(
            "ChangeMessageVisibilityBatch",
            len(changes),
            (
                {
                    "Id": position,
                    "ReceiptHandle": change.receipt_handle,
                    "VisibilityTimeout": change.timeout_s,
                }
                for position, change in _numbered(changes)
            ),
        )

    async def describe(self) -> QueueDescription:
        """Read the queue's settings; raises Fatal where there is no such queue."""
        response = await self._client.call(
            "GetQueueAttributes", QueueUrl=self.url, AttributeNames=["All"]
        )
        attributes = response.get("Attributes", {})
        policy = orjson.loads(attributes.get("RedrivePolicy", "{}"))
        count = policy.get("maxReceiveCount")
        return QueueDescription(
            arn=attributes["QueueArn"],
            visibility_timeout_s=int(attributes.get("VisibilityTimeout", 30)),
            max_receive_count=None if count is None else int(count),
            dlq_arn=policy.get("deadLetterTargetArn"),
            approximate_messages=sum(
                int(attributes.get(name, 0))
                for name in (
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                    "ApproximateNumberOfMessagesDelayed",
                )
            ),
        )

    async def _batch(
        self, operation: str, count: int, entries: Iterable[dict[str, Any]]
    ) -> list[Exception | None]:
        response = await self._client.call(operation, QueueUrl=self.url, Entries=list(entries))
        failed = response.get("Failed", ())
        successful = {entry["Id"] for entry in response.get("Successful", ())}
        if len(successful) == count and not failed:
            return [None] * count
        errors_by_id = {entry["Id"]: _entry_error(operation, entry) for entry in failed}
        unanswered = errors.unanswered(_SERVICE, operation)
        return [
            None if position in successful else errors_by_id.get(position, unanswered)
            for position in _POSITIONS[:count]
        ]

    def _delivery(self, message: Mapping[str, Any]) -> Delivery:
        system = message.get("Attributes", {})
        attributes = message.get("MessageAttributes")
        return Delivery(
            message["MessageId"],
            message["ReceiptHandle"],
            message["Body"],
            int(system.get("ApproximateReceiveCount", 1)),
            _sent_at_ms(system),
            _texts(attributes) if attributes else _NO_ATTRIBUTES,
            self.is_dlq,
        )


def _numbered(things: Sequence[T]) -> Iterable[tuple[str, T]]:
    """Things with the ids of their entries; raises ValueError for more than a batch may hold."""
    return zip(_POSITIONS[: len(things)], things, strict=True)


def _texts(attributes: Mapping[str, Any]) -> Mapping[str, str]:
    return {
        name: value["StringValue"] for name, value in attributes.items() if "StringValue" in value
    }


def _entry_error(operation: str, entry: Mapping[str, Any]) -> AwsError:
    code = str(entry.get("Code", "Unknown"))
    kind = errors.kind_of(code, 400 if entry.get("SenderFault", False) else 500)
    return kind(_SERVICE, operation, code, str(entry.get("Message", "")), entry)


def _sent_at_ms(system: Mapping[str, Any]) -> int:
    try:
        return int(system["SentTimestamp"])
    except (KeyError, ValueError):
        raise errors.unanswered(_SERVICE, "ReceiveMessage", "SentTimestamp") from None
