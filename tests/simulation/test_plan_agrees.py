"""The plan and the simulation name the same limit as the first, at the same rate of clicks."""

from collections.abc import Mapping
from typing import Final

import pytest

from operations import plan
from operations.capacity import AccountLimits, EventLoad
from operations.plan import CapacityPlan
from simulation import catalog
from simulation.catalog import Wishes
from simulation.report import summary
from simulation.report.summary import Binding
from simulation.run import simulate

BEGIN_S: Final = 1.0
"""Clicks begin so long after the run."""
ABOVE: Final = 1.5
LASTS_S: Final = 3.2
"""At 1.5 times the rate of a limit, what a rested bucket has saved is used up after 2 s, and a
little later where clicks are decided first."""
LAKE: Final = {"invocations_per_s": 20_000.0}
WARM: Final = LAKE | {"table_write_units": 30_000.0, "index_write_units": 20_000.0}
DECISIONS_BEGIN_S: Final = 0.06
"""A burst waits so long for its first seats (docs/decisions/turns.md); the plan counts from the
first click."""
Raised = Mapping[str, float]


def planned(region: str, rate: float, seats: int, raised: Raised) -> CapacityPlan:
    account = AccountLimits.of(region, raised)
    return plan.make(EventLoad(rate=rate, seconds=10, seats=seats), region, account, "any")


def first_to_bind(
    made: CapacityPlan, rate: float, raised: Raised, lasts_s: float = LASTS_S
) -> Binding | None:
    """The limit that throttles first in a simulated run at a rate, on the plan's tasks."""
    wishes = Wishes(
        rate=rate,
        seconds=lasts_s,
        seats=made.load.seats,
        region=made.region,
        workers=made.needs.worker_tasks,
        ingests=made.needs.ingest_tasks,
        limits=raised,
    )
    outcome = simulate(catalog.scenario("flash", 1, wishes))
    return next(iter(summary.bindings(outcome.figures)), None)


def check(region: str, rate: float, seats: int, raised: Raised) -> str:
    """Compare both; returns the limit that they name.

    A rested limit holds one second of what it gives. What is asked of it until it first throttles
    is therefore what it gives in that time and one second more, which makes the rate it bears.
    """
    made = planned(region, rate, seats, raised)
    assert made.first is not None
    clicks_per_s = ABOVE * made.first.reached_at

    binding = first_to_bind(made, clicks_per_s, raised)

    assert binding is not None
    lasted_s = binding.first_s - BEGIN_S
    bears = clicks_per_s * lasted_s / (lasted_s + 1)
    assert binding.limit == made.first.limit
    assert bears == pytest.approx(made.first.reached_at, rel=0.1)
    return binding.limit


@pytest.mark.parametrize("rate", [1_000, 5_000, 20_000])
@pytest.mark.parametrize(
    ("region", "limit"),
    [("ap-northeast-2", "invocations_per_s"), ("us-east-1", "table_write_units")],
)
def test_a_new_account_reaches_the_same_limit_first(region: str, limit: str, rate: float) -> None:
    assert check(region, rate, 100, {}) == limit


@pytest.mark.parametrize(
    ("limit", "rate", "seats", "raised"),
    [
        ("table_write_units", 2_000, 50_000, {}),
        ("index_write_units", 2_000, 100, LAKE | {"index_write_units": 1_600.0}),
        ("put_events_per_s", 2_000, 100, WARM | {"put_events_per_s": 150.0}),
        ("put_events_per_s", 20_000, 100, WARM | {"put_events_per_s": 150.0}),
        ("firehose_bytes_per_s", 2_000, 100, WARM | {"firehose_bytes_per_s": 600_000.0}),
        ("firehose_calls_per_s", 2_000, 100, WARM | {"firehose_calls_per_s": 150.0}),
    ],
)
def test_another_account_reaches_the_same_limit_first(
    limit: str, rate: float, seats: int, raised: Raised
) -> None:
    assert check("ap-northeast-2", rate, seats, raised) == limit


@pytest.mark.parametrize(
    ("region", "rate", "limit"),
    [
        ("ap-northeast-2", 2_000, "invocations_per_s"),
        ("ap-northeast-2", 5_000, "invocations_per_s"),
        ("ap-northeast-2", 20_000, "table_write_units"),
        ("us-east-1", 2_000, "table_write_units"),
        ("us-east-1", 5_000, "table_write_units"),
        ("us-east-1", 20_000, "table_write_units"),
    ],
)
def test_a_burst_uses_up_the_same_limit_first(region: str, rate: float, limit: str) -> None:
    made = planned(region, rate, 100, {})
    assert made.first_at_this_rate is not None
    ceiling, after_s = made.first_at_this_rate

    binding = first_to_bind(made, rate, {}, 1.1 * after_s + 0.05)

    assert binding is not None
    assert (ceiling.limit, binding.limit) == (limit, limit)
    assert binding.first_s - BEGIN_S == pytest.approx(after_s, rel=0.1, abs=DECISIONS_BEGIN_S)


@pytest.mark.parametrize("region", ["ap-northeast-2", "us-east-1"])
def test_nothing_binds_below_the_first_limit(region: str) -> None:
    made = planned(region, 1_000, 100, {})
    assert made.first is not None

    assert first_to_bind(made, 0.9 * made.first.reached_at, {}) is None
