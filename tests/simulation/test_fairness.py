"""A run's fairness: what its stored requests add up to, and how it is reported."""

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from schema.items import RequestItem
from schema.states import Status
from simulation import catalog
from simulation.catalog import Wishes
from simulation.checks.fairness import Fairness, fairness
from simulation.outcome import Outcome
from simulation.report import document, html, page
from simulation.run import simulate
from simulation.scenario import Skew


def _request(at_ms: int, *, wins: bool, **changes: Any) -> RequestItem:
    values = {
        "request_id": f"r-{at_ms}-{wins}",
        "event_id": "event-1",
        "user_id": "u1",
        "event_type": "FIRST_COME",
        "status": Status.SUCCEEDED if wins else Status.REJECTED,
        "result_code": "SUCCESS" if wins else "REJECTED_CAPACITY",
        "queued_at_ms": at_ms,
    }
    return RequestItem(**{**values, **changes})


def _requests(won_ms: tuple[int, ...], lost_ms: tuple[int, ...], **changes: Any) -> list[Any]:
    won = [_request(at_ms, wins=True, **changes) for at_ms in won_ms]
    return won + [_request(at_ms, wins=False, **changes) for at_ms in lost_ms]


def test_the_last_seats_go_in_order_among_workers() -> None:
    wishes = Wishes(rate=4_000, seconds=0.5, seats=500, workers=4, ingests=2, limits={"all": None})

    outcome = simulate(catalog.scenario("flash", 1, wishes))

    assert outcome.violation is None, outcome.violation
    assert outcome.figures.fairness.winners == 500
    # Before workers stood in line, nearly all did. What is left: docs/simulation.md.
    assert outcome.figures.fairness.winners_overtaking <= 5


def test_winners_queued_after_the_first_loser_overtook_and_equal_times_did_not() -> None:
    found = fairness(_requests((10, 20, 30, 60), (20, 50, 70)))

    assert found == Fairness(
        winners=4, winners_overtaking=2, greatest_overtaking_ms=40, seats_out_of_turn=1
    )
    assert found.overtaking_share == 0.5


def test_each_event_has_an_order_of_its_own() -> None:
    found = fairness(
        [
            *_requests((25,), (10,)),
            *_requests((50,), (60,), event_id="event-2"),
            *_requests((99,), (1,), event_id="event-3", event_type="LOTTERY"),
        ]
    )

    assert found == Fairness(
        winners=2, winners_overtaking=1, greatest_overtaking_ms=15, seats_out_of_turn=1
    )


def test_without_losers_or_winners_nobody_overtook() -> None:
    nobody = Fairness(
        winners=0, winners_overtaking=0, greatest_overtaking_ms=0, seats_out_of_turn=0
    )

    assert fairness(_requests((10, 20), ())) == replace(nobody, winners=2)
    assert fairness(_requests((), (10, 20))) == nobody
    assert nobody.overtaking_share is None


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """More clicks than seats, and several workers."""
    return simulate(catalog.scenario("flash", 1, Wishes(rate=400, seconds=1, seats=200, workers=4)))


def _overtaken(outcome: Outcome) -> Outcome:
    found = Fairness(
        winners=200, winners_overtaking=50, greatest_overtaking_ms=1_500, seats_out_of_turn=7
    )
    return replace(outcome, figures=replace(outcome.figures, fairness=found))


def test_a_run_s_own_requests_are_counted(outcome: Outcome) -> None:
    found = outcome.figures.fairness

    assert found.winners == outcome.figures.seats_taken == 200
    assert found.seats_out_of_turn <= found.winners_overtaking <= found.winners


def test_the_text_names_the_share_the_time_and_the_clocks(outcome: Outcome) -> None:
    assert page.fairness_text(_overtaken(outcome)) == (
        "50 of 200 winners (25.0%) were queued after a loser, by 1.50 s at most; "
        "7 seats out of turn; ingest's clocks are right"
    )
    nobody = fairness(_requests((1,), (2,)))
    fair = replace(outcome, figures=replace(outcome.figures, fairness=nobody))
    assert page.fairness_text(fair) == (
        "no winner was queued after a loser; ingest's clocks are right"
    )


def test_of_the_clocks_only_those_of_ingest_count(outcome: Outcome) -> None:
    faults = (
        Skew(node="worker-1", offset_ms=9_000),
        Skew(node="ingest-1", offset_ms=300),
        Skew(node="ingest-1", offset_ms=-2_000, at_s=3.0),
    )
    wrong = replace(outcome, scenario=replace(outcome.scenario, faults=faults))

    assert page.fairness_text(wrong).endswith("ingest's clocks are up to 2.00 s wrong")
    assert document.of_run(wrong, "")["ingestSkewMs"] == 2_000
    assert document.of_run(outcome, "")["ingestSkewMs"] == 0


def test_terminal_page_and_json_say_it(outcome: Outcome) -> None:
    shown = _overtaken(outcome)
    console = Console(width=240, record=True, file=StringIO())
    page.show(console, shown)

    assert page.fairness_text(shown) in console.export_text()
    assert "50 of 200 winners (25.0%) were queued after a loser" in html.render(shown, "")
    found = document.of_run(shown, "")
    assert (found["winnersOvertaking"], found["winnersOvertakingShare"]) == (50, 0.25)
    assert (found["greatestOvertakingMs"], found["seatsOutOfTurn"]) == (1_500, 7)
