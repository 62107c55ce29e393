"""What a run adds up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    units: Mapping[str, float]
    throttles: Mapping[str, int]
    """How often each limit was in the way."""
    first_throttle_s: Mapping[str, float]
    answer_times_s: Sequence[float]
    queue_delays_s: Sequence[float]
    e2e_delays_s: Sequence[float]
    last_decision_s: float
    seconds: Sequence[Second]

    @property
    def decided(self) -> int:
        """Requests with a final status."""
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A run that is over."""

    scenario: Scenario
    violation: Violation | None
    digest: str
    steps: int
    last_steps: Sequence[str]
    """The steps before the violation, if there is one."""
    figures: Figures
