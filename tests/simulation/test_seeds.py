"""The product keeps its contract on 200 seeds of random faults."""

import pytest

from simulation.generator import draw
from simulation.run import simulate

_SEEDS = 200
_IN_A_TEST = 10
"""Enough tests for every process of the test run, and few enough that each is short."""


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("first", range(0, _SEEDS, _IN_A_TEST))
def test_no_rule_is_broken(first: int) -> None:
    decided = 0
    for seed in range(first, first + _IN_A_TEST):
        outcome = simulate(draw(seed))
        assert outcome.violation is None, (seed, outcome.violation, *outcome.last_steps)
        decided += outcome.figures.decided
    assert decided > 0
