"""Encoding and decoding of messages and events, against pydantic and the standard json module."""

import json
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from time import perf_counter, process_time
from typing import Final

from pydantic import BaseModel, ConfigDict

from bench.report import Section, Table, spread
from schema import message
from schema.events import encode, participation_processed
from schema.items import RequestItem
from schema.message import MessageDefect, ParticipationMessage
from schema.states import ResultCode, Status

_NOW_MS: Final = 1_767_225_600_000
_ITEM: Final = RequestItem(
    request_id="6f0f2f5e-2c0b-5a39-9a5c-5c6b1a3f7d10",
    event_id="event-123",
    user_id="user-0000001",
    event_type="FIRST_COME",
    status=Status.SUCCEEDED,
    queued_at_ms=_NOW_MS,
    started_at_ms=_NOW_MS + 100,
    finished_at_ms=_NOW_MS + 250,
    result_code=ResultCode.SUCCESS.value,
    attempt=1,
    is_dlq=False,
    worker_id="worker-1",
)
_EVENT: Final = participation_processed(_ITEM, env="dev")
_BODY: Final = ParticipationMessage(_ITEM.request_id, "event-123", "user-0000001").encode()


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class _Timestamps(_Frozen):
    queuedAt: int  # noqa: N815 - wire names
    startedAt: int  # noqa: N815
    finishedAt: int  # noqa: N815


class _Delivery(_Frozen):
    attempt: int
    isDlq: bool  # noqa: N815


class _Failure(_Frozen):
    failureClass: str | None = None  # noqa: N815
    errorCode: str | None = None  # noqa: N815
    errorMessage: str | None = None  # noqa: N815


class _Meta(_Frozen):
    workerId: str  # noqa: N815


class _Event(_Frozen):
    schemaVersion: int = 1  # noqa: N815
    env: str
    eventId: str  # noqa: N815
    requestId: str  # noqa: N815
    eventType: str  # noqa: N815
    finalStatus: str  # noqa: N815
    resultCode: str  # noqa: N815
    timestamps: _Timestamps
    delivery: _Delivery
    failure: _Failure = _Failure()
    meta: _Meta


class _Message(_Frozen):
    requestId: str  # noqa: N815
    eventId: str  # noqa: N815
    userId: str  # noqa: N815
    queuedAt: int | None = None  # noqa: N815


_PYDANTIC_EVENT: Final = _Event.model_validate(asdict(_EVENT))


def _make_and_encode() -> bytes:
    return encode(participation_processed(_ITEM, env="dev"))


def _pydantic_make_and_encode() -> bytes:
    item = _ITEM
    assert item.queued_at_ms
    assert item.started_at_ms
    assert item.finished_at_ms
    event = _Event(
        env="dev",
        eventId=item.event_id,
        requestId=item.request_id,
        eventType=item.event_type,
        finalStatus=item.status.value,
        resultCode=item.result_code or "",
        timestamps=_Timestamps(
            queuedAt=item.queued_at_ms, startedAt=item.started_at_ms, finishedAt=item.finished_at_ms
        ),
        delivery=_Delivery(attempt=1, isDlq=False),
        meta=_Meta(workerId="worker-1"),
    )
    return event.model_dump_json().encode()


def _json_make_and_encode() -> bytes:
    item = _ITEM
    event = {
        "schemaVersion": 1,
        "env": "dev",
        "eventId": item.event_id,
        "requestId": item.request_id,
        "eventType": item.event_type,
        "finalStatus": item.status.value,
        "resultCode": item.result_code,
        "timestamps": {
            "queuedAt": item.queued_at_ms,
            "startedAt": item.started_at_ms,
            "finishedAt": item.finished_at_ms,
        },
        "delivery": {"attempt": 1, "isDlq": False},
        "failure": {"failureClass": None, "errorCode": None, "errorMessage": None},
        "meta": {"workerId": "worker-1"},
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _decode() -> ParticipationMessage | MessageDefect:
    return message.decode(_BODY)


def _json_decode() -> ParticipationMessage:
    fields = json.loads(_BODY)
    return ParticipationMessage(
        fields["requestId"], fields["eventId"], fields["userId"], fields.get("queuedAt")
    )


_JOBS: Final[dict[str, dict[str, Callable[[], object]]]] = {
    "encode an event that exists": {
        "ours": lambda: encode(_EVENT),
        "pydantic": lambda: _PYDANTIC_EVENT.model_dump_json().encode(),
        "json": lambda: json.dumps(asdict(_EVENT), separators=(",", ":")).encode(),
    },
    "make an event from a request and encode it": {
        "ours": _make_and_encode,
        "pydantic": _pydantic_make_and_encode,
        "json": _json_make_and_encode,
    },
    "decode and check a message": {
        "ours": _decode,
        "pydantic": lambda: _Message.model_validate_json(_BODY),
        "json": _json_decode,
    },
}


def section(*, full: bool) -> Section:
    """Measure each job each way, in turns."""
    assert json.loads(_make_and_encode()) == json.loads(_pydantic_make_and_encode())
    assert json.loads(_make_and_encode()) == json.loads(_json_make_and_encode())
    rows, data = [], []
    for job, ways in _JOBS.items():
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(7 if full else 3):
            for way, function in ways.items():
                rates[way].append(_rate(function, 0.5 if full else 0.15))
        ratios = [
            median(ours / other for ours, other in zip(rates["ours"], rates[way], strict=True))
            for way in ("pydantic", "json")
        ]
        rows.append(
            [
                job,
                *(spread([rate / 1000 for rate in found]) for found in rates.values()),
                *(f"{value:.1f}x" for value in ratios),
            ]
        )
        data += [{"job": job, "way": way, "perSecond": found} for way, found in rates.items()]
    columns = ["thousands a second", "ours", "pydantic", "json", "x pydantic", "x json"]
    return Section(
        name="schema",
        title="Schema",
        text=[
            (
                "*json* decodes without checking any type; ours and pydantic check every field. "
                "All three write the same event."
            )
        ],
        tables=[Table("Encoding and decoding, one core", columns, rows)],
        data=data,
    )


def _rate(function: Callable[[], object], seconds: float) -> float:
    """Calls a second of processor time."""
    calls, chunk = 0, 200
    began_cpu = process_time()
    until = perf_counter() + seconds
    while perf_counter() < until:
        for _ in range(chunk):
            function()
        calls += chunk
    return calls / (process_time() - began_cpu)
