"""Tries an operation again for the person who waits for it, as long as that does no harm."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

import anyio

from aws.errors import Fatal, Transient
from ingest.breaker import Away, Breaker
from ingest.gateway import Unavailable
from runtime import backoff
from runtime.batcher import ClosedError, LateError, OverloadedError

T = TypeVar("T")
R = TypeVar("R")

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

    async def run(self, operation: Callable[[T], Awaitable[R]], item: T) -> tuple[R, int]:
        """Run one operation, and again while that may help: its result, and how many tries it took.

        Raises Unavailable.
        """
        attempt = 1
        now_s = asyncio.get_running_loop().time
        began_s = now_s()
        while not self._breaker.refuses:
            try:
                result = await operation(item)
            except Transient as error:
                wait_s = self._wait_s(attempt)
                late = now_s() + wait_s > began_s + self._policy.window_s
                if late or attempt >= self._policy.max_attempts or self._budget < 1:
                    raise Unavailable(self._step, error.code) from error
            except Fatal as error:
                raise Unavailable(self._step, error.code) from error
            except (Away, ClosedError, LateError, OverloadedError) as error:
                raise Unavailable(self._step, type(error).__name__) from error
            else:
                self._budget = min(_BUDGET, self._budget + _EARNED)
                return result, attempt
            self._budget -= 1
            attempt += 1
            await anyio.sleep(wait_s)
        raise Unavailable(self._step, "Away")

    def _wait_s(self, attempt: int) -> float:
        return backoff.full_delay_s(attempt, self._policy.base_s, self._policy.max_s, self._random)
