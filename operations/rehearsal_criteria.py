"""What must be so after a rehearsal: the clicks' answers, the table and the lake agree."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analytics.report.evidence import Evidence
from operations.load import verdict
from operations.load.tally import Result
from operations.load.verdict import Thresholds
from schema.items import Capacity
from schema.states import ResultCode, Status


@dataclass(frozen=True, slots=True)
class Criterion:
    """Something that must be so, and what was found."""

    name: str
    is_met: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What the table holds of the requests that ingest accepted."""

    by_status: Counter[Status] = field(default_factory=Counter)
    undecided: int = 0
    capacity: Capacity | None = None

    @property
    def decided(self) -> int:
        """Requests that are decided."""
        return self.by_status.total()


def judge(
    load: Result,
    thresholds: Thresholds,
    seats: int,
    requests: int,
    decisions: Decisions,
    gathered: Evidence,
) -> Sequence[Criterion]:
    """What must be so after a rehearsal; `requests` different ones were accepted."""
    won = decisions.by_status[Status.SUCCEEDED]
    lost = decisions.by_status[Status.REJECTED]
    wanted = min(seats, requests)
    left = None if decisions.capacity is None else decisions.capacity.remaining
    published = gathered.results["totals"].count("request_count")
    codes = _by_result_code(gathered)
    missed = verdict.missed(load, thresholds)
    return [
        Criterion("the clicks were answered as wanted", not missed, "; ".join(missed)),
        Criterion(
            "every accepted request is decided",
            not decisions.undecided,
            f"{decisions.decided:,} of {requests:,}",
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
            for check in gathered.validation.checks
        ),
    ]


def _by_result_code(gathered: Evidence) -> Mapping[str, int]:
    """Winners and refusals in the lake, each request once."""
    found: Counter[str] = Counter()
    for row in gathered.results["seats"].records():
        for code, column in (
            (ResultCode.SUCCESS, "seat_count"),
            (ResultCode.REJECTED_CAPACITY, "refused_count"),
        ):
            count = row[column]
            found[code] += count if isinstance(count, int) else 0
    return found
