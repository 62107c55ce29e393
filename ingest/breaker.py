"""Notices that a service is away, and then keeps calls from it, but for a probe now and then."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, Protocol, TypeVar

import structlog

from aws.errors import AwsError, Transient

OPENS_AFTER: Final = 3
OPENS_AFTER_S: Final = 0.5
"""So many calls in a row have failed, over so long a time, before a service counts as away: under
load that is hundreds of calls, so that one that fails half of them stays in use; and where calls
hang, those of the first second are enough."""
PROBE_EVERY_S: Final = 0.5
"""The longest time between two probes: some tens of tasks then make no load worth mentioning."""

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger("ingest")


class Away(Exception):
    """The call was not made: its service does not answer at the moment."""


class BreakerObserver(Protocol):
    """Learns of every change of a breaker."""

    def service_away(self, service: str, *, is_away: bool) -> None:
        """Take note that a service went away or came back."""
        ...


class Breaker:
    """A circuit breaker around the calls of one service (Fowler, "CircuitBreaker").

    Only what fails as a whole and for the moment counts as unanswered: no connection, a timeout,
    a 5xx, of calls that began after the last answer (others may have been caught by what is over).
    A service that throttles or refuses is there. While the breaker is open, one call in half a
    second goes through as a probe, whether or not its predecessor still hangs, and the first
    answer closes it.
    """

    def __init__(self, service: str, random: Random, observer: BreakerObserver | None) -> None:
        self._service = service
        self._random = random
        self._observer = observer
        self._now_s = asyncio.get_running_loop().time
        self._failures = 0
        self._failing_since_s = 0.0
        self._answered_at_s = 0.0
        self._away_since_s: float | None = None
        self._probe_at_s = 0.0

    @property
    def refuses(self) -> bool:
        """Whether a call that is made now would be refused."""
        return self._away_since_s is not None and self._now_s() < self._probe_at_s

    async def call(self, operation: Callable[[T], Awaitable[R]], argument: T) -> R:
        """Make a call; raises Away where that is of no use now, and what the call raises."""
        if self._away_since_s is not None:
            if self.refuses:
                raise Away(self._service)
            self._wait_for_next_probe()
        began_s = self._now_s()
        try:
            result = await operation(argument)
        except AwsError as error:
            if isinstance(error, Transient) and not error.is_throttle:
                if began_s >= self._answered_at_s:
                    self._was_unanswered(began_s, error)
            else:
                self._was_answered()
            raise
        self._was_answered()
        return result

    def _wait_for_next_probe(self) -> None:
        self._probe_at_s = self._now_s() + PROBE_EVERY_S * (0.5 + self._random.random() / 2)

    def _was_answered(self) -> None:
        self._failures = 0
        self._answered_at_s = self._now_s()
        if self._away_since_s is not None:
            seconds = round(self._answered_at_s - self._away_since_s, 1)
            self._away_since_s = None
            self._observe(is_away=False)
            log.warning("service_back", service=self._service, away_s=seconds)

    def _was_unanswered(self, began_s: float, error: Transient) -> None:
        self._failing_since_s = min(began_s, self._failing_since_s) if self._failures else began_s
        self._failures += 1
        now_s = self._now_s()
        is_long = now_s - self._failing_since_s >= OPENS_AFTER_S
        if self._away_since_s is None and self._failures >= OPENS_AFTER and is_long:
            self._away_since_s = now_s
            self._wait_for_next_probe()
            self._observe(is_away=True)
            log.warning("service_away", service=self._service, error=str(error))

    def _observe(self, *, is_away: bool) -> None:
        if self._observer is not None:
            self._observer.service_away(self._service, is_away=is_away)
