"""The SQS message body: its encoding, and a decoder that accepts it or names a reason."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

from schema.keys import MAX_TIME_MS
from schema.values import value

MAX_ID_BYTES: Final = 512
"""Ids become parts of DynamoDB sort keys, which hold 1,024 bytes at most (AWS: Naming rules)."""


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
    """Set by producers other than our ingest, which records it on the request item instead."""

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


@dataclass(frozen=True, slots=True)
class MessageDefect:
    """What is wrong with a message that cannot be tied to a request."""

    reason: DefectReason
    detail: str
    request_id: str | None = None
    event_id: str | None = None


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
    for defect in (
        *(_id_defect(fields, name) for name in ("requestId", "eventId", "userId")),
        _time_defect(fields),
    ):
        if defect is not None:
            reason, detail = defect
            return MessageDefect(
                reason,
                detail,
                request_id=request_id if _is_id(request_id) else None,
                event_id=event_id if _is_id(event_id) else None,
            )
    return ParticipationMessage(
        fields["requestId"], fields["eventId"], fields["userId"], fields.get("queuedAt")
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value.encode()) <= MAX_ID_BYTES


def _id_defect(fields: dict[str, object], name: str) -> tuple[DefectReason, str] | None:
    value = fields.get(name)
    if value is None:
        return DefectReason.FIELD_MISSING, f"{name} is missing"
    if not isinstance(value, str):
        return DefectReason.FIELD_WRONG_TYPE, f"{name} is a {type(value).__name__}, not a string"
    if not _is_id(value):
        return DefectReason.FIELD_OUT_OF_RANGE, f"{name} is not 1 to {MAX_ID_BYTES} bytes long"
    return None


def _time_defect(fields: dict[str, object]) -> tuple[DefectReason, str] | None:
    value = fields.get("queuedAt")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        return (
            DefectReason.FIELD_WRONG_TYPE,
            f"queuedAt is a {type(value).__name__}, not an integer",
        )
    if not 0 < value <= MAX_TIME_MS:
        return DefectReason.FIELD_OUT_OF_RANGE, "queuedAt is not an epoch time in milliseconds"
    return None
