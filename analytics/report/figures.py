"""The report's charts, made from the evidence: which series, which axis, which marks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from analytics.report import charts, courses, scales
from analytics.report.charts import BarChart, LineChart, Mark, Series, Size
from analytics.report.courses import Figures, Gap, TimeAxis
from analytics.report.evidence import Evidence
from analytics.results import QueryResult

_MOST_COLUMNS: Final = {charts.WIDE: 340, charts.NARROW: 140}
_SECOND_MS: Final = 1_000
_LOG_FROM: Final = 40
"""A peak this many times the median makes a linear axis show the peak alone."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart drawn for wide and for narrow pages, with its legend."""

    title: str
    caption: str
    wide: str
    narrow: str
    legend: Sequence[tuple[str, str]]
    """The names of the series and their styles."""
    csv: Sequence[str]
    """The results that it shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    title: str
    caption: str
    names: Sequence[tuple[str, str]]
    values: Sequence[Figures]
    csv: Sequence[str]
    tick_text: Callable[[float], str]
    value_text: Callable[[float], str]
    marks: Sequence[Mark] = ()
    is_log: bool = False
    areas: Sequence[str] = ()
    """The styles of the series that are tinted."""
    weights: Figures | None = None
    """Decide the busiest step of a joined column; None: the highest value stands for it."""


def draw_all(evidence: Evidence) -> list[Figure]:
    """All charts of the report; none where nothing arrived."""
    courses_known = [
        evidence.course(name) for name in ("traffic", "throughput", "backlog", "delay_percentiles")
    ]
    axis = courses.axis_over(courses_known, 1 if evidence.is_fine else 60)
    if axis is None:
        return []
    lines = [
        _flow(evidence, axis),
        _backlog(evidence, axis),
        _delays(evidence, axis, "queue", "Queue delay"),
        _delays(evidence, axis, "e2e", "End-to-end delay"),
    ]
    drawn = [_draw(chart, axis) for chart in lines]
    return [*drawn, _histogram(evidence)]


def _flow(evidence: Evidence, axis: TimeAxis) -> _Lines:
    unit, short = ("second", "sec") if evidence.is_fine else ("minute", "min")
    traffic, throughput = evidence.course("traffic"), evidence.course("throughput")
    return _Lines(
        title=f"Traffic and throughput per {unit}",
        caption=(
            f"Requests by the {unit} they were queued in (queuedAt) and completed in (finishedAt), "
            "each request once."
        ),
        names=(("Traffic", "s1"), ("Throughput", "s2")),
        values=(
            courses.figures(traffic, f"traffic_per_{short}", axis, Gap.NOTHING_HAPPENED),
            courses.figures(throughput, f"throughput_per_{short}", axis, Gap.NOTHING_HAPPENED),
        ),
        csv=(traffic.name, throughput.name),
        areas=("s1",),
        tick_text=scales.short_count,
        value_text=scales.count_text,
    )


def _backlog(evidence: Evidence, axis: TimeAxis) -> _Lines:
    result = evidence.course("backlog")
    return _Lines(
        title="Backlog over time",
        caption="Arrivals minus completions: the requests that were waiting.",
        names=(("Backlog", "s3"),),
        areas=("s3",),
        values=(courses.figures(result, "backlog", axis, Gap.UNCHANGED),),
        csv=(result.name,),
        tick_text=scales.short_count,
        value_text=scales.count_text,
    )


def _delays(evidence: Evidence, axis: TimeAxis, delay: str, title: str) -> _Lines:
    result = evidence.course("delay_percentiles")
    overall = evidence.results["p95_delay_overall"].count(f"p95_{delay}_delay_ms")
    values = tuple(
        courses.figures(result, f"p{percentile}_{delay}_delay_ms", axis, Gap.UNKNOWN)
        for percentile in (50, 95, 99)
    )
    known = sorted(value for figures in values for value in figures if value is not None)
    is_log = bool(known) and known[-1] > _LOG_FROM * max(known[len(known) // 2], 1.0)
    return _Lines(
        title=f"{title} over time",
        caption=(
            f"Percentiles by the {'second' if evidence.is_fine else 'minute'} of queueing; "
            f"the dashed line is the p95 of the whole range"
            f"{'; the axis is logarithmic' if is_log else ''}."
        ),
        names=(("p50", "s1"), ("p95", "s2 strong"), ("p99", "s4")),
        values=values,
        csv=(result.name,),
        tick_text=scales.short_duration,
        value_text=scales.duration_text,
        marks=(Mark(overall, f"p95 {scales.duration_text(overall)}", "s2"),),
        weights=courses.figures(result, "line_count", axis, Gap.NOTHING_HAPPENED),
        is_log=is_log,
    )


def _draw(lines: _Lines, axis: TimeAxis) -> Figure:
    joined = courses.thinned(axis, _MOST_COLUMNS[charts.WIDE])
    note = ""
    if joined.step_s > axis.step_s:
        step = "second" if axis.step_s == 1 else "minute"
        which = "peak" if lines.weights is None else f"busiest {step}"
        note = f" Each column is the {which} of {scales.duration_text(joined.step_s * 1000)}."
    return Figure(
        title=lines.title,
        caption=lines.caption + note,
        wide=_draw_lines(lines, axis, charts.WIDE),
        narrow=_draw_lines(lines, axis, charts.NARROW),
        legend=lines.names,
        csv=lines.csv,
    )


def _draw_lines(lines: _Lines, axis: TimeAxis, size: Size) -> str:
    joined = courses.thinned(axis, _MOST_COLUMNS[size])

    def thin(values: Figures) -> Figures:
        if lines.weights is None:
            return courses.peaks(values, axis, joined)
        return courses.at_the_busiest(values, lines.weights, axis, joined)

    chart = LineChart(
        label=f"{lines.title}. {lines.caption}",
        axis=joined,
        series=[
            Series(name, style, thin(values), is_area=style in lines.areas)
            for (name, style), values in zip(lines.names, lines.values, strict=True)
        ],
        tick_text=lines.tick_text,
        value_text=lines.value_text,
        is_log=lines.is_log,
        marks=lines.marks,
    )
    return charts.draw_lines(chart, size)


def _histogram(evidence: Evidence) -> Figure:
    result = evidence.results["delay_histogram"]
    counts = {
        (str(delay), bucket): float(count)
        for delay, bucket, count in result.rows
        if isinstance(bucket, int) and isinstance(count, int)
    }
    starts = _bucket_starts(sorted({bucket for _, bucket in counts}))
    overall = evidence.results["p95_delay_overall"]
    marks = [
        _p95_mark(starts, overall.count(f"p95_{delay}_delay_ms"), name, style)
        for delay, name, style in (("queue", "queue", "s1"), ("e2e", "E2E", "s2"))
    ]
    title = "Histogram of both delays"
    caption = "Lines by delay; each bucket reaches to the next label. Dashed: the p95 of each."
    chart = BarChart(
        label=f"{title}. {caption}",
        buckets=[_bucket_text(start) for start in starts],
        series=[
            Series(name, style, tuple(counts.get((delay, start), 0.0) for start in starts))
            for delay, name, style in (("queue", "Queue delay", "s1"), ("e2e", "E2E delay", "s2"))
        ],
        tick_text=scales.short_count,
        value_text=scales.count_text,
        marks=marks,
    )
    return Figure(
        title=title,
        caption=caption,
        wide=charts.draw_bars(chart, charts.WIDE),
        narrow=charts.draw_bars(chart, charts.NARROW),
        legend=[(series.name, series.style) for series in chart.series],
        csv=(result.name,),
    )


def _p95_mark(starts: Sequence[int], value: int, name: str, style: str) -> Mark:
    return Mark(_position(starts, value), f"p95 {name} {scales.duration_text(value)}", style)


def _bucket_text(start_ms: int) -> str:
    if start_ms < 0:
        return "< 0"
    return f"{start_ms} ms" if start_ms < _SECOND_MS else f"{start_ms // _SECOND_MS} s"


def _bucket_starts(found: Sequence[int]) -> list[int]:
    """All steps of 1-2-5 from the first bucket found to the last, empty ones too."""
    steps = [-1, 0, *(n * 10**power for power in range(8) for n in (1, 2, 5))]
    return [step for step in steps if found and found[0] <= step <= found[-1]]


def _position(starts: Sequence[int], value: int) -> float:
    """Where a delay lies among the buckets, in buckets from the left."""
    at = max((n for n, start in enumerate(starts) if start <= value), default=0)
    if at + 1 >= len(starts):
        return at + 0.5
    begin, end = starts[at], starts[at + 1]
    return at + (value - begin) / (end - begin)


def peak(result: QueryResult) -> tuple[str, int]:
    """The instant (UTC) and the height of the highest row of a traffic or throughput result."""
    best = max(result.rows, key=lambda row: row[1] if isinstance(row[1], int) else 0)
    time, height = best
    return f"{time:%Y-%m-%d %H:%M:%S}", height if isinstance(height, int) else 0
