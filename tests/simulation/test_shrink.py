"""Shrinking: a scenario that fails for a known reason is made as small as that reason allows."""

from dataclasses import replace

from config.quotas import NO_LIMITS, Limits
from simulation.generator import draw
from simulation.scenario import EventPlan, Kill, Latencies, Load, Pause, Scenario, Stop
from simulation.settings import ingest_settings, worker_settings
from simulation.shrink import shrink

KILL = Kill(node="worker-1", at_s=3.0)
LARGE = Scenario(
    name="large",
    seed=7,
    events=(EventPlan(event_id="a", seats=10), EventPlan(event_id="b", seats=10)),
    load=Load(rate=100.0, seconds=1.0, impatience=0.5, foreign=0.1),
    workers=3,
    ingests=2,
    worker_settings={"pollers": 6, "max_in_flight": 10},
    ingest_settings={"coalesce_linger_ms": 20},
    limits=Limits(table_write_units=100.0, in_flight_messages=5),
    latencies=Latencies(sqs_s=1.0),
    faults=(
        Stop(node="worker-1", at_s=1.0),
        Pause(node="worker-2", at_s=2.0, for_s=1.0),
        KILL,
        Stop(node="worker-3", at_s=4.0),
    ),
    duplicate_delivery=0.3,
    unordered=True,
)


def test_what_fails_always_shrinks_to_nothing_but_a_click() -> None:
    smallest = shrink(LARGE, lambda _: True)
    assert smallest.faults == ()
    assert smallest.load.most_clicks == 1
    assert (smallest.workers, smallest.ingests) == (1, 1)
    assert len(smallest.events) == 1
    assert smallest.worker_settings == smallest.ingest_settings == {}
    assert smallest.limits == NO_LIMITS
    assert smallest.latencies == Latencies()
    assert smallest.duplicate_delivery == 0.0
    assert not smallest.unordered
    assert smallest.load.impatience == smallest.load.foreign == 0.0


def test_what_it_takes_to_fail_stays_and_nothing_else() -> None:
    def fails(scenario: Scenario) -> bool:
        return (
            KILL in scenario.faults
            and (scenario.load.most_clicks or 1_000) >= 23
            and scenario.worker_settings.get("max_in_flight") == 10
            and scenario.limits.in_flight_messages == 5
        )

    smallest = shrink(LARGE, fails)
    assert smallest.faults == (KILL,)
    assert smallest.load.most_clicks == 23
    assert smallest.worker_settings == {"max_in_flight": 10}
    assert smallest.limits == Limits(in_flight_messages=5)
    assert fails(smallest)


def test_a_node_that_a_fault_names_stays() -> None:
    smallest = shrink(LARGE, lambda scenario: LARGE.faults[3] in scenario.faults)
    assert smallest.workers == 3


def test_the_seed_and_the_name_stay() -> None:
    smallest = shrink(LARGE, lambda _: True)
    assert (smallest.seed, smallest.name) == (LARGE.seed, LARGE.name)


def test_shrinking_ends_after_the_given_number_of_runs() -> None:
    runs = 0

    def fails(_: Scenario) -> bool:
        nonlocal runs
        runs += 1
        return True

    shrink(LARGE, fails, most_runs=5)
    assert runs == 5


def test_what_cannot_be_made_smaller_is_returned_as_it_is() -> None:
    assert shrink(LARGE, lambda _: False) == LARGE


def test_the_generator_draws_equal_scenarios_for_equal_seeds_and_others_for_others() -> None:
    assert draw(3) == draw(3)
    assert replace(draw(3), seed=4) != draw(4)


def test_a_simpler_scenario_has_settings_that_the_programs_take() -> None:
    tried: list[Scenario] = []

    def fails(scenario: Scenario) -> bool:
        tried.append(scenario)
        return False

    for seed in range(40):
        shrink(draw(seed), fails)
    for scenario in tried:
        worker_settings(scenario.worker_settings, scenario.region, "any")
        ingest_settings(scenario.ingest_settings, scenario.region)
    assert any("shutdown_timeout_s" in scenario.worker_settings for scenario in tried)
