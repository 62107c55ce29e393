"""Campaigns: many seeds in several processes, the first failures, and the smallest failing run."""

from collections.abc import Iterator
from dataclasses import replace

from simulation import campaign, catalog, generator
from simulation.catalog import Wishes
from simulation.failure import smallest
from simulation.run import simulate
from simulation.scenario import Scenario

SMALL = Wishes(rate=40, seconds=1, seats=30)


def impossible(seed: int) -> Scenario:
    """A run that has no time to finish what is under way."""
    made = catalog.scenario("slow", seed, SMALL)
    return replace(made, settles_in_s=0.0)


def prepare() -> None:
    """Nothing: the processes need no preparation."""


def test_processes_find_what_one_process_finds() -> None:
    scenarios = [generator.draw(seed) for seed in (1, 2, 3)]

    found = list(campaign.run(iter(scenarios), 2, prepare))

    assert sorted(found, key=lambda trial: trial.seed) == [campaign.trial(s) for s in scenarios]


def test_no_run_is_begun_after_three_failures() -> None:
    begun = []

    def scenarios() -> Iterator[Scenario]:
        for seed in range(1, 100):
            begun.append(seed)
            yield impossible(seed)

    found = list(campaign.run(scenarios(), 1, prepare))

    assert begun == [1, 2, 3]
    assert [trial.violation is not None for trial in found] == [True] * 3
    assert all(trial.last_steps for trial in found)


def test_sums_add_up_runs_and_their_faults() -> None:
    trials = [campaign.trial(catalog.scenario("clocks", seed, SMALL)) for seed in (1, 2)]

    sums = campaign.summed(trials)

    assert (sums.runs, sums.failures, sums.faults) == (2, 0, {"skew": 8})
    assert sums.clicks == sum(trial.clicks for trial in trials) > 0


def test_the_smallest_run_breaks_the_same_rule_with_fewer_clicks_and_faults() -> None:
    outcome = simulate(replace(catalog.scenario("clocks", 1, SMALL), settles_in_s=0.0))
    assert outcome.violation is not None
    tried = []

    found = smallest(outcome, lambda runs, _: tried.append(runs))

    assert found.outcome.violation is not None
    assert found.outcome.violation.rule == outcome.violation.rule
    assert len(found.outcome.scenario.faults) < len(outcome.scenario.faults)
    assert found.outcome.figures.clicks < outcome.figures.clicks
    assert found.runs == len(tried) == tried[-1]
