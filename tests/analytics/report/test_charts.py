"""Axes, gaps and drawings: where things stand in a chart."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from analytics.report import charts, courses, scales
from analytics.report.charts import BarChart, LineChart, Mark, Series
from analytics.report.courses import Gap, TimeAxis
from analytics.results import Column, ColumnType, QueryResult, Row

NOON = int(datetime(2026, 1, 4, 12, tzinfo=UTC).timestamp())


def _result(*rows: Row) -> QueryResult:
    return QueryResult(
        name="r",
        columns=(
            Column("min_time", ColumnType.TIMESTAMP),
            Column("n", ColumnType.BIGINT),
        ),
        rows=rows,
        statement="",
        arguments=(),
        seconds=0.0,
    )


def _minute(number: int) -> datetime:
    return datetime.fromtimestamp(NOON + 60 * number, tz=UTC)


@pytest.mark.parametrize(
    ("largest", "ticks"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (7, [0, 2, 4, 6, 8]),
        (100, [0, 20, 40, 60, 80, 100]),
        (86_555, [0, 20_000, 40_000, 60_000, 80_000, 100_000]),
    ],
)
def test_linear_ticks_are_round_and_reach_the_largest(largest: float, ticks: list[float]) -> None:
    assert scales.linear_ticks(largest, 5) == ticks


@pytest.mark.parametrize(
    ("smallest", "largest", "ticks"),
    [
        (12, 90, [10, 100]),
        (0, 1, [1, 10]),
        (20, 45_000, [10, 100, 1_000, 10_000, 60_000]),
        (5e8, 5e9, [3.6e8, 3.6e9]),
    ],
)
def test_log_ticks_hold_the_values_in_round_durations(
    smallest: float, largest: float, ticks: list[float]
) -> None:
    assert scales.log_duration_ticks(smallest, largest) == ticks


def test_time_ticks_stand_on_round_instants() -> None:
    assert scales.time_ticks(NOON + 7, NOON + 67, 5) == [
        (NOON + 15, "12:00:15"),
        (NOON + 30, "12:00:30"),
        (NOON + 45, "12:00:45"),
        (NOON + 60, "12:01:00"),
    ]
    days = scales.time_ticks(NOON, NOON + 3 * 86_400, 4)
    assert [text for _, text in days] == ["05 Jan", "06 Jan", "07 Jan"]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (850, "850 ms"),
        (1_240, "1.24 s"),
        (45_600, "45.6 s"),
        (185_000, "3 min 5 s"),
        (120_000, "2 min"),
        (7_440_000, "2 h 4 min"),
        (-90_000, "-1 min 30 s"),
    ],
)
def test_a_duration_is_written_in_the_unit_that_reads_best(milliseconds: float, text: str) -> None:
    assert scales.duration_text(milliseconds) == text


def test_a_gap_means_nothing_the_same_or_unknown() -> None:
    result = _result((_minute(0), 5), (_minute(3), 2))
    axis = courses.axis_over([result], 60)
    assert axis == TimeAxis(NOON, 60, 4)
    assert courses.figures(result, "n", axis, Gap.NOTHING_HAPPENED) == (5, 0, 0, 2)
    assert courses.figures(result, "n", axis, Gap.UNCHANGED) == (5, 5, 5, 2)
    assert courses.figures(result, "n", axis, Gap.UNKNOWN) == (5, None, None, 2)


def test_results_without_rows_have_no_axis() -> None:
    assert courses.axis_over([_result()], 60) is None


def test_thinning_keeps_every_peak() -> None:
    axis = TimeAxis(NOON, 60, 10)
    values = (1.0, 9.0, None, 2.0, None, None, None, 3.0, 4.0, 5.0)
    joined = courses.thinned(axis, 4)
    assert joined == TimeAxis(NOON, 180, 4)
    assert courses.peaks(values, axis, joined) == (9.0, 2.0, 4.0, 5.0)
    assert courses.thinned(axis, 10) == axis


def test_thinning_percentiles_keeps_those_of_the_busiest_step() -> None:
    axis = TimeAxis(NOON, 60, 6)
    joined = courses.thinned(axis, 2)
    values = (900.0, 20.0, None, 5.0, None, 7.0)
    counts = (1.0, 50.0, 0.0, 3.0, 0.0, 9.0)
    assert courses.at_the_busiest(values, counts, axis, joined) == (20.0, 7.0)


def _points(drawing: str) -> list[list[tuple[float, float]]]:
    """The points of each unbroken line."""
    (path,) = re.findall(r'class="line s1" d="([^"]*)"', drawing)
    return [
        [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", part)]
        for part in path.split("M")[1:]
    ]


def test_a_line_stands_higher_for_more_and_breaks_where_nothing_is_known() -> None:
    chart = LineChart(
        label="A & B",
        axis=TimeAxis(NOON, 60, 6),
        series=[Series("a", "s1", (0.0, 10.0, None, 5.0, 5.0, None))],
        tick_text=scales.short_count,
        value_text=scales.count_text,
        marks=[Mark(10.0, "most", "s2")],
    )
    drawing = charts.draw_lines(chart, charts.WIDE)
    first, second = _points(drawing)
    assert len(first) == 2
    assert len(second) == 2
    (left, low), (right, high) = first
    assert left < right
    assert low > high
    assert second[0][1] == pytest.approx((low + high) / 2, abs=0.2)
    tree = ET.fromstring(drawing)  # noqa: S314 - our own text
    assert tree.get("aria-label") == "A & B"
    assert ">most</text>" in drawing
    assert "12:01" in drawing


def test_a_point_without_neighbours_is_a_dot() -> None:
    chart = LineChart(
        label="dots",
        axis=TimeAxis(NOON, 60, 3),
        series=[Series("a", "s1", (None, 10.0, None))],
        tick_text=scales.short_count,
        value_text=scales.count_text,
    )
    assert charts.draw_lines(chart, charts.NARROW).count("<circle") == 1


def test_bars_are_as_high_as_their_figures() -> None:
    chart = BarChart(
        label="bars",
        buckets=["0 ms", "1 ms", "2 ms"],
        series=[Series("a", "s1", (100.0, 50.0, 0.0))],
        tick_text=scales.short_count,
        value_text=scales.count_text,
        marks=[Mark(1.5, "p95", "s1")],
    )
    drawing = charts.draw_bars(chart, charts.WIDE)
    heights = [float(text) for text in re.findall(r'height="([\d.]+)"><title>', drawing)]
    assert heights[1] == pytest.approx(heights[0] / 2, abs=0.1)
    assert heights[2] == 0
    assert "a, from 1 ms: 50" in drawing
