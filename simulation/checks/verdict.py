"""The first rule that a run breaks, and which rules it can be held to."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp

from config.limits import SQS_BATCH_ENTRIES
from config.settings import WorkerSettings
from ingest.aws_gateway import PATIENCE_S
from simulation.scenario import Defect, Kind, Noise, Outage, Scenario, Service
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

    receives_arrive: bool
    """No fault of SQS, and no call that takes longer than a worker waits for it, explains that
    somebody holds messages without knowing it."""
    sends_are_answered: bool
    """Nor that a sender does not know of a message that SQS has."""
    leases_hold: bool
    """Nor does any other explain that a lease runs out."""
    commits_are_answered: bool
    """No fault and no limit of DynamoDB explains that a worker does not know what it decided."""
    batches_are_known: bool
    """Each worker has one batch of a queue at a time, begun when no other was, and no call that
    fails puts some of it off."""
    none_is_to_blame: bool
    """No entry of DynamoDB's fails alone, none of its calls is rejected, and no item is defective:
    what keeps a stored request undecided is its table."""

    @classmethod
    def of(cls, scenario: Scenario, settings: WorkerSettings) -> "Rules":
        """What can be asked of a scenario, and of workers with these settings."""
        troubled = {fault.service for fault in scenario.faults if isinstance(fault, Noise | Outage)}
        receives_arrive = _slowest_call_s(scenario) < max(
            0.25, min(5.0, settings.visibility_timeout_s / 8)
        ) and all(
            isinstance(fault, Noise) and fault.kind is Kind.ENTRIES
            for fault in scenario.faults
            if isinstance(fault, Noise | Outage) and fault.service is Service.SQS
        )
        commits_are_answered = (
            Service.DYNAMODB not in troubled and not scenario.limits.has_dynamodb_units
        )
        return cls(
            receives_arrive=receives_arrive,
            sends_are_answered=receives_arrive and _slowest_call_s(scenario) < PATIENCE_S / 2,
            # A hand-back as long as a lease would look like one.
            leases_hold=receives_arrive
            and settings.retry_backoff_max_s < settings.visibility_timeout_s
            and _extensions_s(scenario, settings) < settings.visibility_timeout_s / 4,
            commits_are_answered=commits_are_answered,
            batches_are_known=settings.processors == 1 and commits_are_answered,
            none_is_to_blame=not any(
                isinstance(fault, Defect)
                or (isinstance(fault, Outage) and fault.kind is Kind.REJECTED)
                or (
                    isinstance(fault, Noise)
                    and (fault.service, fault.kind) == (Service.DYNAMODB, Kind.ENTRIES)
                )
                for fault in scenario.faults
            ),
        )


def _slowest_call_s(scenario: Scenario) -> float:
    """What hardly one call of SQS in a hundred thousand exceeds."""
    return scenario.latencies.sqs_s * exp(4.3 * scenario.latencies.sigma)


def _extensions_s(scenario: Scenario, settings: WorkerSettings) -> float:
    """How long it takes to extend all that a worker may hold: ten a call, one call at a time."""
    latencies = scenario.latencies
    mean_call_s = latencies.sqs_s * exp(latencies.sigma**2 / 2)
    return settings.max_in_flight / SQS_BATCH_ENTRIES * mean_call_s


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
