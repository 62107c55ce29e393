"""Many runs in several processes, as far as the first failures."""

import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from simulation.checks.verdict import Violation
from simulation.run import simulate
from simulation.scenario import Scenario

_ENOUGH_FAILURES: Final = 3
"""After so many, no further run is begun: they are seldom different in kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run of many."""

    seed: int
    violation: Violation | None
    last_steps: Sequence[str]
    digest: str
    steps: int
    simulated_s: float
    clicks: int
    decided: int
    kills: int
    faults: Mapping[str, int]
    """Planned faults by kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """All runs together."""

    runs: int
    failures: int
    simulated_s: float
    clicks: int
    decided: int
    steps: int
    kills: int
    faults: Mapping[str, int]


def run(scenarios: Iterator[Scenario], jobs: int, prepare: Callable[[], None]) -> Iterator[Trial]:
    """Run scenarios in so many processes, and give each result as it comes.

    `prepare` is called in each process first. No run is begun after a few failures; those that
    are under way end, so that the seeds before the last failure are all known.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_begin, initargs=(prepare,)
    ) as pool:
        try:
            yield from _results(pool, scenarios, jobs)
        except BaseException:
            # Nobody waits for what is under way: the pool would wait for it.
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _results(
    pool: ProcessPoolExecutor, scenarios: Iterator[Scenario], jobs: int
) -> Iterator[Trial]:
    under_way: set[Future[Trial]] = set()
    failures = 0
    while True:
        while len(under_way) < jobs and failures < _ENOUGH_FAILURES:
            scenario = next(scenarios, None)
            if scenario is None:
                break
            under_way.add(pool.submit(trial, scenario))
        if not under_way:
            return
        done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
        for result in sorted((future.result() for future in done), key=lambda t: t.seed):
            failures += result.violation is not None
            yield result


def trial(scenario: Scenario) -> Trial:
    """Run one scenario, and keep what a campaign needs of it."""
    outcome = simulate(scenario)
    return Trial(
        seed=scenario.seed,
        violation=outcome.violation,
        last_steps=outcome.last_steps,
        digest=outcome.digest,
        steps=outcome.steps,
        simulated_s=outcome.figures.simulated_s,
        clicks=outcome.figures.clicks,
        decided=outcome.figures.decided,
        kills=outcome.figures.kills,
        faults=Counter(fault.fault for fault in scenario.faults),
    )


def summed(trials: Sequence[Trial]) -> Sums:
    """Add up results."""
    faults: Counter[str] = Counter()
    for one in trials:
        faults.update(one.faults)
    return Sums(
        runs=len(trials),
        failures=sum(one.violation is not None for one in trials),
        simulated_s=sum(one.simulated_s for one in trials),
        clicks=sum(one.clicks for one in trials),
        decided=sum(one.decided for one in trials),
        steps=sum(one.steps for one in trials),
        kills=sum(one.kills for one in trials),
        faults=dict(sorted(faults.items())),
    )


def _begin(prepare: Callable[[], None]) -> None:
    # Ctrl-C reaches every process of the terminal; the one that the person started ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()
