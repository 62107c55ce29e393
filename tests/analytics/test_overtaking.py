"""Overtaking, as the lake counts it: by hand, and as the simulation counts it."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from analytics.local_engine import LocalEngine
from analytics.parameters import Parameters
from schema import events
from schema.items import RequestItem
from schema.states import Status
from simulation.checks.fairness import fairness
from tests.analytics.conftest import Make, line, ms

DAY = Parameters.parse("2026-01-04", "2026-01-04")
EIGHT = ms("2026-01-04T08:00:00")


async def _rows(lake: Path, parameters: Parameters = DAY) -> Sequence[tuple[Any, ...]]:
    async with LocalEngine(lake) as engine:
        return (await engine.run("overtaking", parameters)).rows


def _won(name: str, after_ms: int, **other: Any) -> bytes:
    return line(name, EIGHT + after_ms, EIGHT + 900, EIGHT + 900, **other)


def _lost(name: str, after_ms: int, **other: Any) -> bytes:
    decision = {"finalStatus": "REJECTED", "resultCode": "REJECTED_CAPACITY"}
    return _won(name, after_ms, **{**decision, **other})


async def test_winners_queued_after_the_first_loser_overtook_and_equal_times_did_not(
    make_lake: Make,
) -> None:
    lines = [
        *(_won(f"w-{at}", at) for at in (10, 20, 30, 60)),
        *(_lost(f"l-{at}", at) for at in (20, 50, 70)),
    ]
    assert await _rows(make_lake({"2026-01-04/08": lines})) == (
        ("event-1", 4, 2, 50.0, 40, 1),
        (None, 4, 2, 50.0, 40, 1),
    )


async def test_of_equal_times_the_winner_was_in_turn(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": [_lost("a-loser", 10), _won("winner", 10)]})
    assert (await _rows(lake))[0] == ("event-1", 1, 0, 0.0, 0, 0)


async def test_one_early_loser_is_overtaken_by_all_and_lost_one_seat(make_lake: Make) -> None:
    lines = [_lost("l-1", 0), _won("w-1", 5), _won("w-2", 5), _won("w-3", 7), _lost("l-2", 7)]
    rows = await _rows(make_lake({"2026-01-04/08": lines}))
    assert rows[0] == ("event-1", 3, 3, 100.0, 7, 1)


async def test_losers_of_another_event_are_not_overtaken_and_events_add_up(
    make_lake: Make,
) -> None:
    lines = [
        _lost("a-1", 10),
        _won("a-2", 25),
        _won("b-1", 50, eventId="event-2"),
        _lost("b-2", 60, eventId="event-2"),
        _lost("c-1", 1, eventId="event-3"),
        _won("d-1", 1, eventId="event-4"),
    ]
    lake = make_lake({"2026-01-04/08": lines})
    assert await _rows(lake) == (
        ("event-1", 1, 1, 100.0, 15, 1),
        ("event-2", 1, 0, 0.0, 0, 0),
        ("event-3", 0, 0, None, 0, 0),
        ("event-4", 1, 0, 0.0, 0, 0),
        (None, 3, 1, 33.33, 15, 1),
    )
    one = Parameters.parse("2026-01-04", "2026-01-04", "event-2")
    assert [row[:3] for row in await _rows(lake, one)] == [("event-2", 1, 0), (None, 1, 0)]


async def test_repeated_lines_count_once_and_failures_and_lotteries_not_at_all(
    make_lake: Make,
) -> None:
    failed = {"finalStatus": "FAILED_FINAL", "resultCode": "FAILED_WORKER"}
    lines = [
        _won("w-1", 30),
        _won("w-1", 30),
        _lost("l-1", 20),
        _lost("l-1", 20),
        _lost("f-1", 5, **failed),
        _won("n-1", 0, timestamps__queuedAt=None),
        _won("e-1", 99, eventType="LOTTERY"),
        _lost("f-2", 5, eventId="event-2", **failed),
        _won("w-2", 10, eventId="event-2"),
    ]
    rows = await _rows(make_lake({"2026-01-04/08": lines, "2026-01-04/09": [_won("w-1", 30)]}))
    assert rows[0] == ("event-1", 1, 1, 100.0, 10, 1)
    assert rows[1] == ("event-2", 1, 0, 0.0, 0, 0)


async def test_where_nobody_was_decided_there_is_no_row(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": [_won("e-1", 0, eventType="LOTTERY")]})
    assert await _rows(lake) == ()


def _drawn(chance: Random, number: int) -> RequestItem:
    wins = chance.random() < 0.4
    queued_ms = EIGHT + chance.randrange(60)
    return RequestItem(
        request_id=f"r-{number}",
        event_id=f"event-{chance.randrange(4)}",
        user_id=f"u-{number}",
        event_type=chance.choice(["FIRST_COME", "FIRST_COME", "LOTTERY"]),
        status=Status.SUCCEEDED if wins else Status.REJECTED,
        result_code="SUCCESS" if wins else "REJECTED_CAPACITY",
        queued_at_ms=queued_ms,
        started_at_ms=queued_ms,
        finished_at_ms=queued_ms,
        attempt=1,
        is_dlq=False,
        worker_id="worker-1",
    )


async def test_the_simulation_counts_as_the_lake_does(make_lake: Make) -> None:
    chance = Random(4)
    for size in (3, 40, 200):
        items = [_drawn(chance, number) for number in range(size)]
        published = (events.participation_processed(item, env="test") for item in items)
        lake = make_lake({"2026-01-04/08": map(events.encode, published)})
        found = fairness(items)
        total = (await _rows(lake))[-1]
        assert (total[1], total[2], *total[4:]) == (
            found.winners,
            found.winners_overtaking,
            found.greatest_overtaking_ms,
            found.seats_out_of_turn,
        )
        assert found.winners_overtaking > found.seats_out_of_turn > 0 or size < 40
