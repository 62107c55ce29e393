"""Axes for the charts: where ticks stand, and how figures, durations and times are written."""

import math
from datetime import UTC, datetime
from typing import Final

_NICE_STEPS: Final = (1, 2, 5, 10)
_TIME_STEPS_S: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10_800, 21_600, 43_200),
    *(86_400, 172_800, 604_800, 2_592_000),
)
_MINUTE_S: Final = 60
_DAY_S: Final = 86_400
_SECOND_MS: Final = 1_000
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_PRECISE_BELOW_S: Final = 10
_LOG_DURATIONS: Final = (
    *(1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000),
    *(360_000_000, 3_600_000_000),
)
_THOUSAND: Final = 1_000
_MILLION: Final = 1_000_000


def linear_ticks(largest: float, at_most: int) -> list[float]:
    """Round figures from 0 to the first at or above the largest value."""
    if largest <= 0:
        return [0.0, 1.0]
    rough = largest / at_most
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(n * magnitude for n in _NICE_STEPS if n * magnitude >= rough * (1 - 1e-9))
    # Counts and milliseconds are whole: a fraction of one means nothing.
    step = max(step, 1.0)
    return [number * step for number in range(math.ceil(largest / step - 1e-9) + 1)]


def log_duration_ticks(smallest: float, largest: float) -> list[float]:
    """Round durations (ms) around the values, each about ten times the one before."""
    first = max((at for at, tick in enumerate(_LOG_DURATIONS) if tick <= smallest), default=0)
    last = next(
        (at for at, tick in enumerate(_LOG_DURATIONS) if tick >= largest), len(_LOG_DURATIONS) - 1
    )
    return [float(tick) for tick in _LOG_DURATIONS[first : max(last, first + 1) + 1]]


def time_ticks(first_s: float, last_s: float, at_most: int) -> list[tuple[float, str]]:
    """Round instants (UTC) within a span of epoch seconds, with what to write at them."""
    span = max(last_s - first_s, 1.0)
    step = next((s for s in _TIME_STEPS_S if span / s <= at_most), _TIME_STEPS_S[-1])
    start = math.ceil(first_s / step) * step
    count = int((last_s - start) // step) + 1
    instants = [start + number * step for number in range(max(count, 0))]
    return [(float(instant), _clock(instant, step)) for instant in instants]


def _clock(instant_s: int, step_s: int) -> str:
    at = datetime.fromtimestamp(instant_s, tz=UTC)
    if instant_s % _DAY_S == 0:
        return f"{at:%d} {at:%b}"
    return f"{at:%H:%M:%S}" if step_s < _MINUTE_S else f"{at:%H:%M}"


def count_text(value: float) -> str:
    """A count in full, with thousands marked."""
    return f"{value:,.0f}"


def short_count(value: float) -> str:
    """A count for an axis: 1,500 as 1.5k."""
    for unit, letter in ((_MILLION, "M"), (_THOUSAND, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def duration_text(milliseconds: float) -> str:
    """A duration in the unit that reads best: 850 ms, 1.24 s, 3 min 5 s, 2 h 4 min."""
    size = abs(milliseconds)
    if size < _SECOND_MS:
        return f"{milliseconds:.0f} ms"
    if size < _MINUTE_MS:
        seconds = milliseconds / _SECOND_MS
        return f"{seconds:.2f} s" if abs(seconds) < _PRECISE_BELOW_S else f"{seconds:.1f} s"
    if size < _HOUR_MS:
        minutes, rest = divmod(round(size / _SECOND_MS), 60)
        return _signed(milliseconds, f"{minutes} min {rest} s" if rest else f"{minutes} min")
    hours, rest = divmod(round(size / _MINUTE_MS), 60)
    return _signed(milliseconds, f"{hours} h {rest} min" if rest else f"{hours} h")


def short_duration(milliseconds: float) -> str:
    """A duration for an axis: 0, 50 ms, 2 s, 5 min."""
    if milliseconds == 0:
        return "0"
    for unit, name in ((_HOUR_MS, "h"), (_MINUTE_MS, "min"), (_SECOND_MS, "s")):
        if milliseconds >= unit:
            return f"{milliseconds / unit:.3g} {name}"
    return f"{milliseconds:g} ms"


def _signed(value: float, text: str) -> str:
    return f"-{text}" if value < 0 else text


def instant_text(instant_s: float) -> str:
    """An instant in UTC, to the second."""
    return f"{datetime.fromtimestamp(instant_s, tz=UTC):%Y-%m-%d %H:%M:%S}"
