"""The SQS message body: its encoding, and a decoder that accepts it or names a reason."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeGuard

import orjson

from schema.items import RequestItem
from schema.keys import MAX_TIME_MS
from schema.values import value

MAX_ID_BYTES: Final = 512
"""Ids become parts of DynamoDB sort keys, which hold 1,024 bytes at most (AWS: Naming rules)."""
# Control characters, lone surrogates and the two characters that SQS refuses in a message
# (SendMessage: "Valid characters").
_IMPOSSIBLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class DefectReason(StrEnum):
    """Why a message cannot be tied to a request; the DLQ's `reasonCode` (domain §6)."""

    BODY_NOT_JSON = "BODY_NOT_JSON"
    BODY_NOT_AN_OBJECT = "BODY_NOT_AN_OBJECT"
    FIELD_MISSING = "FIELD_MISSING"
    FIELD_WRONG_TYPE = "FIELD_WRONG_TYPE"
    FIELD_OUT_OF_RANGE = "FIELD_OUT_OF_RANGE"
    REQUEST_NOT_FOUND = "REQUEST_NOT_FOUND"
    ITEM_UNREADABLE = "ITEM_UNREADABLE"


@value(frozen=True, slots=True)
class ParticipationMessage:
    """One click on its way to the worker."""

    request_id: str
    event_id: str
    user_id: str
    queued_at_ms: int | None = None
    """Set by producers other than our ingest, which writes it to the request item instead."""

    def encode(self) -> str:
        """Write the message body."""
        body: dict[str, str | int] = {
            "requestId": self.request_id,
            "eventId": self.event_id,
            "userId": self.user_id,
        }
        if self.queued_at_ms is not None:
            body["queuedAt"] = self.queued_at_ms
        return orjson.dumps(body).decode()


def message_of(request: RequestItem) -> ParticipationMessage:
    """The message of a stored request."""
    return ParticipationMessage(request.request_id, request.event_id, request.user_id)


@dataclass(frozen=True, slots=True)
class MessageDefect:
    """What is wrong with a message that cannot be tied to a request."""

    reason: DefectReason
    detail: str
    request_id: str | None = None
    event_id: str | None = None


def is_possible_id(text: str) -> bool:
    """Whether a text could name an event, a request or a user: key, message and log can hold it."""
    return not _IMPOSSIBLE.search(text) and 0 < len(text.encode()) <= MAX_ID_BYTES


def decode(body: str) -> ParticipationMessage | MessageDefect:
    """Read a message body; unknown fields are ignored, so that producers may add some."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return MessageDefect(DefectReason.BODY_NOT_JSON, str(error))
    if not isinstance(fields, dict):
        return MessageDefect(
            DefectReason.BODY_NOT_AN_OBJECT, f"the body is a {type(fields).__name__}"
        )
    request_id, event_id = fields.get("requestId"), fields.get("eventId")
    user_id, queued_at_ms = fields.get("userId"), fields.get("queuedAt")
    if (
        _is_id(request_id)
        and _is_id(event_id)
        and _is_id(user_id)
        and (queued_at_ms is None or _is_time(queued_at_ms))
    ):
        return ParticipationMessage(request_id, event_id, user_id, queued_at_ms)
    reason, detail = _what_is_wrong(fields)
    return MessageDefect(
        reason,
        detail,
        request_id=request_id if _is_id(request_id) else None,
        event_id=event_id if _is_id(event_id) else None,
    )


def _is_id(value: object) -> TypeGuard[str]:
    if not isinstance(value, str) or not value:
        return False
    # A character takes four bytes at most, so hardly any id has to be encoded to be measured.
    return len(value) <= MAX_ID_BYTES // 4 or len(value.encode()) <= MAX_ID_BYTES


def _is_time(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 < value <= MAX_TIME_MS


def _what_is_wrong(fields: Mapping[str, object]) -> tuple[DefectReason, str]:
    """The first defect of a body that has one."""
    of_ids = (_id_defect(fields, name) for name in ("requestId", "eventId", "userId"))
    return next(filter(None, of_ids), None) or _time_defect(fields)


def _id_defect(fields: Mapping[str, object], name: str) -> tuple[DefectReason, str] | None:
    value = fields.get(name)
    if value is None:
        return DefectReason.FIELD_MISSING, f"{name} is missing"
    if not isinstance(value, str):
        return DefectReason.FIELD_WRONG_TYPE, f"{name} is a {type(value).__name__}, not a string"
    if not _is_id(value):
        return DefectReason.FIELD_OUT_OF_RANGE, f"{name} is not 1 to {MAX_ID_BYTES} bytes long"
    return None


def _time_defect(fields: Mapping[str, object]) -> tuple[DefectReason, str]:
    value = fields["queuedAt"]
    if type(value) is not int:
        return (
            DefectReason.FIELD_WRONG_TYPE,
            f"queuedAt is a {type(value).__name__}, not an integer",
        )
    return DefectReason.FIELD_OUT_OF_RANGE, "queuedAt is not an epoch time in milliseconds"
