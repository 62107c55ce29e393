"""What the queries mean, on lakes small enough to count by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analytics.local_engine import LocalEngine
from analytics.parameters import Parameters
from analytics.validation import validate
from tests.analytics.conftest import Make, line, ms

DAY = Parameters.parse("2026-01-04", "2026-01-04")
BEFORE_MIDNIGHT = ms("2026-01-04T23:59:30")
EIGHT = ms("2026-01-04T08:00:00")


async def _rows(lake: Path, name: str, parameters: Parameters = DAY) -> Sequence[tuple[Any, ...]]:
    async with LocalEngine(lake) as engine:
        return (await engine.run(name, parameters)).rows


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def test_a_line_that_arrives_after_midnight_counts_by_arrival_and_by_event_time(
    make_lake: Make,
) -> None:
    crossed = line("r-1", BEFORE_MIDNIGHT, BEFORE_MIDNIGHT + 100, BEFORE_MIDNIGHT + 200)
    lake = make_lake({"2026-01-05/00": [crossed]})
    # By arrival it belongs to the 5th, with the minute of the 4th beside it.
    assert await _rows(lake, "traffic") == ()
    assert await _rows(lake, "traffic", Parameters.parse("2026-01-05", "2026-01-05")) == (
        ("2026-01-05", "00", _at("2026-01-04T23:59"), 1),
    )
    # By event time it belongs to the 4th, and to the 4th alone.
    assert await _rows(lake, "traffic_per_minute") == ((_at("2026-01-04T23:59"), 1),)
    assert (
        await _rows(lake, "traffic_per_minute", Parameters.parse("2026-01-05", "2026-01-05")) == ()
    )


async def test_a_file_begun_before_midnight_holds_lines_of_the_next_day(make_lake: Make) -> None:
    after = ms("2026-01-05T00:00:10")
    lake = make_lake({"2026-01-04/23": [line("r-1", after, after, after)]})
    fifth = Parameters.parse("2026-01-05", "2026-01-05")
    assert await _rows(lake, "throughput_per_minute", fifth) == ((_at("2026-01-05T00:00"), 1),)
    assert (await _rows(lake, "arrival_lag"))[0] == ("2026-01-04", "23", 1, 1, 0, 0, -1)


async def test_without_slack_a_late_line_is_outside(make_lake: Make) -> None:
    late = line("r-1", EIGHT, EIGHT, EIGHT)
    lake = make_lake({"2026-01-06/08": [late]})
    assert await _rows(lake, "traffic_per_minute") == ()
    wide = Parameters(dt_from=DAY.dt_from, dt_to=DAY.dt_to, slack_days=2)
    assert await _rows(lake, "traffic_per_minute", wide) == ((_at("2026-01-04T08:00"), 1),)


async def test_a_minute_has_a_row_for_each_hour_its_lines_arrived_in(make_lake: Make) -> None:
    lines = [line(f"r-{n}", EIGHT, EIGHT, EIGHT) for n in range(3)]
    lake = make_lake({"2026-01-04/08": lines[:2], "2026-01-04/11": lines[2:]})
    assert await _rows(lake, "traffic") == (
        ("2026-01-04", "11", _at("2026-01-04T08:00"), 1),
        ("2026-01-04", "08", _at("2026-01-04T08:00"), 2),
    )
    assert await _rows(lake, "traffic_per_minute") == ((_at("2026-01-04T08:00"), 3),)


async def test_a_repeated_line_counts_as_a_line_but_not_as_a_request(make_lake: Make) -> None:
    one, other = (line(f"r-{n}", EIGHT, EIGHT, EIGHT + 5) for n in (1, 2))
    lake = make_lake({"2026-01-04/08": [one, one, other], "2026-01-04/09": [one]})
    totals = (await _rows(lake, "totals"))[0]
    assert totals[:5] == (4, 0, 2, 2, 1)
    assert (await _rows(lake, "traffic_per_second")) == ((_at("2026-01-04T08:00"), 2),)
    assert await _rows(lake, "duplicate_publications") == ((1, 1, 0, 0), (3, 1, 2, 0))
    assert (await _rows(lake, "seats"))[0][1] == 2


async def test_a_malformed_line_is_counted_everywhere_it_can_be(make_lake: Make) -> None:
    good = line("r-1", EIGHT, EIGHT, EIGHT)
    lake = make_lake({"2026-01-04/08": [good, b"{broken", b"\xff\xfe", b"[]"]})
    assert (await _rows(lake, "totals"))[0][:3] == (4, 3, 1)
    assert await _rows(lake, "malformed_lines") == (("2026-01-04", "08", 3),)
    assert await _rows(lake, "missing_timestamps") == ((3,),)
    assert (await _rows(lake, "traffic"))[-1] == ("2026-01-04", "08", None, 3)
    assert await _rows(lake, "result_distribution") == (
        (None, None, 3, 75.0),
        ("SUCCESS", False, 1, 25.0),
    )
    # Nobody knows whose event a malformed line was, so it stays in the totals of each.
    one = Parameters.parse("2026-01-04", "2026-01-04", "event-1")
    assert (await _rows(lake, "totals", one))[0][:3] == (4, 3, 1)


async def test_the_ratio_has_two_digits(make_lake: Make) -> None:
    lines = [
        line(f"r-{n}", EIGHT, EIGHT, EIGHT, resultCode="REJECTED_CAPACITY" if n else "SUCCESS")
        for n in range(3)
    ]
    rows = await _rows(make_lake({"2026-01-04/08": lines}), "result_distribution")
    assert [row[3] for row in rows] == [66.67, 33.33]


async def test_the_percentiles_are_exact(make_lake: Make) -> None:
    lines = [line(f"r-{n}", EIGHT, EIGHT + n, EIGHT + 2 * n) for n in range(1, 101)]
    rows = await _rows(make_lake({"2026-01-04/08": lines}), "p95_delay")
    assert rows == (("event-1", 95, 190),)


async def test_negative_delays_and_missing_times_are_found(make_lake: Make) -> None:
    lake = make_lake(
        {
            "2026-01-04/08": [
                line("r-1", EIGHT, EIGHT - 1, EIGHT),
                line("r-2", EIGHT, EIGHT, EIGHT - 1),
                line("r-3", EIGHT, EIGHT, EIGHT, timestamps__startedAt=None),
                line("r-4", EIGHT, EIGHT, EIGHT),
            ]
        }
    )
    assert await _rows(lake, "negative_delays") == ((2,),)
    assert await _rows(lake, "missing_timestamps") == ((1,),)
    async with LocalEngine(lake) as engine:
        validation = await validate(engine, DAY)
    assert not validation.passed
    assert {check.name: check.violations for check in validation.checks} == {
        "No negative delay": 2,
        "No missing timestamp": 1,
        "No malformed line": 0,
        "One decision per request": 0,
    }


async def test_two_decisions_of_one_request_are_a_violation(make_lake: Make) -> None:
    lake = make_lake(
        {
            "2026-01-04/08": [
                line("r-1", EIGHT, EIGHT, EIGHT),
                line("r-1", EIGHT, EIGHT, EIGHT, finalStatus="REJECTED"),
            ]
        }
    )
    async with LocalEngine(lake) as engine:
        validation = await validate(engine, DAY)
    assert [check.name for check in validation.checks if not check.passed] == [
        "One decision per request"
    ]


async def test_a_seat_beyond_the_capacity_is_a_violation(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": [line(f"r-{n}", EIGHT, EIGHT, EIGHT) for n in range(3)]})
    async with LocalEngine(lake) as engine:
        verdicts = [
            (await validate(engine, Parameters(dt_from=DAY.dt_from, dt_to=DAY.dt_to, capacity=n)))
            for n in (2, 3)
        ]
    assert [verdict.passed for verdict in verdicts] == [False, True]
    assert verdicts[0].checks[-1].violations == 1


async def test_an_empty_range_proves_nothing(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": [line("r-1", EIGHT, EIGHT, EIGHT)]})
    async with LocalEngine(lake) as engine:
        validation = await validate(engine, Parameters.parse("2026-02-01", "2026-02-02"))
    assert all(check.passed for check in validation.checks)
    assert not validation.passed
    assert validation.notes == ("No line arrived between 2026-02-01 and 2026-02-02 (UTC).",)


async def test_the_backlog_holds_what_was_queued_before_the_range(make_lake: Make) -> None:
    yesterday = ms("2026-01-03T23:59:00")
    lake = make_lake(
        {
            "2026-01-04/00": [
                line("r-1", yesterday, yesterday, ms("2026-01-04T00:02:10")),
                line("r-2", ms("2026-01-04T00:01:00"), EIGHT, ms("2026-01-04T00:02:20")),
                line("r-0", yesterday, yesterday, yesterday + 1),
            ]
        }
    )
    assert await _rows(lake, "backlog_per_minute") == (
        (_at("2026-01-04T00:00"), 0, 0, 1),
        (_at("2026-01-04T00:01"), 1, 0, 2),
        (_at("2026-01-04T00:02"), 0, 2, 0),
    )


async def test_a_message_nobody_could_read_is_a_failure_of_its_own(make_lake: Make) -> None:
    unread = line(
        None,
        EIGHT,
        EIGHT,
        EIGHT,
        eventId=None,
        eventType=None,
        finalStatus="FAILED_FINAL",
        resultCode="FAILED_VALIDATION",
        failure__failureClass="NON_RETRYABLE",
        failure__errorCode="BODY_NOT_JSON",
        failure__errorMessage="unexpected end",
    )
    decided_later = line("r-1", EIGHT, EIGHT, EIGHT + 9)
    misread_first = line(
        "r-1",
        EIGHT,
        EIGHT,
        EIGHT,
        eventType=None,
        finalStatus="FAILED_FINAL",
        resultCode="FAILED_VALIDATION",
    )
    lake = make_lake({"2026-01-04/08": [unread, unread, misread_first, decided_later]})
    assert await _rows(lake, "failure_causes") == (
        ("FAILED_VALIDATION", "NON_RETRYABLE", "BODY_NOT_JSON", 2, "unexpected end"),
    )
    assert (await _rows(lake, "totals"))[0][:4] == (4, 0, 3, 1)
    assert await _rows(lake, "retries") == ((1, 3, 100.0, 0, 2),)
    async with LocalEngine(lake) as engine:
        assert (await validate(engine, DAY)).passed


async def test_an_attempt_above_one_is_a_retry(make_lake: Make) -> None:
    lines = [
        line(f"r-{n}", EIGHT, EIGHT, EIGHT, delivery__attempt=attempt, delivery__isDlq=attempt > 2)
        for n, attempt in enumerate([1, 1, 1, 2, 3])
    ]
    assert await _rows(make_lake({"2026-01-04/08": lines}), "retries") == (
        (1, 3, 60.0, 0, 0),
        (2, 1, 20.0, 0, 0),
        (3, 1, 20.0, 1, 0),
    )
    assert await _rows(make_lake({"2026-01-04/08": lines}), "dlq_share") == ((5, 1, 20.0),)


async def test_a_day_begins_with_its_midnight_and_ends_before_the_next(make_lake: Make) -> None:
    midnights = [ms(f"2026-01-0{day}T00:00:00") for day in (4, 5)]
    lake = make_lake(
        {
            "2026-01-04/00": [line("r-1", midnights[0], midnights[0], midnights[0])],
            "2026-01-05/00": [line("r-2", midnights[1], midnights[1], midnights[1])],
        }
    )
    first = _at("2026-01-04T00:00")
    assert await _rows(lake, "traffic_per_minute") == ((first, 1),)
    assert await _rows(lake, "throughput_per_second") == ((first, 1),)
    assert await _rows(lake, "backlog_per_minute") == ((first, 1, 1, 0),)
    assert len(await _rows(lake, "delay_percentiles_per_minute")) == 1
