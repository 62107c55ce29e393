"""What must be so after a rehearsal: the clicks' answers, the table and the lake agree."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analytics.results import QueryResult
from analytics.validation import Validation
from operations.decisions import Decisions
from operations.load import verdict
from operations.load.tally import Result
from operations.load.verdict import Thresholds
from schema.states import ResultCode, Status


@dataclass(frozen=True, slots=True)
class Criterion:
    """Something that must be so, and what was found."""

    name: str
    is_met: bool
    detail: str


def judge(
    load: Result,
    thresholds: Thresholds,
    seats: int,
    decisions: Decisions,
    results: Mapping[str, QueryResult],
    validation: Validation,
) -> Sequence[Criterion]:
    """What must be so after a rehearsal; `results` are the lake's, by statement."""
    won = decisions.by_status[Status.SUCCEEDED]
    lost = decisions.by_status[Status.REJECTED]
    wanted = min(seats, decisions.decided + decisions.undecided)
    left = None if decisions.capacity is None else decisions.capacity.remaining
    published = results["totals"].count("request_count")
    codes = _by_result_code(results["seats"])
    missed = verdict.missed(load, thresholds)
    return [
        Criterion(
            "the clicks were answered as wanted",
            not missed,
            "; ".join(missed) or f"{load.accepted:,} of {load.by_status.total():,} accepted",
        ),
        Criterion(
            "every accepted request is decided",
            not decisions.undecided,
            f"{decisions.decided:,} are, {decisions.undecided:,} are not",
        ),
        Criterion(
            "the seats are exact",
            won == wanted and left == seats - won,
            f"{won:,} won, {lost:,} lost, {left} of {seats:,} seats left",
        ),
        Criterion(
            "stored = published",
            published == decisions.decided
            and codes[ResultCode.SUCCESS] == won
            and codes[ResultCode.REJECTED_CAPACITY] == lost,
            f"{published:,} requests in the lake, {decisions.decided:,} decided in the table",
        ),
        *(
            Criterion(check.name, check.passed, f"{check.violations:,} {check.detail}")
            for check in validation.checks
        ),
    ]


def _by_result_code(seats: QueryResult) -> Mapping[str, int]:
    """Winners and refusals in the lake, each request once."""
    found: Counter[str] = Counter()
    for row in seats.records():
        for code, column in (
            (ResultCode.SUCCESS, "seat_count"),
            (ResultCode.REJECTED_CAPACITY, "refused_count"),
        ):
            count = row[column]
            found[code] += count if isinstance(count, int) else 0
    return found
