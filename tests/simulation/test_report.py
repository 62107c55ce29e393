"""The report's figures: what they are divided by, and which limit is named first."""

from dataclasses import replace

import pytest

from simulation import catalog
from simulation.catalog import Wishes
from simulation.report import summary
from simulation.report.page import first_limit
from simulation.run import simulate


def test_units_and_dollars_are_by_decided_request_and_not_by_accepted_click() -> None:
    figures = simulate(catalog.scenario("flash", 1, Wishes(rate=40, seconds=1))).figures
    few_accepted = replace(figures, accepted=1)

    assert summary.shares(few_accepted) == summary.shares(figures)
    events = next(s for s in summary.shares(figures) if s.what == "EventBridge events")
    assert events.each == pytest.approx(figures.published / figures.decided)
    assert summary.calls_a_request(few_accepted) == summary.calls_a_request(figures)


def test_the_limit_named_first_is_the_one_that_bound_first() -> None:
    made = catalog.scenario("flash", 1, Wishes(rate=40, seconds=1))
    late, early = (
        "table_write_units of arn:aws:d:r:0:table/T",
        "put_events_per_s of arn:aws:e:r:0:bus",
    )
    figures = replace(
        simulate(made).figures,
        throttles={late: 900, early: 1},
        first_throttle_s={late: 5.0, early: 2.0},
    )

    assert first_limit(figures) == "put_events_per_s of bus bound first, in second 2.0"
    assert [binding.times for binding in summary.bindings(figures)] == [1, 900]


def test_percentiles_are_values_that_occurred() -> None:
    found = summary.percentiles([float(n) for n in range(1, 101)])

    assert found is not None
    assert (found.p50_s, found.p95_s, found.p99_s, found.most_s) == (50, 95, 99, 100)
    assert summary.percentiles([]) is None
