"""The first rule that a run breaks, and which rules it can be held to."""

from collections.abc import Callable
from dataclasses import dataclass

from simulation.scenario import Kind, Noise, Outage, Pause, Scenario, Service
from simulation.trace import Trace


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that does not hold, and what shows it."""

    rule: str
    text: str
    about: str = ""
    """The request, message or event that it concerns; the steps that name it explain it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Rules that some faults excuse; all others hold in every run."""

    leases_hold: bool
    """No fault of SQS, no pause and no overload explains that a lease runs out."""
    events_arrive: bool
    """No fault and no limit of EventBridge explains that an event is missing."""

    @classmethod
    def of(cls, scenario: Scenario) -> "Rules":
        """What can be asked of a scenario."""
        troubled = {fault.service for fault in scenario.faults if isinstance(fault, Noise | Outage)}
        pauses = any(isinstance(fault, Pause) for fault in scenario.faults)
        return cls(
            leases_hold=not pauses
            and Service.SQS not in troubled
            and scenario.duplicate_delivery == 0.0,
            events_arrive=all(
                isinstance(fault, Noise) and fault.kind is Kind.TWICE
                for fault in scenario.faults
                if isinstance(fault, Noise | Outage) and fault.service is Service.EVENTS
            )
            and scenario.limits.put_events_per_s is None,
        )


class Verdict:
    """Takes the first violation of a run, and announces it."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.violation: Violation | None = None
        self.announce: Callable[[], None] = lambda: None

    def broken(self, rule: str, text: str, about: str = "") -> None:
        """Report a violation; those after the first may be its consequences."""
        if self.violation is None:
            self.violation = Violation(rule, text, about)
            self._trace.note("check", f"{rule}: {text}")
            self.announce()
