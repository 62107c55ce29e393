"""The analytics events, their exact bytes, and the mapping from a stored request to its event."""

# ruff: noqa: N815 - the fields are the wire names of g1 §5.2; orjson writes them as they stand.

from dataclasses import dataclass, field
from typing import Final

import orjson

from schema.items import MAX_ERROR_MESSAGE_CHARS, UNKNOWN_WORKER, RequestItem
from schema.message import MessageDefect
from schema.names import SCHEMA_VERSION
from schema.states import FailureClass, ResultCode, Status
from schema.values import value

_NOT_DECIDED: Final = "request {} is {}: only a decided request has an event"


@value(frozen=True, slots=True)
class Timestamps:
    """Epoch milliseconds; queuedAt ≤ startedAt ≤ finishedAt (g1 §6)."""

    queuedAt: int
    startedAt: int
    finishedAt: int


@value(frozen=True, slots=True)
class DeliveryInfo:
    """Which delivery of the message was decided, and whether it came through the DLQ."""

    attempt: int
    isDlq: bool


@value(frozen=True, slots=True)
class Failure:
    """All null where nothing failed (domain §7)."""

    failureClass: str | None = None
    errorCode: str | None = None
    errorMessage: str | None = None


@value(frozen=True, slots=True)
class Meta:
    """Who decided."""

    workerId: str


@value(frozen=True, slots=True, kw_only=True)
class ParticipationProcessed:
    """A decided request, exactly in the shape of g1 §5.2."""

    schemaVersion: int = SCHEMA_VERSION
    env: str
    eventId: str
    requestId: str
    eventType: str
    finalStatus: str
    resultCode: str
    timestamps: Timestamps
    delivery: DeliveryInfo
    failure: Failure = field(default_factory=Failure)
    meta: Meta


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFailed:
    """A message that could not be tied to a request (g1 §4.2).

    It lands in the same table as ParticipationProcessed and so has its shape; ids that the
    message did not name are null.
    """

    schemaVersion: int = SCHEMA_VERSION
    env: str
    eventId: str | None
    requestId: str | None
    eventType: str | None = None
    finalStatus: str = Status.FAILED_FINAL.value
    resultCode: str = ResultCode.FAILED_VALIDATION.value
    timestamps: Timestamps
    delivery: DeliveryInfo
    failure: Failure
    meta: Meta


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipationRequested:
    """A click that SQS accepted (g1 §7.3; optional)."""

    schemaVersion: int = SCHEMA_VERSION
    env: str
    eventId: str
    requestId: str
    userId: str
    queuedAt: int


AnalyticsEvent = ParticipationProcessed | RequestFailed | ParticipationRequested


def encode(event: AnalyticsEvent) -> bytes:
    """Write an event as JSON; the same event always gives the same bytes.

    Raises TypeError for a value that JSON cannot hold (a lone surrogate in a text, say).
    """
    if isinstance(event, ParticipationRequested):
        return orjson.dumps(event)
    # orjson encodes dicts in a fraction of the time that it takes for dataclasses.
    times, delivery, failure = event.timestamps, event.delivery, event.failure
    return orjson.dumps(
        {
            "schemaVersion": event.schemaVersion,
            "env": event.env,
            "eventId": event.eventId,
            "requestId": event.requestId,
            "eventType": event.eventType,
            "finalStatus": event.finalStatus,
            "resultCode": event.resultCode,
            "timestamps": {
                "queuedAt": times.queuedAt,
                "startedAt": times.startedAt,
                "finishedAt": times.finishedAt,
            },
            "delivery": {"attempt": delivery.attempt, "isDlq": delivery.isDlq},
            "failure": {
                "failureClass": failure.failureClass,
                "errorCode": failure.errorCode,
                "errorMessage": failure.errorMessage,
            },
            "meta": {"workerId": event.meta.workerId},
        }
    )


def participation_processed(item: RequestItem, *, env: str) -> ParticipationProcessed:
    """Make the event of a decided request from the stored item alone.

    A redelivery therefore publishes field by field what the first delivery did (domain §6).
    Raises ValueError for a request that is not decided, or whose times are missing.
    """
    if not item.status.is_final or item.result_code is None:
        raise ValueError(_NOT_DECIDED.format(item.request_id, item.status))
    if item.queued_at_ms is None or item.started_at_ms is None or item.finished_at_ms is None:
        raise ValueError(f"request {item.request_id} is decided but lacks a timestamp")
    return ParticipationProcessed(
        env=env,
        eventId=item.event_id,
        requestId=item.request_id,
        eventType=item.event_type,
        finalStatus=item.status.value,
        resultCode=item.result_code,
        timestamps=Timestamps(item.queued_at_ms, item.started_at_ms, item.finished_at_ms),
        delivery=DeliveryInfo(item.attempt or 1, item.is_dlq or False),
        failure=Failure(item.failure_class, item.error_code, item.error_message),
        meta=Meta(item.worker_id or UNKNOWN_WORKER),
    )


def request_failed(
    defect: MessageDefect,
    *,
    env: str,
    worker_id: str,
    timestamps: Timestamps,
    delivery: DeliveryInfo,
) -> RequestFailed:
    """Make the event of a quarantined message (domain §6)."""
    return RequestFailed(
        env=env,
        eventId=defect.event_id,
        requestId=defect.request_id,
        timestamps=timestamps,
        delivery=delivery,
        failure=Failure(
            FailureClass.NON_RETRYABLE.value,
            defect.reason.value,
            defect.detail[:MAX_ERROR_MESSAGE_CHARS],
        ),
        meta=Meta(worker_id),
    )
