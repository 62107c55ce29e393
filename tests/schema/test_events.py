"""The analytics events: their exact bytes, and which request has one."""

from dataclasses import replace

import orjson
import pytest

from schema import events
from schema.events import DeliveryInfo, ParticipationRequested, Timestamps
from schema.items import RequestItem
from schema.message import DefectReason, MessageDefect
from schema.states import Status

SUCCEEDED = RequestItem(
    request_id="req-abc-123",
    event_id="event-123",
    user_id="u1",
    event_type="FIRST_COME",
    status=Status.SUCCEEDED,
    result_code="SUCCESS",
    requested_at_ms=1_704_289_999_990,
    queued_at_ms=1_704_290_000_000,
    started_at_ms=1_704_290_000_100,
    finished_at_ms=1_704_290_000_250,
    attempt=1,
    is_dlq=False,
    worker_id="local-1",
)
G1_EXAMPLE = (
    b'{"schemaVersion":1,"env":"dev","eventId":"event-123","requestId":"req-abc-123",'
    b'"eventType":"FIRST_COME","finalStatus":"SUCCEEDED","resultCode":"SUCCESS",'
    b'"timestamps":{"queuedAt":1704290000000,"startedAt":1704290000100,'
    b'"finishedAt":1704290000250},"delivery":{"attempt":1,"isDlq":false},'
    b'"failure":{"failureClass":null,"errorCode":null,"errorMessage":null},'
    b'"meta":{"workerId":"local-1"}}'
)


def test_a_decided_request_gives_the_bytes_of_g1_s_example() -> None:
    assert events.encode(events.participation_processed(SUCCEEDED, env="dev")) == G1_EXAMPLE


def test_a_failure_is_described_in_the_failure_object() -> None:
    failed = replace(
        SUCCEEDED,
        status=Status.FAILED_FINAL,
        result_code="FAILED_WORKER",
        failure_class="RETRYABLE",
        error_code="TIMEOUT",
        error_message="too late",
        is_dlq=True,
        attempt=4,
    )

    detail = orjson.loads(events.encode(events.participation_processed(failed, env="prod")))

    assert detail["finalStatus"] == "FAILED_FINAL"
    assert detail["delivery"] == {"attempt": 4, "isDlq": True}
    assert detail["failure"] == {
        "failureClass": "RETRYABLE",
        "errorCode": "TIMEOUT",
        "errorMessage": "too late",
    }
    assert detail["env"] == "prod"


@pytest.mark.parametrize("status", [Status.RECEIVED, Status.QUEUED, Status.PROCESSING])
def test_an_undecided_request_has_no_event(status: Status) -> None:
    with pytest.raises(ValueError, match="only a decided request has an event"):
        events.participation_processed(replace(SUCCEEDED, status=status), env="dev")


@pytest.mark.parametrize("name", ["queued_at_ms", "started_at_ms", "finished_at_ms"])
def test_a_request_that_lacks_a_time_has_no_event(name: str) -> None:
    lacking = replace(SUCCEEDED, **{name: None})  # type: ignore[arg-type]  # each is a time

    with pytest.raises(ValueError, match="lacks a timestamp"):
        events.participation_processed(lacking, env="dev")


def test_the_user_is_no_part_of_a_worker_s_event() -> None:
    named = replace(SUCCEEDED, user_id="a-user-to-keep-private")

    assert b"a-user-to-keep-private" not in events.encode(
        events.participation_processed(named, env="dev")
    )


def test_a_text_that_json_cannot_hold_is_a_type_error() -> None:
    broken = replace(SUCCEEDED, worker_id="\ud800")

    with pytest.raises(TypeError):
        events.encode(events.participation_processed(broken, env="dev"))


def test_a_quarantined_message_has_the_shape_of_a_decided_request() -> None:
    event = events.request_failed(
        MessageDefect(DefectReason.FIELD_MISSING, "userId is missing", "r1", None),
        env="dev",
        worker_id="w1",
        timestamps=Timestamps(1, 2, 3),
        delivery=DeliveryInfo(2, isDlq=False),
    )

    detail = orjson.loads(events.encode(event))

    assert detail == orjson.loads(G1_EXAMPLE) | {
        "eventId": None,
        "requestId": "r1",
        "eventType": None,
        "finalStatus": "FAILED_FINAL",
        "resultCode": "FAILED_VALIDATION",
        "timestamps": {"queuedAt": 1, "startedAt": 2, "finishedAt": 3},
        "delivery": {"attempt": 2, "isDlq": False},
        "failure": {
            "failureClass": "NON_RETRYABLE",
            "errorCode": "FIELD_MISSING",
            "errorMessage": "userId is missing",
        },
        "meta": {"workerId": "w1"},
    }


def test_a_long_defect_is_cut_to_256_characters() -> None:
    event = events.request_failed(
        MessageDefect(DefectReason.BODY_NOT_JSON, "가" * 300),
        env="dev",
        worker_id="w1",
        timestamps=Timestamps(1, 1, 1),
        delivery=DeliveryInfo(1, isDlq=False),
    )

    assert event.failure.errorMessage == "가" * 256


def test_a_click_s_event_names_its_user_and_time() -> None:
    event = ParticipationRequested(
        env="dev", eventId="e1", requestId="r1", userId="u1", queuedAt=1_704_290_000_000
    )

    assert events.encode(event) == (
        b'{"schemaVersion":1,"env":"dev","eventId":"e1","requestId":"r1","userId":"u1",'
        b'"queuedAt":1704290000000}'
    )


@pytest.mark.parametrize(
    "event",
    [
        events.participation_processed(SUCCEEDED, env="dev"),
        events.request_failed(
            MessageDefect(DefectReason.FIELD_MISSING, "userId is missing", "r1", None),
            env="dev",
            worker_id="w1",
            timestamps=Timestamps(1, 2, 3),
            delivery=DeliveryInfo(2, isDlq=True),
        ),
    ],
)
def test_every_field_of_an_event_is_written_in_its_order(event: events.AnalyticsEvent) -> None:
    assert events.encode(event) == orjson.dumps(event)
