"""The plan's arithmetic: what a load needs, what binds, for how long, and what it costs."""

from collections.abc import Mapping

import pytest

from config.quotas import REGIONS, LimitError, Limits
from config.settings import WorkerSettings
from operations import capacity, plan, tasks
from operations.capacity import AccountLimits, EventLoad
from operations.plan import CapacityPlan

SEOUL = "ap-northeast-2"


def made(
    rate: float = 20_000,
    seconds: float = 10,
    seats: int = 1_000,
    region: str = SEOUL,
    raised: Mapping[str, float | None] | None = None,
) -> CapacityPlan:
    load = EventLoad(rate=rate, seconds=seconds, seats=seats)
    return plan.make(load, region, AccountLimits.of(region, raised or {}), "shop")


def test_needs_grow_with_the_rate() -> None:
    needs = made(seats=0).needs

    assert (needs.table_write_units, needs.index_write_units) == (60_000, 40_000)
    assert (needs.invocations, needs.firehose_records) == (20_000, 20_000)
    assert needs.firehose_bytes == 20_000 * 436
    assert (needs.load_balancer_units, needs.vcpus) == (800, 14)


def test_the_second_in_which_most_seats_are_sold_decides_what_the_table_needs() -> None:
    few, many = made(seats=100).needs, made(seats=1_000_000).needs

    assert few.table_write_units == 60_104
    assert many.table_write_units == 60_000 + 1.04 * 4_600
    assert many.winners_index_write_units == 4_600


def test_each_task_has_its_margin() -> None:
    needs = made(rate=100_000, region="us-east-1").needs

    click_s = tasks.CLICK_S + tasks.CALLS_A_CLICK * tasks.CALL_S
    busy = needs.rate * click_s / needs.ingest_tasks
    assert busy <= tasks.BUSY * tasks.VCPU
    assert needs.rate / needs.worker_tasks <= tasks.SLOW_CALLS_PER_S


def test_a_small_event_has_two_tasks_of_each_service() -> None:
    needs = made(rate=1).needs

    assert (needs.ingest_tasks, needs.worker_tasks) == (2, 2)


def test_all_workers_together_stay_below_what_a_queue_has_in_flight() -> None:
    default = WorkerSettings.model_fields["max_in_flight"].default
    few, many = made(rate=20_000), made(rate=1_000_000)

    assert few.max_in_flight == default
    assert many.max_in_flight < default
    assert many.needs.in_flight_messages <= 120_000
    assert f"--set MaxInFlight={many.max_in_flight}" in many.commands[0]


@pytest.mark.parametrize("region", REGIONS)
def test_limits_come_in_the_order_of_their_rates(region: str) -> None:
    ceilings = made(region=region).ceilings

    rates = [one.reached_at for one in ceilings]
    assert rates == sorted(rates)
    assert {one.limit for one in ceilings} <= set(Limits.names())
    assert made(region=region).first == ceilings[0]


@pytest.mark.parametrize("seats", [0, 100, 3_846, 3_847, 8_000, 30_000, 1_000_000])
def test_more_seats_are_never_borne_better(seats: int) -> None:
    for units in (4_000, 40_000, 400_000):
        raised = {"all": None, "table_write_units": units}
        less, more = (made(seats=n, raised=raised).ceilings[0] for n in (seats, seats + 1_000))

        assert more.reached_at <= less.reached_at
        assert units / 4.04 <= more.reached_at <= units / 3 + 1e-6


def test_an_account_that_has_what_is_needed_is_asked_for_nothing() -> None:
    needs = made().needs
    raised = {
        "table_write_units": needs.table_write_units,
        "index_write_units": needs.index_write_units,
        "table_read_units": needs.table_read_units,
        "put_events_per_s": needs.put_events_calls,
        "invocations_per_s": needs.invocations,
        "firehose_bytes_per_s": needs.firehose_bytes,
        "firehose_records_per_s": needs.firehose_records,
        "firehose_calls_per_s": needs.firehose_calls,
        "table_quota_units": needs.table_write_units,
        "fargate_vcpus": needs.vcpus,
        "load_balancer_units": needs.load_balancer_units,
    }

    enough = made(raised=raised)

    assert enough.asks == ()
    assert enough.warm_dollars == 0
    assert not any(one.is_reached(enough.load) for one in enough.ceilings)
    assert (enough.decisions_late, enough.lake_late) == (None, None)
    for name, value in raised.items():
        less = made(raised=raised | {name: value * 0.99})
        assert less.asks or less.warm_dollars, name


def test_a_cold_table_accepts_some_and_decides_them_later() -> None:
    cold = made()

    assert cold.accepted_at_most == 4_000
    assert cold.decisions_late is not None
    assert cold.decisions_late.ceiling.limit == "table_write_units"
    assert cold.decisions_late.seconds == pytest.approx(10 * (4_000 / (4_000 / 3) - 1))


def test_the_lake_lags_by_what_does_not_pass_while_people_click() -> None:
    late = made(rate=2_200, seconds=60).lake_late

    assert late is not None
    assert (late.ceiling.limit, late.seconds) == ("invocations_per_s", 60)


def test_a_limit_that_is_switched_off_is_no_limit() -> None:
    free = made(raised={"all": None})

    assert (free.first, free.warming, free.accepted_at_most) == (None, (), 20_000)


def test_seats_are_sold_one_transaction_after_the_other() -> None:
    assert made(seats=9_200).sold_out_after_s == 2
    assert made(rate=100, seats=500).sold_out_after_s == 5
    assert made(rate=100, seconds=1, seats=500).sold_out_after_s is None


def test_dollars_are_those_of_all_requests_and_of_an_hour_of_tasks() -> None:
    costs = {cost.what: cost for cost in made(seats=1_000_000).costs}

    assert costs["DynamoDB write units"].count == pytest.approx(200_000 * 7.04)
    assert costs["EventBridge events"].dollars == pytest.approx(0.20)
    assert costs["Fargate task hours"].count == 14
    assert made(seconds=7_200).costs[-1].count == 2 * 800


def test_what_is_warm_already_is_not_paid_again() -> None:
    cold, warm = made(), made(raised={"table_write_units": 60_040.0})

    assert cold.warm_dollars - warm.warm_dollars == pytest.approx(56_040 * 0.00065)
    assert warm.warming[0].dollars == pytest.approx(1_000 * 0.00065)


def test_more_tasks_than_the_template_allows_raise_its_maximum() -> None:
    deploy = made(rate=100_000).commands[0]

    assert f"--set WorkerMaxTasks={made(rate=100_000).needs.worker_tasks}" in deploy
    assert not any("MaxTasks" in part for part in made().commands[0])


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        ({"puts": 1.0}, "no limit 'puts'; there are partition_write_units"),
        ({"puts": 1.0}, "fargate_vcpus"),
        ({"fargate_vcpus": None}, "fargate_vcpus must be a number"),
        ({"fargate_vcpus": float("nan")}, "fargate_vcpus must be a number"),
        ({"put_events_per_s": float("inf")}, "put_events_per_s must be a number above 0"),
        ({"put_events_per_s": float("nan")}, "put_events_per_s must be a number above 0"),
        ({"table_write_units": 0.0}, "table_write_units must be a number above 0"),
    ],
)
def test_an_account_that_cannot_be_is_explained(
    raised: Mapping[str, float | None], text: str
) -> None:
    with pytest.raises(LimitError, match=text):
        AccountLimits.of(SEOUL, raised)


def test_what_is_needed_does_not_depend_on_the_account() -> None:
    assert made().needs == made(region="us-east-1").needs == capacity.needs(made().load)
