"""What a run adds up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulation.aws.dynamodb.throughput import Usage
from simulation.checks.verdict import Violation
from simulation.scenario import Scenario


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
    dead_lettered: int
    quarantined: int
    redriven: int
    published: int
    """Events that the bus accepted, second ones of the same decision included."""
    delivered: int
    lost: Mapping[str, int]
    """Events counted as lost, by reason."""
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
