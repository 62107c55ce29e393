"""How a load is shown: a line while it lasts, a page or JSON at its end."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from operations.load.tally import LATE_MS, NO_ANSWER, Latencies, Result

if TYPE_CHECKING:
    from operations.load.generator import Course

_PLAIN_EVERY = 5
"""Seconds between two lines where nobody watches."""


class Line:
    """How the load stands, on standard error: one line on a terminal, else one now and then."""

    def __init__(self) -> None:
        self._is_watched = sys.stderr.isatty()
        self._ticks = 0

    def show(self, course: "Course") -> None:
        """Show how it stands now; the percentiles are those of the time since the last line."""
        self._ticks += 1
        if not self._is_watched and self._ticks % _PLAIN_EVERY:
            return
        tally, recent = course.tally, course.tally.recent()
        times = f"p50 {recent.p50:,.0f} p99 {recent.p99:,.0f} ms" if recent else "no answers"
        text = (
            f"{course.seconds:5.0f} s  {course.sent:,} sent  {by_status(tally.by_status)}  "
            f"{times}  {course.late:,} late"
        )
        sys.stderr.write(f"\r{text}\x1b[K" if self._is_watched else f"{text}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Remove the line."""
        if self._is_watched and self._ticks:
            sys.stderr.write("\r\x1b[K")


def by_status(counts: Mapping[int, int]) -> str:
    """Answers by status on one line."""
    shown = {"none" if s == NO_ANSWER else str(s): count for s, count in sorted(counts.items())}
    return "  ".join(f"{status}: {count:,}" for status, count in shown.items()) or "no answers"


def document(result: Result) -> dict[str, object]:
    """A load's result as JSON."""
    sending = result.sending
    return {
        "scheduled": sending.scheduled,
        "sent": sending.sent,
        "sentPerSecond": sending.per_second,
        "seconds": result.seconds,
        "byStatus": {str(status): count for status, count in result.by_status.items()},
        "byProblem": dict(result.by_problem),
        "accepted": result.accepted,
        "duplicates": result.duplicates,
        "retries": result.retries,
        "errorsShare": result.errors_share,
        "latencyMs": asdict(result.latency) if result.latency else None,
        "serviceMs": asdict(result.service) if result.service else None,
        "late": sending.late,
        "latestMs": sending.latest_ms,
        "held": sending.held,
        "connections": sending.connections,
        "connectionsAllowed": sending.connections_allowed,
        "coreShare": sending.cpu_share,
        "interrupted": result.is_interrupted,
    }


def page(result: Result) -> Sequence[tuple[str, str]]:
    """A load's result as lines with a name each."""
    sending = result.sending
    problems = ", ".join(f"{kind} {count:,}" for kind, count in result.by_problem.most_common())
    return [
        (
            "clicks",
            (
                f"{sending.sent:,} of {sending.scheduled:,} sent in {sending.seconds:.1f} s, "
                f"{sending.per_second:,.1f} a second; {result.retries:,} made again"
            ),
        ),
        ("answers", by_status(result.by_status)),
        *([("problems", problems)] if problems else []),
        (
            "accepted",
            (
                f"{result.accepted:,}, {result.duplicates:,} of them duplicates; "
                f"{result.errors_share:.2%} not accepted"
            ),
        ),
        ("latency", f"{_times(result.latency)}  from the scheduled moments"),
        ("", f"{_times(result.service)}  from the sending"),
        (
            "generator",
            (
                f"{sending.late:,} clicks late (by more than {LATE_MS:.0f} ms), at most "
                f"{sending.latest_ms:,.1f} ms; {sending.connections:,} of "
                f"{sending.connections_allowed:,} connections; {sending.cpu_share:.0%} of a core"
            ),
        ),
    ]


def write_page(lines: Sequence[tuple[str, str]]) -> None:
    """Write lines with their names aligned."""
    for name, text in lines:
        sys.stdout.write(f"{name:<10} {text}\n")


def _times(times: Latencies | None) -> str:
    if times is None:
        return "no answers"
    return (
        f"p50 {times.p50:,.1f}  p90 {times.p90:,.1f}  p99 {times.p99:,.1f}  max {times.max:,.1f} ms"
    )
