"""Whether a service is away: while it is, nothing is received, and what is held is tried again."""

from collections import Counter
from random import Random
from typing import Final

import anyio
import structlog
from prometheus_client import Gauge

from runtime import backoff
from runtime.stop import Stop

_FAILURES: Final = 3
"""Calls of one kind in a row that fail before a service counts as away: one is a hiccup."""
_BASE_S: Final = 0.1
_MAX_S: Final = 3.0
"""The longest wait before another try: full speed comes back within this time of the service."""

log = structlog.get_logger("worker")


class Outage:
    """Follows the calls of a service, by kind: reads may work while writes fail.

    A service that is away is no message's fault (domain §6): whoever holds messages waits here
    and tries again, and whoever would receive more waits for the end.
    """

    def __init__(self, service: str, paused: Gauge, random: Random, stop: Stop) -> None:
        self._service = service
        self._paused = paused
        self._random = random
        self._stop = stop
        self._failures: Counter[str] = Counter()
        self._is_on = False
        self._over = anyio.Event()
        self._waiting = 0

    @property
    def is_on(self) -> bool:
        """Whether the service is away."""
        return self._is_on

    def failed(self, kind: str, error: Exception) -> None:
        """Take note that a whole call failed for the moment."""
        self._failures[kind] += 1
        if not self._is_on and self._failures[kind] >= _FAILURES:
            self._is_on = True
            self._over = anyio.Event()
            self._paused.set(1)
            log.warning("worker_paused", service=self._service, call=kind, error=str(error))

    def answered(self, kind: str) -> None:
        """Take note that a call of this kind was answered."""
        if self._failures[kind]:
            self._failures[kind] = 0
            if self._is_on and max(self._failures.values()) < _FAILURES:
                self._end()

    async def until_next_try(self) -> None:
        """Wait as long as the failures so far ask for; ends early with the outage, or at a stop."""
        worst = max(self._failures.values(), default=0)
        wait_s = backoff.full_delay_s(max(1, worst), _BASE_S, _MAX_S, self._random)
        over = self._over
        self._waiting += 1
        try:
            with self._stop.interrupts(), anyio.move_on_after(wait_s):
                await (over.wait() if self._is_on else anyio.sleep_forever())
        finally:
            self._waiting -= 1

    def given_up(self) -> None:
        """Take note that somebody who was in trouble tries no more.

        With nobody left to try, only another receive can find the service back.
        """
        if self._is_on and not self._waiting:
            self._end()

    async def over_or_stop(self) -> None:
        """Wait until the service is back, or a stop is requested."""
        while self._is_on and not self._stop.requested:
            with self._stop.interrupts():
                await self._over.wait()

    def _end(self) -> None:
        self._is_on = False
        self._failures.clear()
        self._paused.set(0)
        self._over.set()
        log.info("worker_resumed", service=self._service)
