"""Which steps from one status to another are legal (domain §4)."""

from itertools import product

import pytest

from schema.states import FINAL_STATUSES, EventType, ResultCode, Status, may_become

UNDECIDED = (Status.RECEIVED, Status.QUEUED, Status.PROCESSING)


def test_exactly_three_statuses_are_final() -> None:
    assert {status for status in Status if status.is_final} == {
        Status.SUCCEEDED,
        Status.REJECTED,
        Status.FAILED_FINAL,
    }


@pytest.mark.parametrize(("before", "after"), sorted(product(UNDECIDED, FINAL_STATUSES)))
def test_an_undecided_request_may_be_decided(before: Status, after: Status) -> None:
    assert may_become(before, after)


@pytest.mark.parametrize(("before", "after"), sorted(product(FINAL_STATUSES, Status)))
def test_a_final_status_never_changes(before: Status, after: Status) -> None:
    assert not may_become(before, after)


@pytest.mark.parametrize("before", list(Status))
def test_nothing_becomes_processing_or_received(before: Status) -> None:
    assert not may_become(before, Status.PROCESSING)
    assert not may_become(before, Status.RECEIVED)


def test_only_a_received_request_becomes_queued() -> None:
    assert [status for status in Status if may_become(status, Status.QUEUED)] == [Status.RECEIVED]


def test_stored_values_are_those_of_the_contract() -> None:
    assert {status.value for status in Status} == {
        "RECEIVED",
        "QUEUED",
        "PROCESSING",
        "SUCCEEDED",
        "REJECTED",
        "FAILED_FINAL",
    }
    assert {code.value for code in ResultCode} == {
        "SUCCESS",
        "REJECTED_CAPACITY",
        "FAILED_WORKER",
        "FAILED_VALIDATION",
        "FAILED_EVENT_NOT_FOUND",
    }
    assert {kind.value for kind in EventType} == {"FIRST_COME", "LOTTERY"}
