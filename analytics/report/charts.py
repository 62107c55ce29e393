"""Charts as inline SVG: lines over time and bars by bucket, drawn without any library."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from analytics.report import scales
from analytics.report.courses import Figures, TimeAxis

_DOT_RADIUS: Final = 2.2
_LEFT: Final = 56
_RIGHT: Final = 14
_TOP: Final = 18
_BOTTOM: Final = 30
_TICK_GAP: Final = 6
_BASELINE_SHIFT: Final = 4
_X_TICK_WIDTH: Final = 78
_Y_TICK_HEIGHT: Final = 42
_LABEL_WIDTH: Final = 46
_HOVER_COLUMNS: Final = 200


@dataclass(frozen=True, slots=True)
class Size:
    """A chart's size in its own units; one unit is about a pixel where it is shown."""

    width: int
    height: int

    @property
    def plot_width(self) -> int:
        """The width between the axes' labels."""
        return self.width - _LEFT - _RIGHT

    @property
    def plot_height(self) -> int:
        """The height between the axes' labels."""
        return self.height - _TOP - _BOTTOM


WIDE: Final = Size(760, 250)
NARROW: Final = Size(350, 230)


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one set of bars; the style is a class of the page's style sheet."""

    name: str
    style: str
    values: Figures
    is_area: bool = False
    """Whether the space below the line is tinted."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure to be pointed out by a dashed line across the chart."""

    value: float
    text: str
    style: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """Lines over time."""

    label: str
    """What the chart shows, for those who cannot see it."""
    axis: TimeAxis
    series: Sequence[Series]
    tick_text: Callable[[float], str]
    value_text: Callable[[float], str]
    is_log: bool = False
    """A logarithmic axis of durations in ms."""
    marks: Sequence[Mark] = ()
    instant_text: Callable[[float], str] = scales.instant_text


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """Bars side by side in named buckets; a mark's value is a position in buckets."""

    label: str
    buckets: Sequence[str]
    series: Sequence[Series]
    tick_text: Callable[[float], str]
    value_text: Callable[[float], str]
    marks: Sequence[Mark] = ()


@dataclass(frozen=True, slots=True)
class _ValueScale:
    ticks: Sequence[float]
    is_log: bool
    size: Size

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        if self.is_log:
            value, low, high = (math.log10(max(v, self.ticks[0])) for v in (value, low, high))
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return _TOP + self.size.plot_height * (1 - share)


def draw_lines(chart: LineChart, size: Size) -> str:
    """Draw lines over time."""
    known = [v for series in chart.series for v in series.values if v is not None]
    known += [mark.value for mark in chart.marks]
    scale = _ValueScale(_value_ticks(known, size, is_log=chart.is_log), chart.is_log, size)

    def x(instant_s: float) -> float:
        share = (instant_s - chart.axis.first_s) / (chart.axis.last_s - chart.axis.first_s)
        return _LEFT + size.plot_width * share

    middles = [x(instant + chart.axis.step_s / 2) for instant in chart.axis.instants_s()]
    parts = _grid(scale, chart.tick_text)
    ticks = scales.time_ticks(
        chart.axis.first_s, chart.axis.last_s, size.plot_width // _X_TICK_WIDTH
    )
    parts += [_x_label(x(instant), text, size) for instant, text in ticks]
    for series in chart.series:
        points = [
            None if value is None else (at, scale.y(value))
            for at, value in zip(middles, series.values, strict=True)
        ]
        parts.append(_line(points, series.style, scale.y(0) if series.is_area else None))
    for mark in chart.marks:
        parts.append(_level(scale.y(mark.value), mark, size))
    parts += _hover_columns(chart, middles, size)
    return _svg(parts, chart.label, size)


def draw_bars(chart: BarChart, size: Size) -> str:
    """Draw bars by bucket."""
    known = [v for series in chart.series for v in series.values if v is not None]
    scale = _ValueScale(_value_ticks(known, size, is_log=False), is_log=False, size=size)
    slot = size.plot_width / max(len(chart.buckets), 1)
    thickness = slot * 0.8 / max(len(chart.series), 1)
    every = math.ceil(_LABEL_WIDTH / slot)
    parts = _grid(scale, chart.tick_text)
    for at, bucket in enumerate(chart.buckets):
        left = _LEFT + slot * at
        if at % every == 0:
            parts.append(_x_label(left, bucket, size))
        for number, series in enumerate(chart.series):
            value = series.values[at] or 0.0
            top = scale.y(value)
            bar_left = left + slot * 0.1 + number * thickness
            text = escape(f"{series.name}, from {bucket}: {chart.value_text(value)}")
            parts.append(
                f'<rect class="bar {series.style}" x="{bar_left:.1f}" '
                f'y="{top:.1f}" width="{thickness:.1f}" height="{scale.y(0) - top:.1f}">'
                f"<title>{text}</title></rect>"
            )
    for number, mark in enumerate(chart.marks):
        parts.append(_upright(_LEFT + slot * mark.value, mark, number, size))
    return _svg(parts, chart.label, size)


