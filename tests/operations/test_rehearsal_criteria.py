"""When a rehearsal is as it should be, and by which criterion it is not."""

from collections import Counter
from dataclasses import replace

import pytest

from analytics.results import Column, ColumnType, QueryResult
from analytics.validation import Check, Validation
from operations.decisions import Decisions
from operations.load.verdict import Thresholds
from operations.rehearsal_criteria import judge
from schema.items import Capacity
from schema.states import Status
from tests.operations.load.results import RESULT

WON_AND_LOST = Counter({Status.SUCCEEDED: 60, Status.REJECTED: 38})
DECISIONS = Decisions(
    by_status=WON_AND_LOST, capacity=Capacity(event_id="e", total=60, remaining=0)
)
VALID = Check(name="No negative delay", statement="negative_delays", violations=0, detail="lines")


def lake(*, requests: int = 98, seats: int = 60, refused: int = 38) -> dict[str, QueryResult]:
    """What the lake answers."""
    rows = {
        "totals": {"request_count": requests},
        "seats": {"seat_count": seats, "refused_count": refused},
    }
    return {
        name: QueryResult(
            name=name,
            columns=tuple(Column(column, ColumnType.BIGINT) for column in row),
            rows=(tuple(row.values()),),
            statement="",
            arguments=(),
            seconds=0.0,
        )
        for name, row in rows.items()
    }


def failed(
    decisions: Decisions = DECISIONS,
    results: dict[str, QueryResult] | None = None,
    *,
    thresholds: Thresholds | None = None,
    seats: int = 60,
    check: Check = VALID,
) -> list[str]:
    """The criteria that are not met."""
    validation = Validation((check,), (), 98, ())
    limits, answers = thresholds or Thresholds(), results or lake()
    criteria = judge(RESULT, limits, seats, decisions, answers, validation)
    assert len(criteria) == 5
    return [criterion.name for criterion in criteria if not criterion.is_met]


def test_nothing_is_missing_where_table_and_lake_agree() -> None:
    assert failed() == []


def test_seats_that_nobody_wanted_may_be_left() -> None:
    plenty = Counter({Status.SUCCEEDED: 98})
    capacity = Capacity(event_id="e", total=100, remaining=2)
    few = Decisions(by_status=plenty, capacity=capacity)
    assert failed(few, lake(seats=98, refused=0), seats=100) == []


@pytest.mark.parametrize(
    "decisions",
    [
        replace(DECISIONS, capacity=Capacity(event_id="e", total=60, remaining=1)),
        replace(DECISIONS, capacity=None),
        replace(DECISIONS, by_status=Counter({Status.SUCCEEDED: 59, Status.REJECTED: 39})),
        replace(DECISIONS, by_status=Counter({Status.SUCCEEDED: 61, Status.REJECTED: 37})),
    ],
    ids=["a seat left", "no capacity", "a seat too few", "a seat too many"],
)
def test_a_wrong_number_of_seats_is_found(decisions: Decisions) -> None:
    assert "the seats are exact" in failed(decisions)


def test_an_undecided_request_is_found() -> None:
    assert failed(replace(DECISIONS, undecided=1)) == ["every accepted request is decided"]


@pytest.mark.parametrize(
    "results",
    [lake(requests=97), lake(requests=99), lake(seats=59), lake(refused=37)],
    ids=["one missing", "one too many", "another winner's code", "another loser's code"],
)
def test_a_lake_that_differs_from_the_table_is_found(results: dict[str, QueryResult]) -> None:
    assert failed(results=results) == ["stored = published"]


def test_the_loads_thresholds_and_the_lakes_checks_count_as_well() -> None:
    strict = Thresholds(errors_share=0)
    assert failed(thresholds=strict) == ["the clicks were answered as wanted"]
    assert failed(check=replace(VALID, violations=1)) == ["No negative delay"]
