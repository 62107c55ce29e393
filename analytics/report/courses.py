"""Results over time on one even axis: gaps filled as each figure means them, columns thinned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import TypeAlias

from analytics.results import QueryResult

Figures: TypeAlias = tuple[float | None, ...]


class Gap(Enum):
    """What an instant without a row means."""

    NOTHING_HAPPENED = auto()
    """A count: 0."""
    UNCHANGED = auto()
    """A level: as before, 0 at first."""
    UNKNOWN = auto()
    """A percentile of nothing: no value."""


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Even steps of seconds from a first instant (epoch seconds)."""

    first_s: int
    step_s: int
    steps: int

    @property
    def last_s(self) -> int:
        """The end of the last step."""
        return self.first_s + self.steps * self.step_s

    def instants_s(self) -> range:
        """The beginning of each step."""
        return range(self.first_s, self.last_s, self.step_s)


def axis_over(results: Sequence[QueryResult], step_s: int) -> TimeAxis | None:
    """The axis that holds the first column's times of all results; None where all are empty."""
    instants = [instant for result in results for instant in _instants_s(result)]
    if not instants:
        return None
    first, last = min(instants), max(instants)
    return TimeAxis(first, step_s, (last - first) // step_s + 1)


def figures(result: QueryResult, column: str, axis: TimeAxis, gap: Gap) -> Figures:
    """One column's values along the axis."""
    values = {
        instant: float(value) if isinstance(value, int | float) else None
        for instant, value in zip(_instants_s(result), result.column(column), strict=True)
    }
    along: list[float | None] = []
    level = 0.0
    for instant in axis.instants_s():
        value = values.get(instant)
        if value is not None:
            level = value
        elif gap is Gap.NOTHING_HAPPENED:
            value = 0.0
        elif gap is Gap.UNCHANGED:
            value = level
        along.append(value)
    return tuple(along)


def thinned(axis: TimeAxis, at_most: int) -> TimeAxis:
    """The axis with as many steps joined as it takes to have at most this many columns."""
    joined = -(-axis.steps // at_most)
    return TimeAxis(axis.first_s, axis.step_s * joined, -(-axis.steps // joined))


def peaks(values: Figures, before: TimeAxis, after: TimeAxis) -> Figures:
    """The highest value of each joined column, so that no peak is lost."""
    joined = after.step_s // before.step_s
    return tuple(
        max((v for v in values[at : at + joined] if v is not None), default=None)
        for at in range(0, len(values), joined)
    )


def at_the_busiest(values: Figures, counts: Figures, before: TimeAxis, after: TimeAxis) -> Figures:
    """The value of the step with the highest count in each joined column.

    A percentile of a few lines is chance: the highest of many of them means nothing.
    """
    joined = after.step_s // before.step_s
    chosen: list[float | None] = []
    for at in range(0, len(values), joined):
        busiest = max(range(at, min(at + joined, len(values))), key=lambda n: counts[n] or 0.0)
        chosen.append(values[busiest])
    return tuple(chosen)


def _instants_s(result: QueryResult) -> list[int]:
    times = result.column(result.columns[0].name)
    return [int(time.timestamp()) for time in times if isinstance(time, datetime)]
