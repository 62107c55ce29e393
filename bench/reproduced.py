"""Whether a run reproduces the stored results: the worker's ratios here, beside those stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.contestants import (
    CELERY,
    LOAFER,
    NAIVE,
    OURS,
    OURS_NO_OP,
    OURS_ON_THE_SDK,
    TASKIQ,
    THREADS,
    Contestant,
)
from bench.measure import Measurement
from bench.report import Section, Table
from bench.worker import LATENCIES_MS, Results, cpu_us, floor_of, median_ratio, per_core

TOLERANCE: Final = 0.2
"""How far a ratio may be from the stored one, either way, to count as reproduced."""


@dataclass(frozen=True, slots=True)
class _Comparison:
    label: str
    ours: Contestant
    other: Contestant
    value: Callable[[Measurement], float]


_COMPARISONS: Final = (
    *(
        _Comparison(f"{ours.name}: messages per core, times {other.name}'s", ours, other, per_core)
        for ours in (OURS, OURS_ON_THE_SDK)
        for other in (NAIVE, THREADS)
    ),
    *(
        _Comparison(
            f"{ours.name}: processor time, times {ours.floor}'s",
            ours,
            floor_of(ours),
            cpu_us,
        )
        for ours in (OURS, OURS_ON_THE_SDK)
    ),
    *(
        _Comparison(
            f"{OURS_NO_OP.name}: messages per core, times {other.name}'s",
            OURS_NO_OP,
            other,
            per_core,
        )
        for other in (TASKIQ, CELERY, LOAFER)
    ),
)


def compared(section: Section, here: Sequence[Measurement], stored: Mapping[str, Any]) -> Section:
    """The section with a table that sets its ratios beside the stored ones."""
    there = Results([Measurement(**run) for run in stored["data"]])
    mine_all = Results(here)
    rows, far = [], []
    for latency_ms in LATENCIES_MS:
        for comparison in _COMPARISONS:
            mine = _ratio(mine_all, comparison, latency_ms)
            theirs = _ratio(there, comparison, latency_ms)
            if mine is None or theirs is None:
                continue
            label = f"{comparison.label} ({latency_ms:g} ms)"
            rows.append([label, f"{mine:,.2f}", f"{theirs:,.2f}", f"{mine / theirs:.2f}"])
            if not 1 - TOLERANCE <= mine / theirs <= 1 + TOLERANCE:
                far.append(label)
    if not rows:
        return section
    machine = stored["machine"]
    table = Table(
        f"Ratios beside those stored ({machine['processor']}, {stored['date']}, "
        f"commit {machine['commit']})",
        ["", "here", "stored", "here / stored"],
        rows,
    )
    verdict = f"- {len(rows) - len(far)} of {len(rows)} ratios are within {TOLERANCE:.0%}"
    verdict += f"; not: {'; '.join(far)}." if far else "."
    return replace(
        section,
        tables=[*section.tables, table],
        closing=[*section.closing, "### Reproduction of the stored results", verdict],
    )


def _ratio(results: Results, comparison: _Comparison, latency_ms: float) -> float | None:
    ours = results.of(comparison.ours, latency_ms)
    other = results.of(comparison.other, latency_ms)
    return median_ratio(ours, other, comparison.value) if ours and other else None