def _value_ticks(known: Sequence[float], size: Size, *, is_log: bool) -> list[float]:
    largest = max(known, default=0.0)
    if is_log:
        return scales.log_duration_ticks(min(known, default=1.0), largest)
    return scales.linear_ticks(largest, size.plot_height // _Y_TICK_HEIGHT)


def _svg(parts: Sequence[str], label: str, size: Size) -> str:
    return (
        f'<svg viewBox="0 0 {size.width} {size.height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(scale: _ValueScale, tick_text: Callable[[float], str]) -> list[str]:
    right = scale.size.width - _RIGHT
    parts = []
    for tick in scale.ticks:
        y = scale.y(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - _TICK_GAP}" y="{y + _BASELINE_SHIFT:.1f}" '
            f'text-anchor="end">{escape(tick_text(tick))}</text>'
        )
    return parts


def _x_label(x: float, text: str, size: Size) -> str:
    foot = size.height - _BOTTOM
    # A label that would leave the picture on the right ends under its tick.
    anchor = "end" if x > size.width - _LABEL_WIDTH / 2 else "middle"
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{foot}" y2="{foot + _BASELINE_SHIFT}"/>'
        f'<text class="tick" x="{x:.1f}" y="{size.height - 10}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _line(points: Sequence[tuple[float, float] | None], style: str, tinted_to: float | None) -> str:
    """A path broken where values are unknown; a point with no neighbour becomes a dot."""
    commands: list[str] = []
    dots: list[str] = []
    for at, point in enumerate(points):
        if point is None:
            continue
        x, y = point
        before = points[at - 1] if at else None
        after = points[at + 1] if at + 1 < len(points) else None
        commands.append(f"{'M' if before is None else 'L'}{x:.1f} {y:.1f}")
        if before is None and after is None:
            dots.append(
                f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{_DOT_RADIUS}"/>'
            )
    path = " ".join(commands)
    area = ""
    known = [point for point in points if point is not None]
    if tinted_to is not None and known:
        foot = f"L{known[-1][0]:.1f} {tinted_to:.1f} L{known[0][0]:.1f} {tinted_to:.1f} Z"
        area = f'<path class="area {style}" d="{path} {foot}"/>'
    return f'{area}<path class="line {style}" d="{path}"/>{"".join(dots)}'


def _level(y: float, mark: Mark, size: Size) -> str:
    right = size.width - _RIGHT
    return (
        f'<line class="mark {mark.style}" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="mark-text" x="{right}" y="{y - _BASELINE_SHIFT:.1f}" text-anchor="end">'
        f"{escape(mark.text)}</text>"
    )


def _upright(x: float, mark: Mark, number: int, size: Size) -> str:
    # Text that would leave the picture on the right stands on the left of its line.
    is_late = x > _LEFT + size.plot_width * 0.6
    anchor, shift = ("end", -_BASELINE_SHIFT) if is_late else ("start", _BASELINE_SHIFT)
    top = _TOP + 10 + number * 15
    return (
        f'<line class="mark {mark.style}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" '
        f'y2="{size.height - _BOTTOM}"/>'
        f'<text class="mark-text" x="{x + shift:.1f}" y="{top}" text-anchor="{anchor}">'
        f"{escape(mark.text)}</text>"
    )


def _hover_columns(chart: LineChart, middles: Sequence[float], size: Size) -> list[str]:
    """Unseen columns that show their figures to a pointer; none where they would be too thin."""
    if not 0 < len(middles) <= _HOVER_COLUMNS:
        return []
    width = size.plot_width / len(middles)
    parts = []
    for at, instant in enumerate(chart.axis.instants_s()):
        figures = [
            f"{series.name}: {chart.value_text(value)}"
            for series in chart.series
            if (value := series.values[at]) is not None
        ]
        text = escape(" · ".join([chart.instant_text(instant), *figures]))
        parts.append(
            f'<rect class="hover" x="{middles[at] - width / 2:.1f}" y="{_TOP}" '
            f'width="{width:.1f}" height="{size.plot_height}"><title>{text}</title></rect>'
        )
    return parts
