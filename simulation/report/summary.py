"""A run's figures, as a reader asks for them: limits, delays, units and dollars."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from operations.prices import MILLION
from simulation.outcome import Figures
from simulation.report.costs import costs
from simulation.scenario import Scenario, Skew

_ARN_PARTS: Final = 5


@dataclass(frozen=True, slots=True)
class Binding:
    """A limit that was in the way."""

    limit: str
    resource: str
    times: int
    """Calls and entries that it refused or left waiting."""
    first_s: float
    name: str
    """As the run's figures know it."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """How long something took, in seconds."""

    p50_s: float
    p95_s: float
    p99_s: float
    most_s: float


@dataclass(frozen=True, slots=True)
class Share:
    """What one request takes of something, and what a million of them cost."""

    what: str
    each: float
    dollars_a_million: float


def bindings(figures: Figures) -> Sequence[Binding]:
    """The limits that bound at all, the first one first."""
    found = []
    for name, times in figures.throttles.items():
        limit, _, arn = name.partition(" of ")
        resource = arn.split(":", _ARN_PARTS)[-1]
        found.append(Binding(limit, resource, times, figures.first_throttle_s[name], name))
    return sorted(found, key=lambda binding: (binding.first_s, binding.limit, binding.resource))


def percentiles(values: Collection[float]) -> Percentiles | None:
    """The exact percentiles (nearest rank); None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    p50, p95, p99 = (ordered[ceil(len(ordered) * share) - 1] for share in (0.50, 0.95, 0.99))
    return Percentiles(p50, p95, p99, ordered[-1])


def shares(figures: Figures) -> Sequence[Share]:
    """Units, calls and dollars by decided request; nothing where none was decided.

    Not by accepted click: under throttling many a request is decided whose click got 503.
    """
    requests = figures.decided
    if not requests:
        return ()
    return [
        Share(cost.what, cost.count / requests, cost.dollars / requests * MILLION)
        for cost in costs(figures)
    ]


def dollars_a_million(figures: Figures) -> float:
    """What a million requests cost at this run's rates."""
    return sum(share.dollars_a_million for share in shares(figures))


def calls_a_request(figures: Figures) -> float:
    """AWS calls of all programs together, by decided request."""
    return sum(figures.calls.values()) / figures.decided if figures.decided else 0.0


def ingest_skew_ms(scenario: Scenario) -> int:
    """How wrong the scenario makes any clock of ingest, which queuedAt is read from (domain §5)."""
    return max(
        (
            abs(fault.offset_ms)
            for fault in scenario.faults
            if isinstance(fault, Skew) and fault.node.startswith("ingest-")
        ),
        default=0,
    )


def per_second(totals: Sequence[int]) -> Sequence[int]:
    """What was added in each second, from totals at each second's end."""
    return [now - before for before, now in zip((0, *totals[:-1]), totals, strict=True)]
