"""The entries of SQS's calls: what is refused as a whole, and the result of each."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar

from simulation.aws import errors
from simulation.aws.account import Payload
from simulation.aws.errors import ServiceError
from simulation.aws.sqs.messages import Message

# Amazon SQS Developer Guide, "Amazon SQS message quotas".
_MAX_ENTRIES: Final = 10
_MAX_BYTES: Final = 1_048_576
_MAX_ATTRIBUTES: Final = 10
_FORBIDDEN: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Outside of what SendMessage lists as allowed (Amazon SQS API Reference)."""
_PLAIN: Final = bytes(range(32, 127))
_SERVICE_FAULTS: Final = frozenset({"InternalError", "InternalFailure", "ServiceUnavailable"})

T = TypeVar("T")

EntryFault: TypeAlias = Callable[[str], str | None]


@dataclass(slots=True)
class Results(Generic[T]):
    """What became of a batch's entries: 200 never means all."""

    done: list[tuple[str, T]]
    """The ids of those that succeeded, with what came of them."""
    failed: list[dict[str, Any]]

    def document(self, successful: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch's answer."""
        if self.failed:
            return {"Successful": successful, "Failed": self.failed}
        return {"Successful": successful}


def apply_each(
    operation: str, payload: Payload, apply: Callable[[Payload], T], fault: EntryFault | None
) -> Results[T]:
    """Apply an operation to each entry of a batch, or fail that one alone."""
    results: Results[T] = Results([], [])
    done = results.done
    for entry in _entries(payload):
        code = fault(operation) if fault is not None else None
        if code is not None:
            results.failed.append(_failure(entry, code, "a simulated fault"))
            continue
        try:
            done.append((entry["Id"], apply(entry)))
        except ServiceError as error:
            document = error.document
            code = document["__type"].rpartition("#")[2]
            results.failed.append(_failure(entry, code, document["message"]))
    return results


def _entries(payload: Payload) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = payload["Entries"]
    if not entries:
        raise errors.queue_error("EmptyBatchRequest", "The batch request holds no entry.")
    if len(entries) > _MAX_ENTRIES:
        raise errors.queue_error("TooManyEntriesInBatchRequest", "More than 10 entries.")
    if len({entry["Id"] for entry in entries}) != len(entries):
        raise errors.queue_error("BatchEntryIdsNotDistinct", "Two entries have the same Id.")
    return entries


def _failure(entry: Payload, code: str, message: str) -> dict[str, Any]:
    is_sender_fault = code not in _SERVICE_FAULTS
    return {"Id": entry["Id"], "SenderFault": is_sender_fault, "Code": code, "Message": message}


def failed_receipts(payload: Payload, results: Results[T]) -> list[int]:
    """The receives whose entries failed alone by a fault of the service."""
    failed = {failure["Id"] for failure in results.failed if not failure["SenderFault"]}
    return [receipt_of(entry) for entry in payload["Entries"] if entry["Id"] in failed]


def receipt_of(entry: Payload) -> int:
    """Which receive a receipt handle is of."""
    receipt, _, padding = entry["ReceiptHandle"].partition(":")
    if not padding or not receipt.isdecimal():
        raise errors.queue_error("ReceiptHandleIsInvalid", "The receipt handle is not valid.")
    return int(receipt)


def within(payload: Payload, name: str, default: int, least: int, most: int) -> int:
    """A whole number among the parameters; raises ServiceError beyond its bounds."""
    value: int = payload.get(name, default)
    if not least <= value <= most:
        raise errors.queue_error("InvalidParameterValue", f"{name} is {least} to {most}")
    return value


def check_content(body: str, encoded: bytes, attributes: Payload | None) -> None:
    """Refuse a message that is empty, or has more or other things in it than SQS takes."""
    if not body:
        raise errors.queue_error("MissingParameter", "MessageBody is missing.")
    # To look at each character takes three times as long.
    if encoded.translate(None, _PLAIN) and _FORBIDDEN.search(body) is not None:
        raise errors.queue_error("InvalidMessageContents", "There are characters not allowed.")
    if attributes and len(attributes) > _MAX_ATTRIBUTES:
        raise errors.queue_error("InvalidParameterValue", "A message has up to 10 attributes.")


def check_size(messages: Collection[Message], code: str) -> None:
    """Refuse messages that are too long, alone or together."""
    # No text has more than four bytes a character; to count them exactly is seldom needed.
    most_bytes = sum(
        [4 * len(m.body) + (_size(m.attributes) if m.attributes else 0) for m in messages]
    )
    if most_bytes > _MAX_BYTES:
        size = sum([len(m.body.encode()) + _size(m.attributes or {}) for m in messages])
        if size > _MAX_BYTES:
            raise errors.queue_error(code, f"Up to {_MAX_BYTES} bytes are allowed, not {size}.")


def _size(attributes: Mapping[str, Any]) -> int:
    """Each attribute's name, type and value count ("Amazon SQS message metadata")."""
    return sum(
        len(text.encode())
        for name, value in attributes.items()
        for text in (name, value["DataType"], value.get("StringValue", ""))
    )
