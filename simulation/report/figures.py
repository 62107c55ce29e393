"""The charts of a run's page, second by second."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from analytics.report import charts, courses, scales
from analytics.report.charts import LineChart, Series, Size
from analytics.report.courses import TimeAxis
from simulation.outcome import Decision, Outcome
from simulation.report import summary
from simulation.report.summary import Percentiles

_MOST_COLUMNS: Final = {charts.WIDE: 340, charts.NARROW: 140}
_STYLES: Final = ("s1", "s2", "s3", "s4")


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart drawn for wide and for narrow pages, with its legend."""

    title: str
    caption: str
    wide: str
    narrow: str
    legend: Sequence[tuple[str, str]]
    """The names of the series and their styles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    title: str
    caption: str
    series: Sequence[Series]
    tick_text: Callable[[float], str] = scales.short_count
    value_text: Callable[[float], str] = scales.count_text


def draw_all(outcome: Outcome) -> Sequence[Figure]:
    """All charts; none of a run that ended within its first second."""
    seconds = outcome.figures.seconds
    if not seconds:
        return ()
    # Each column ends at the time that stands under it.
    axis = TimeAxis(1, 1, len(seconds))
    lines = [_flow(outcome), _backlog(outcome)]
    for title, delay_s in (("Queue delay", _queue), ("End-to-end delay", _e2e)):
        lines.append(_delays(outcome, axis, title, delay_s))
    if outcome.figures.throttles:
        lines.append(_throttles(outcome))
    return [_draw(chart, axis) for chart in lines]


def _flow(outcome: Outcome) -> _Lines:
    seconds = outcome.figures.seconds
    totals = {
        "Clicks": [second.clicks for second in seconds],
        "Accepted": [second.accepted for second in seconds],
        "Decided": [second.decided for second in seconds],
        "Published": [second.published for second in seconds],
    }
    return _Lines(
        title="Clicks, decisions and events a second",
        caption="People's first clicks, requests answered 202, final decisions, events accepted.",
        series=[
            Series(name, style, _floats(summary.per_second(total)), is_area=name == "Clicks")
            for (name, total), style in zip(totals.items(), _STYLES, strict=True)
        ],
    )


def _backlog(outcome: Outcome) -> _Lines:
    seconds = outcome.figures.seconds
    return _Lines(
        title="Messages",
        caption="What waits in the queue, and what workers have received and not yet deleted.",
        series=[
            Series("Waiting", "s3", _floats([second.waiting for second in seconds]), is_area=True),
            Series("In flight", "s2", _floats([second.in_flight for second in seconds])),
        ],
    )


def _delays(
    outcome: Outcome, axis: TimeAxis, title: str, delay_s: Callable[[Decision], float]
) -> _Lines:
    by_second: defaultdict[int, list[float]] = defaultdict(list)
    for decision in outcome.figures.decisions:
        by_second[int(decision.queued_at_s) + 1].append(delay_s(decision))
    found = [summary.percentiles(by_second.get(at, ())) for at in axis.instants_s()]

    def values_ms(of: Callable[[Percentiles], float]) -> tuple[float | None, ...]:
        return tuple(None if each is None else of(each) * 1000 for each in found)

    return _Lines(
        title=title,
        caption="Percentiles by the second of queueing.",
        series=[
            Series("p50", "s1", values_ms(lambda each: each.p50_s)),
            Series("p95", "s2 strong", values_ms(lambda each: each.p95_s)),
            Series("p99", "s4", values_ms(lambda each: each.p99_s)),
        ],
        tick_text=scales.short_duration,
        value_text=scales.duration_text,
    )


def _queue(decision: Decision) -> float:
    return decision.queue_delay_s


def _e2e(decision: Decision) -> float:
    return decision.e2e_delay_s


def _throttles(outcome: Outcome) -> _Lines:
    seconds = outcome.figures.seconds
    shown = summary.bindings(outcome.figures)[: len(_STYLES)]
    return _Lines(
        title="Refused or left waiting by a limit, a second",
        caption="The limits that bound, the first one first.",
        series=[
            Series(
                f"{binding.limit} of {binding.resource}",
                style,
                _floats(summary.per_second([s.throttles.get(binding.name, 0) for s in seconds])),
            )
            for binding, style in zip(shown, _STYLES, strict=False)
        ],
    )


def _floats(counts: Sequence[int]) -> tuple[float, ...]:
    return tuple(map(float, counts))


def _draw(lines: _Lines, axis: TimeAxis) -> Figure:
    return Figure(
        title=lines.title,
        caption=lines.caption,
        wide=_draw_lines(lines, axis, charts.WIDE),
        narrow=_draw_lines(lines, axis, charts.NARROW),
        legend=[(series.name, series.style) for series in lines.series],
    )


def _draw_lines(lines: _Lines, axis: TimeAxis, size: Size) -> str:
    joined = courses.thinned(axis, _MOST_COLUMNS[size])
    chart = LineChart(
        label=f"{lines.title}. {lines.caption}",
        axis=joined,
        series=[
            Series(
                series.name,
                series.style,
                courses.peaks(series.values, axis, joined),
                is_area=series.is_area,
            )
            for series in lines.series
        ],
        tick_text=lines.tick_text,
        value_text=lines.value_text,
        instant_text=lambda instant_s: f"second {instant_s:.0f}",
    )
    return charts.draw_lines(chart, size)
