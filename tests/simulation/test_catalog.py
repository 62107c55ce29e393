"""Scenarios by name and in files: all hold, wishes are met, and mistakes are explained."""

from dataclasses import replace
from pathlib import Path

import pytest

from config.quotas import Limits
from simulation import catalog, generator, saved
from simulation.catalog import CATALOG, ScenarioError, Wishes
from simulation.run import simulate
from simulation.scenario import Outage, Service

SMALL = Wishes(rate=40, seconds=2, seats=30)


@pytest.mark.parametrize("name", [name for name in CATALOG if name != generator.NAME])
def test_every_scenario_holds_and_decides_all(name: str) -> None:
    outcome = simulate(catalog.scenario(name, 1, SMALL))

    assert outcome.violation is None, outcome.violation
    assert outcome.figures.decided >= outcome.figures.accepted > 0
    assert outcome.figures.seats_taken == 30


def test_a_table_that_bears_no_full_transaction_sells_all_its_seats() -> None:
    limits = {"all": None, "table_write_units": 50.0, "index_write_units": 50.0}
    wishes = Wishes(rate=200, seconds=1, seats=150, workers=1, limits=limits)

    outcome = simulate(catalog.scenario("flash", 1, wishes))

    assert outcome.violation is None, outcome.violation
    assert outcome.figures.seats_taken == 150
    assert 1 < outcome.figures.last_seat_s < outcome.figures.last_decision_s


def test_wishes_replace_what_a_scenario_has() -> None:
    wishes = Wishes(rate=10, seconds=3, seats=5, region="us-east-1", workers=4, ingests=5)

    made = catalog.scenario("flash", 9, wishes)

    assert (made.seed, made.load.rate, made.load.seconds) == (9, 10, 3)
    assert (made.workers, made.ingests, made.events[0].seats) == (4, 5, 5)
    assert made.limits == Limits.of("us-east-1")


def test_the_rate_decides_how_many_tasks_there_are() -> None:
    made = catalog.scenario("flash", 1, Wishes(rate=20_000))

    assert (made.workers, made.ingests) == (7, 7)


def test_a_limit_is_replaced_or_switched_off() -> None:
    limits = {"put_events_per_s": 7.0, "table_write_units": None, "in_flight_messages": 50.0}

    made = catalog.scenario("flash", 1, Wishes(limits=limits)).limits

    assert (made.put_events_per_s, made.table_write_units) == (7, None)
    assert isinstance(made.in_flight_messages, int)
    assert made.partition_write_units == 1_000


def test_the_command_of_a_scenario_makes_the_same_one_again() -> None:
    wishes = Wishes(rate=2.5, region="us-east-1", limits={"put_events_per_s": None})

    assert catalog.command("flash", 3, wishes) == (
        "participation simulate flash --seed 3 --rate 2.5 --region us-east-1 "
        "--limit put_events_per_s=none"
    )


@pytest.mark.parametrize(
    ("name", "wishes", "text"),
    [
        ("flesh", Wishes(), "no scenario 'flesh'; there are flash, outage"),
        ("flash", Wishes(region="moon-1"), "quotas of 'moon-1' are not known"),
        ("flash", Wishes(limits={"puts": 1}), "no limit 'puts'; there are partition_write_units"),
        ("flash", Wishes(limits={"put_events_per_s": 0}), "must be a number above 0"),
        ("random", Wishes(rate=5), "the seed alone decides"),
    ],
)
def test_what_cannot_be_made_is_explained(name: str, wishes: Wishes, text: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        catalog.scenario(name, 1, wishes)

    assert text in str(raised.value)


@pytest.mark.parametrize("seed", range(1, 30))
def test_a_file_holds_all_of_a_scenario(seed: int, tmp_path: Path) -> None:
    made = generator.draw(seed)

    saved.write(made, tmp_path / "new" / "scenario.json")

    assert saved.read(tmp_path / "new" / "scenario.json") == made


def test_an_endless_fault_survives_its_file(tmp_path: Path) -> None:
    made = catalog.scenario("outage", 1, Wishes())
    away = Outage(service=Service.EVENTS, from_s=1.0, until_s=float("inf"))
    endless = replace(made, faults=(away,))

    saved.write(endless, tmp_path / "scenario.json")

    assert saved.read(tmp_path / "scenario.json") == endless


@pytest.mark.parametrize(
    ("content", "text"),
    [("{", "holds no scenario"), ('{"name": "x"}', "holds no scenario: seed")],
)
def test_a_file_without_a_scenario_is_explained(content: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(ScenarioError, match=text):
        saved.read(path)


def test_a_file_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file"):
        saved.read(tmp_path / "none.json")
