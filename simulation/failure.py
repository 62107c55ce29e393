"""Makes the smallest scenario of a run that failed, so that a reader has little to look at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulation.outcome import Outcome
from simulation.run import simulate
from simulation.scenario import Scenario
from simulation.shrink import shrink

Tried = Callable[[int, Scenario], None]
"""Learns of each run: how many there were, and the scenario."""

_STEPS: Final = 1_000_000
"""About so many steps are spent on all runs together."""
_FEWEST_RUNS: Final = 20
_MOST_RUNS: Final = 400


@dataclass(frozen=True, slots=True)
class Smallest:
    """The smallest run found that breaks the same rule, and how many runs that took."""

    outcome: Outcome
    runs: int


def smallest(outcome: Outcome, tried: Tried) -> Smallest:
    """Shrink a run that failed: fewer faults, clicks and nodes that break the same rule."""
    assert outcome.violation is not None, "a run that holds has nothing to shrink"  # noqa: S101
    rule, found, runs = outcome.violation.rule, outcome, 0

    def fails(scenario: Scenario) -> bool:
        nonlocal found, runs
        runs += 1
        tried(runs, scenario)
        again = simulate(scenario)
        is_same = again.violation is not None and again.violation.rule == rule
        if is_same:
            found = again
        return is_same

    # By steps and not by time, so that the same failure always shrinks to the same scenario.
    most_runs = max(_FEWEST_RUNS, min(_MOST_RUNS, _STEPS // max(outcome.steps, 1)))
    shrink(outcome.scenario, fails, most_runs)
    return Smallest(found, runs)
