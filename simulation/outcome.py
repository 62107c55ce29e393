"""What a run adds up to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schema.items import RequestItem
from simulation.aws.cloud import Cloud
from simulation.aws.dynamodb.throughput import Usage
from simulation.checks.checks import Checks
from simulation.checks.fairness import Fairness, fairness
from simulation.checks.verdict import Violation
from simulation.crowd import Crowd
from simulation.loop import START_S
from simulation.scenario import Scenario

START_EPOCH_MS: Final = 1_704_290_000_000
"""The time at which every run begins: the example of g1 §5.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What stood where at the end of one second."""

    at_s: float
    clicks: int
    accepted: int
    decided: int
    published: int
    waiting: int
    in_flight: int
    throttles: Mapping[str, int]
    """How often each limit was in the way so far."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision's times, by the programs' own clocks."""

    queued_at_s: float
    """From the run's start."""
    queue_delay_s: float
    e2e_delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a run adds up to; times in seconds from its start."""

    simulated_s: float
    clicks: int
    accepted: int
    gave_up: int
    answers: Mapping[int, int]
    """By HTTP status; 0 stands for no answer."""
    outcomes: Mapping[str, int]
    """Decisions by result code."""
    seats_taken: int
    fairness: Fairness
    dead_lettered: int
    quarantined: int
    redriven: int
    published: int
    """Events that the bus accepted, second ones of the same decision included."""
    delivered: int
    lost: Mapping[str, int]
    """Events counted as lost, by reason."""
    republished: int
    """Lost events that were kept, and published in the end."""
    kills: int
    starts: int
    calls: Mapping[str, int]
    units: Mapping[str, Usage]
    """DynamoDB's units by index; the table's own under ""."""
    throttles: Mapping[str, int]
    """How often each limit was in the way."""
    first_throttle_s: Mapping[str, float]
    answer_times_s: Sequence[float]
    decisions: Sequence[Decision]
    last_decision_s: float
    last_seat_s: float
    """When the last seat was sold, from the run's start; clicks begin after a second."""
    seconds: Sequence[Second]

    @property
    def decided(self) -> int:
        """Requests with a final status."""
        return sum(self.outcomes.values())

    @property
    def queue_delays_s(self) -> Sequence[float]:
        """From queueing to the start of work, of each decision."""
        return [decision.queue_delay_s for decision in self.decisions]

    @property
    def e2e_delays_s(self) -> Sequence[float]:
        """From queueing to the decision, of each decision."""
        return [decision.e2e_delay_s for decision in self.decisions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A run that is over."""

    scenario: Scenario
    violation: Violation | None
    digest: str
    steps: int
    last_steps: Sequence[str]
    """The steps before the violation, if there is one."""
    steps_about: Sequence[str]
    """Those steps before it that name what it is about."""
    figures: Figures


def figures_of(
    cloud: Cloud,
    checks: Checks,
    crowd: Crowd,
    *,
    simulated_s: float,
    redriven: int,
    republished: int,
    lost: Mapping[str, int],
    kills: int,
    starts: int,
    seconds: Sequence[Second],
) -> Figures:
    """Add up a run from what the services, the checks and the crowd have seen."""
    decided = [item for item in checks.requests.items.values() if item.status.is_final]
    return Figures(
        simulated_s=simulated_s,
        clicks=crowd.clicks,
        accepted=len(crowd.accepted),
        gave_up=crowd.refused,
        answers=dict(sorted(crowd.answers.items())),
        outcomes=dict(sorted(checks.requests.outcomes.items())),
        seats_taken=checks.requests.seats_taken,
        fairness=fairness(decided),
        dead_lettered=checks.messages.dead_lettered,
        quarantined=checks.messages.quarantined,
        redriven=redriven,
        published=checks.evidence.published.total(),
        delivered=checks.evidence.delivered,
        lost=lost,
        republished=republished,
        kills=kills,
        starts=starts,
        calls=dict(sorted(cloud.calls.items())),
        units=cloud.table.usage,
        throttles=dict(sorted(checks.throttles.items())),
        first_throttle_s={
            name: at_s - START_S for name, at_s in sorted(checks.first_throttle_s.items())
        },
        answer_times_s=crowd.answer_times_s,
        decisions=_decisions(decided),
        last_decision_s=checks.requests.last_decision_s,
        last_seat_s=checks.requests.last_seat_s,
        seconds=seconds,
    )


def _decisions(decided: Iterable[RequestItem]) -> list[Decision]:
    return [
        Decision(
            queued_at_s=(item.queued_at_ms - START_EPOCH_MS) / 1000,
            queue_delay_s=(item.started_at_ms - item.queued_at_ms) / 1000,
            e2e_delay_s=(item.finished_at_ms - item.queued_at_ms) / 1000,
        )
        for item in decided
        if item.queued_at_ms is not None
        and item.started_at_ms is not None
        and item.finished_at_ms is not None
    ]
