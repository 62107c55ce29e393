"""The demo's checks are named for what they compare, and their keys stay."""

from local.demo import findings
from local.demo.burst import BurstResult
from local.demo.findings import Check, TableState
from schema.items import Capacity, RequestItem
from schema.states import EventType, Status

FIGURES = {
    "refused": 0,
    "rejected": 0,
    "lake_invalid_lines": 0,
    "negative_delay": 0,
    "missing_timestamp": 0,
    "publish_failures": 0,
}


def checks(seats: int, requests: int, succeeded: int) -> dict[str, Check]:
    ids = {f"r-{number}" for number in range(requests)}
    table = TableState(
        Capacity(event_id="demo", total=seats, remaining=seats - succeeded),
        [
            RequestItem(
                request_id=one,
                event_id="demo",
                user_id=one,
                event_type=EventType.FIRST_COME,
                status=Status.SUCCEEDED,
            )
            for one in ids
        ],
    )
    found = findings._checks(
        FIGURES | {"succeeded": succeeded}, BurstResult(request_ids=ids), table, ids, []
    )
    return {check.key: check for check in found}


def test_the_seats_given_are_compared_with_the_capacity_where_enough_clicked() -> None:
    right, wrong = checks(3, 5, 3)["seatsGiven"], checks(3, 5, 2)["seatsGiven"]

    assert (right.text, right.holds, wrong.holds) == ("SUCCEEDED = capacity", True, False)


def test_the_seats_given_are_compared_with_the_requests_where_too_few_clicked() -> None:
    right, wrong = checks(5, 3, 3)["seatsGiven"], checks(5, 3, 2)["seatsGiven"]

    assert right.text == "SUCCEEDED = distinct requests, fewer than seats"
    assert (right.holds, wrong.holds) == (True, False)


def test_the_keys_are_stable() -> None:
    assert sorted(checks(1, 1, 1)) == [
        "everyClickAccepted",
        "everyRequestDecided",
        "filesInPartitions",
        "lakeEqualsTable",
        "linesFitSchema",
        "noMissingTimestamp",
        "noNegativeDelay",
        "noPublishFailure",
        "restRejected",
        "seatsGiven",
        "seatsLeftAgree",
    ]
