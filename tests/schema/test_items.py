"""Stored items to and from values, and the steps from one state to the next."""

from dataclasses import replace
from typing import Any

import pytest

from schema.attributes import NULL, ItemError
from schema.items import Capacity, Change, EventConfig, RequestItem
from schema.states import Status

QUEUED = RequestItem(
    request_id="r1",
    event_id="e1",
    user_id="u1",
    event_type="FIRST_COME",
    status=Status.QUEUED,
    requested_at_ms=1_704_289_999_990,
    queued_at_ms=1_704_290_000_000,
    ttl_s=1_712_066_000,
)
LOST: dict[str, Any] = {
    "status": Status.REJECTED,
    "result_code": "REJECTED_CAPACITY",
    "started_at_ms": 1_704_290_000_100,
    "finished_at_ms": 1_704_290_000_250,
    "attempt": 1,
    "is_dlq": False,
    "worker_id": "w1",
}
LOSS = {
    "status": {"S": "REJECTED"},
    "startedAt": {"N": "1704290000100"},
    "finishedAt": {"N": "1704290000250"},
    "resultCode": {"S": "REJECTED_CAPACITY"},
    "attempt": {"N": "1"},
    "isDlq": {"BOOL": False},
    "workerId": {"S": "w1"},
}
INDEX_KEYS = {"GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK"}


def test_a_request_is_stored_as_the_table_s_contract_says() -> None:
    decided = replace(
        QUEUED,
        status=Status.FAILED_FINAL,
        result_code="FAILED_WORKER",
        started_at_ms=1_704_290_000_100,
        finished_at_ms=1_704_290_000_250,
        attempt=3,
        is_dlq=True,
        failure_class="RETRYABLE",
        error_code="TIMEOUT",
        error_message="too late",
        dlq_at_ms=1_704_290_000_050,
        worker_id="w1",
    )

    assert decided.to_item() == {
        "PK": {"S": "REQ#r1"},
        "SK": {"S": "META"},
        "requestId": {"S": "r1"},
        "eventId": {"S": "e1"},
        "userId": {"S": "u1"},
        "eventType": {"S": "FIRST_COME"},
        "status": {"S": "FAILED_FINAL"},
        "requestedAt": {"N": "1704289999990"},
        "queuedAt": {"N": "1704290000000"},
        "startedAt": {"N": "1704290000100"},
        "finishedAt": {"N": "1704290000250"},
        "resultCode": {"S": "FAILED_WORKER"},
        "attempt": {"N": "3"},
        "isDlq": {"BOOL": True},
        "failureClass": {"S": "RETRYABLE"},
        "errorCode": {"S": "TIMEOUT"},
        "errorMessage": {"S": "too late"},
        "dlqAt": {"N": "1704290000050"},
        "workerId": {"S": "w1"},
        "ttl": {"N": "1712066000"},
        "GSI1PK": {"S": "USER#u1"},
        "GSI1SK": {"S": "QAT#1704290000000#REQ#r1"},
    }


@pytest.mark.parametrize("queued_at_ms", [None, 1_704_290_000_000])
def test_a_received_request_is_in_no_index(queued_at_ms: int | None) -> None:
    received = replace(QUEUED, status=Status.RECEIVED, queued_at_ms=queued_at_ms)

    assert received.to_item().keys() & INDEX_KEYS == set()


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.RECEIVED])
def test_the_status_is_part_of_no_key(status: Status) -> None:
    item = replace(QUEUED, status=status).to_item()

    assert {name: item.get(name) for name in ("PK", "SK", *INDEX_KEYS)} == {
        name: QUEUED.to_item().get(name) for name in ("PK", "SK", *INDEX_KEYS)
    }


def test_an_unknown_status_is_an_error_that_names_it() -> None:
    item = QUEUED.to_item() | {"status": {"S": "WAITING"}}

    with pytest.raises(ItemError, match="'WAITING'"):
        RequestItem.from_item(item)


@pytest.mark.parametrize("name", ["requestId", "eventId", "userId", "eventType", "status"])
def test_an_item_without_a_required_attribute_is_an_error_that_names_it(name: str) -> None:
    item = QUEUED.to_item()
    del item[name]

    with pytest.raises(ItemError, match=name):
        RequestItem.from_item(item)


def test_a_loss_writes_what_a_decision_consists_of_and_leaves_the_index_keys_alone() -> None:
    assert Change(QUEUED, replace(QUEUED, **LOST)).assignments() == LOSS


@pytest.mark.parametrize("event_type", ["FIRST_COME", "LOTTERY"])
def test_a_win_files_the_request_among_its_event_s_winners(event_type: str) -> None:
    queued = replace(QUEUED, event_type=event_type)
    decided = replace(queued, **LOST | {"status": Status.SUCCEEDED, "result_code": "SUCCESS"})
    filed = {"GSI2PK": {"S": "WON#e1#31"}, "GSI2SK": {"S": "FIN#1704290000250#REQ#r1"}}

    assert Change(queued, decided).assignments() == {
        **LOSS,
        "status": {"S": "SUCCEEDED"},
        "resultCode": {"S": "SUCCESS"},
        **filed,
    }
    assert decided.to_item().items() >= filed.items()


def test_a_decision_from_received_sets_queued_at_and_the_index_keys_in_the_same_write() -> None:
    received = replace(QUEUED, status=Status.RECEIVED, queued_at_ms=None)

    assert Change(received, replace(QUEUED, **LOST)).assignments() == {
        **LOSS,
        "queuedAt": {"N": "1704290000000"},
        "GSI1PK": {"S": "USER#u1"},
        "GSI1SK": {"S": "QAT#1704290000000#REQ#r1"},
    }


def test_a_decision_clears_what_an_earlier_attempt_left_behind() -> None:
    older = replace(QUEUED, error_code="OLD", failure_class="RETRYABLE")

    assignments = Change(older, replace(QUEUED, **LOST)).assignments()

    assert assignments == {**LOSS, "errorCode": NULL, "failureClass": NULL}


@pytest.mark.parametrize("after", [Status.RECEIVED, Status.QUEUED, Status.PROCESSING])
def test_a_forbidden_step_cannot_even_be_made(after: Status) -> None:
    with pytest.raises(ValueError, match="may not go from QUEUED"):
        Change(QUEUED, replace(QUEUED, status=after))


def test_an_event_is_stored_in_two_items() -> None:
    config = EventConfig(event_id="e1", event_type="LOTTERY", opens_at_ms=1, closes_at_ms=2)
    capacity = Capacity(event_id="e1", total=10, remaining=7, updated_at_ms=3)

    assert config.to_item() == {
        "PK": {"S": "EVENT#e1"},
        "SK": {"S": "CONFIG"},
        "eventType": {"S": "LOTTERY"},
        "opensAt": {"N": "1"},
        "closesAt": {"N": "2"},
    }
    assert capacity.to_item() == {
        "PK": {"S": "EVENT#e1"},
        "SK": {"S": "CAPACITY"},
        "capacityTotal": {"N": "10"},
        "capacityRemaining": {"N": "7"},
        "updatedAt": {"N": "3"},
    }


def test_opening_times_may_be_absent() -> None:
    config = EventConfig(event_id="e1", event_type="FIRST_COME")

    assert config.to_item().keys() == {"PK", "SK", "eventType"}
    assert EventConfig.from_item("e1", config.to_item()) == config


def test_a_capacity_without_its_count_is_an_error() -> None:
    item = Capacity(event_id="e1", total=10, remaining=7).to_item()
    del item["capacityRemaining"]

    with pytest.raises(ItemError, match="capacityRemaining"):
        Capacity.from_item("e1", item)
