"""The tries of a step: how often, how long, and the budget that all callers share."""

from dataclasses import dataclass
from itertools import cycle
from random import Random

import anyio
import pytest

from aws.errors import Transient
from ingest.breaker import OPENS_AFTER, Breaker
from ingest.gateway import Failure, Unavailable
from ingest.retries import Retries, RetryPolicy
from runtime.batcher import LateError
from tests.virtual_time import virtual_time

THROTTLED = Transient("dynamodb", "BatchExecuteStatement", "ThrottlingError", "slow down")


@dataclass(slots=True)
class Step:
    """Fails in turn as a test says."""

    outcomes: "cycle[Exception | None]"
    takes_s: float = 0.0
    tries: int = 0

    async def run(self, item: str) -> str:
        self.tries += 1
        await anyio.sleep(self.takes_s)
        outcome = next(self.outcomes)
        if outcome is not None:
            raise outcome
        return item.upper()


def step(*outcomes: Exception | None, takes_s: float = 0.0) -> Step:
    return Step(cycle(outcomes), takes_s)


def retries(policy: RetryPolicy | None = None) -> Retries:
    random = Random(0)
    return Retries("insert", policy or RetryPolicy(), Breaker("dynamodb", random, None), random)


@virtual_time
async def test_what_succeeds_in_the_end_says_how_many_tries_it_took() -> None:
    failing = step(THROTTLED, THROTTLED, None)

    assert await retries().run(failing.run, "a") == ("A", 3)


@virtual_time
async def test_a_try_that_failed_elsewhere_counts_as_the_first_in_number_budget_and_time() -> None:
    now_s = anyio.current_time()
    steps = retries()

    assert await steps.run(step(THROTTLED, None).run, "a", Failure(THROTTLED, now_s)) == ("A", 3)
    for failure in (Failure(THROTTLED, now_s - 1), Failure(LateError("late"), now_s)):
        untried = step(None)
        with pytest.raises(Unavailable):
            await steps.run(untried.run, "a", failure)
        assert untried.tries == 0
    with pytest.raises(ValueError, match="odd"):
        await steps.run(step(None).run, "a", Failure(ValueError("odd"), now_s))


@virtual_time
async def test_a_try_that_took_long_is_not_repeated() -> None:
    hanging = step(THROTTLED, takes_s=1)
    with pytest.raises(Unavailable, match="insert: ThrottlingError"):
        await retries().run(hanging.run, "a")

    assert hanging.tries == 1


@virtual_time
async def test_while_all_fails_retries_end_with_the_budget() -> None:
    failing, tries = step(THROTTLED), retries()
    for _ in range(1_000):
        with pytest.raises(Unavailable):
            await tries.run(failing.run, "a")

    assert failing.tries == 1_000 + 100


@virtual_time
async def test_successes_earn_a_tenth_of_a_retry_each() -> None:
    failing, tries = step(THROTTLED), retries()
    for _ in range(1_000):
        with pytest.raises(Unavailable):
            await tries.run(failing.run, "a")
    working = step(None)
    for _ in range(105):
        await tries.run(working.run, "a")
    failing.tries = 0
    for _ in range(1_000):
        with pytest.raises(Unavailable):
            await tries.run(failing.run, "a")

    assert failing.tries == 1_000 + 10


@virtual_time
async def test_the_budget_does_not_grow_beyond_what_it_began_with() -> None:
    tries, working, failing = retries(), step(None), step(THROTTLED)
    for _ in range(2_000):
        await tries.run(working.run, "a")
    for _ in range(1_000):
        with pytest.raises(Unavailable):
            await tries.run(failing.run, "a")

    assert failing.tries == 1_000 + 100


@virtual_time
async def test_callers_that_failed_together_come_back_at_different_times() -> None:
    tries = retries(RetryPolicy(max_attempts=2, base_s=0.1))
    at_s: list[float] = []
    failing = step(THROTTLED)

    async def fail(item: str) -> str:
        at_s.append(anyio.current_time())
        return await failing.run(item)

    async def run() -> None:
        with pytest.raises(Unavailable):
            await tries.run(fail, "a")

    began_s = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(run)

    again_s = sorted(s - began_s for s in at_s[50:])
    assert len(again_s) == 50
    assert again_s[0] < 0.02
    assert 0.08 < again_s[-1] < 0.1


@virtual_time
async def test_while_the_service_is_away_nothing_is_even_submitted() -> None:
    breaker = Breaker("dynamodb", Random(0), None)
    failing = step(Transient("dynamodb", "Query", "InternalServerError", "not now"), takes_s=0.3)
    for _ in range(OPENS_AFTER):
        with pytest.raises(Transient):
            await breaker.call(failing.run, "a")
    working = step(None)
    with pytest.raises(Unavailable, match="insert: Away"):
        await Retries("insert", RetryPolicy(), breaker, Random(0)).run(working.run, "a")

    assert working.tries == 0
