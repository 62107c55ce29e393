"""What became of the clicks: counts, latencies, and how well the generator kept to its times."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

ACCEPTED: Final = 202
NO_ANSWER: Final = 0
"""Stands for a status where there was no answer."""
LATE_MS: Final = 10.0
"""A click that is sent later than this after its time is late; timers here are 1 ms coarse."""
_SHOWN_CLICKS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one click, after all its tries."""

    user_id: str
    status: int
    """Of the last answer; NO_ANSWER where there was none."""
    problem: str | None
    """The kind of problem (docs/api.md); without an answer, why there was none."""
    request_id: str | None
    is_duplicate: bool
    latency_ms: float
    """From the moment for which the click was scheduled."""
    service_ms: float
    """From the moment in which its last try was sent."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Percentiles by nearest rank, in milliseconds."""

    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How the generator itself did."""

    scheduled: int
    """Clicks that were to be made."""
    sent: int
    """Clicks that were made; those that were tried again count once."""
    seconds: float
    """From the first click's time to the last one's sending."""
    late: int
    """Clicks that were sent more than LATE_MS after their time."""
    latest_ms: float
    """How long after its time a click was sent, at most."""
    held: int
    """Clicks that waited because all connections allowed were in use."""
    connections: int
    """The greatest number of connections that were open."""
    connections_allowed: int
    cpu_share: float
    """The share of a core that the process took in its busiest second."""

    @property
    def per_second(self) -> float:
        """Clicks sent a second."""
        return (self.sent - 1) / self.seconds if self.sent > 1 and self.seconds else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a load."""

    by_status: Counter[int]
    """Clicks by the status of their last answer; NO_ANSWER: there was none."""
    by_problem: Counter[str]
    accepted: int
    """Clicks answered 202, duplicates among them."""
    duplicates: int
    retries: int
    """Clicks made again after a 503 or no answer."""
    latency: Latencies | None
    """From the scheduled moments; of clicks without an answer, the time that they waited."""
    service: Latencies | None
    """From the sending."""
    sending: Sending
    seconds: float
    """From the first click's time to the last answer."""
    is_interrupted: bool

    @property
    def errors_share(self) -> float:
        """The share of clicks that were not accepted."""
        clicks = self.by_status.total()
        return (clicks - self.accepted) / clicks if clicks else 0.0


class Tally:
    """Counts outcomes as they come."""

    def __init__(self) -> None:
        self.by_status: Counter[int] = Counter()
        self.by_problem: Counter[str] = Counter()
        self.duplicates = 0
        self.retries = 0
        self._latencies_ms = array("d")
        self._service_ms = array("d")
        self._shown = 0

    def count(self, outcome: Outcome) -> None:
        """Take note of one click's outcome."""
        self.by_status[outcome.status] += 1
        self.duplicates += outcome.is_duplicate
        if outcome.problem is not None:
            self.by_problem[outcome.problem] += 1
        self._latencies_ms.append(outcome.latency_ms)
        self._service_ms.append(outcome.service_ms)

    def recent(self) -> Latencies | None:
        """The latencies since the last call, of a part of the clicks where they are many.

        Sorting all of them would hold up the clicks that are due meanwhile.
        """
        since, self._shown = self._shown, len(self._latencies_ms)
        return latencies(self._latencies_ms[since :: 1 + (self._shown - since) // _SHOWN_CLICKS])

    def result(self, sending: Sending, seconds: float, *, is_interrupted: bool) -> Result:
        """All of it together."""
        return Result(
            by_status=self.by_status,
            by_problem=self.by_problem,
            accepted=self.by_status[ACCEPTED],
            duplicates=self.duplicates,
            retries=self.retries,
            latency=latencies(self._latencies_ms),
            service=latencies(self._service_ms),
            sending=sending,
            seconds=seconds,
            is_interrupted=is_interrupted,
        )


def latencies(values_ms: Sequence[float]) -> Latencies | None:
    """Exact percentiles; None of nothing."""
    if not values_ms:
        return None
    ordered = sorted(values_ms)
    p50, p90, p99 = (ordered[ceil(len(ordered) * share) - 1] for share in (0.5, 0.9, 0.99))
    return Latencies(p50, p90, p99, ordered[-1])
