"""Which of the programs' log lines `participation local up` shows, and how."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final

from local.programs import LineListener
from runtime.sampling import Sampler

_LOUD: Final = frozenset({"warning", "error", "critical"})
_SHOWN_OTHERWISE: Final = frozenset({"event", "level", "timestamp", "logger"})


def all_lines(show: Callable[[str], None]) -> LineListener:
    """Show every line."""

    def on_line(program: str, fields: Mapping[str, Any]) -> None:
        show(_text(program, fields))

    return on_line


def main_lines(
    show: Callable[[str], None], clock_s: Callable[[], float] = monotonic
) -> LineListener:
    """Show the worker's lines, and ingest's from warnings on; of those alike, one a second.

    Otherwise an outage's lines would carry away what somebody wants to copy. The number left out
    stands in the next one of its kind; the log's file has all of them.
    """
    sampler = Sampler(clock_s)

    def on_line(program: str, fields: Mapping[str, Any]) -> None:
        if program != "worker" and fields.get("level") not in _LOUD:
            return
        left_out: int | None = 0
        if "timestamp" in fields:  # else it is no event, but for instance a line of a traceback
            left_out = sampler.take(f"{program} {fields.get('event')} {fields.get('service')}")
        if left_out is not None:
            more = f" ({left_out:,} alike left out)" if left_out else ""
            show(f"{_text(program, fields)}{more}")

    return on_line


def _text(program: str, fields: Mapping[str, Any]) -> str:
    rest = (f"{k}={v}" for k, v in fields.items() if k not in _SHOWN_OTHERWISE)
    return f"{program:>6} | {fields.get('event', '')} {' '.join(rest)}"
