"""Tries an operation again for the person who waits for it, as long as that does no harm."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

import anyio

from aws.errors import AwsError, Fatal, Transient
from ingest.breaker import Away, Breaker
from ingest.gateway import Failure, Unavailable
from runtime import backoff
from runtime.batcher import ClosedError, LateError, OverloadedError

T = TypeVar("T")
R = TypeVar("R")

RETRIED: Final = (Transient, Fatal, Away, ClosedError, LateError, OverloadedError)
"""What a try may fail with; anything else is the caller's."""
_BUDGET: Final = 100.0
_EARNED: Final = 0.1
"""Of a retry, by each success: where the service has room for less than it is asked, retries add a
tenth to what it serves."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often one operation is tried, and for how long: a person is waiting for it."""

    max_attempts: int = 3
    base_s: float = 0.05
    max_s: float = 0.2
    window_s: float = 0.5
    """No try begins later than this after the first one began: one that hung until its timeout is
    not repeated."""


class Retries:
    """The tries of one step, all callers' together.

    They share a budget (a token bucket, as in the AWS SDKs' standard retry mode): a few failures
    are made good without anybody noticing, but where most tries fail, as with a table beyond its
    throughput, each operation is tried once, and retries do not add to the load.
    """

    def __init__(self, step: str, policy: RetryPolicy, breaker: Breaker, random: Random) -> None:
        self._step = step
        self._policy = policy
        self._breaker = breaker
        self._random = random
        self._budget = _BUDGET
        self._now_s = asyncio.get_running_loop().time

    async def run(
        self,
        operation: Callable[[T], Awaitable[R]],
        item: T,
        failed: Failure | None = None,
    ) -> tuple[R, int]:
        """Run one operation, and again while that may help: its result, and how many tries it took.

        `failed` is a first try that was made elsewhere. Raises Unavailable.
        """
        error = None if failed is None else failed.error
        began_s = self._now_s() if failed is None else failed.since_s
        attempt = 1
        while True:
            if error is not None:
                await self._back_off(error, attempt, began_s)
                attempt += 1
            if self._breaker.refuses:
                raise Unavailable(self._step, "Away") from error
            try:
                result = await operation(item)
            except RETRIED as raised:
                error = raised
            else:
                self.succeeded(1)
                return result, attempt

    def succeeded(self, count: int) -> None:
        """Take note of tries that did not fail."""
        self._budget = min(_BUDGET, self._budget + count * _EARNED)

    async def _back_off(self, error: Exception, attempt: int, began_s: float) -> None:
        """Wait for the next try; raises Unavailable where there should be none."""
        if not isinstance(error, RETRIED):
            raise error
        if not isinstance(error, AwsError):
            raise Unavailable(self._step, type(error).__name__) from error
        policy = self._policy
        wait_s = backoff.full_delay_s(attempt, policy.base_s, policy.max_s, self._random)
        if (
            isinstance(error, Fatal)
            or attempt >= policy.max_attempts
            or self._budget < 1
            or self._now_s() + wait_s > began_s + policy.window_s
        ):
            raise Unavailable(self._step, error.code) from error
        self._budget -= 1
        await anyio.sleep(wait_s)
