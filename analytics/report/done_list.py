"""The Definition of Done of g1 §12, each item judged by the data, or said to be shown elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from analytics.report.evidence import Evidence
from analytics.results import QueryResult


class Verdict(StrEnum):
    """What the data say about an item."""

    SHOWN = "shown"
    REFUTED = "refuted"
    ELSEWHERE = "elsewhere"
    """The data of a lake cannot show it; the reason says what can."""


@dataclass(frozen=True, slots=True)
class DoneItem:
    """One item of the list."""

    text: str
    verdict: Verdict
    reason: str


def judge(evidence: Evidence) -> Sequence[DoneItem]:
    """Tick the list from the evidence."""
    results = evidence.results
    return (
        _folders(evidence),
        _partitions(evidence),
        _answer("Requests by time of day (queuedAt) come from SQL", results["traffic"], "min_time"),
        _answer(
            "The result distribution (resultCode, isDlq) comes from SQL",
            results["result_distribution"],
            "resultCode",
        ),
        _answer("The p95 queue delay comes from SQL", results["p95_delay"], "p95_queue_delay_ms"),
        _answer("The p95 E2E delay comes from SQL", results["p95_delay"], "p95_e2e_delay_ms"),
        _negative(results["negative_delays"], evidence.validation.line_count),
        DoneItem(
            "A publishing failure changes neither the stored state nor the acknowledgement",
            Verdict.ELSEWHERE,
            "The lake holds only what was published; the fault tests show this.",
        ),
    )


def _folders(evidence: Evidence) -> DoneItem:
    hours = {*evidence.coverage.loaded, *evidence.coverage.missing}
    return DoneItem(
        "Event files lie in events/dt=…/hour=…/ folders",
        Verdict.SHOWN if hours else Verdict.REFUTED,
        f"{len(hours)} hour folder(s) on and around these days.",
    )


def _partitions(evidence: Evidence) -> DoneItem:
    text = "The Athena table knows its partitions (MSCK REPAIR TABLE)"
    loaded, missing = evidence.coverage.loaded, evidence.coverage.missing
    if not evidence.is_athena:
        return DoneItem(
            text,
            Verdict.ELSEWHERE,
            f"The embedded engine reads the folders themselves ({len(loaded)} hour(s) found).",
        )
    if missing or not loaded:
        reason = f"{len(loaded)} loaded, {len(missing)} waiting: run `participation lake repair`."
        return DoneItem(text, Verdict.REFUTED, reason)
    return DoneItem(text, Verdict.SHOWN, f"{len(loaded)} partition(s) loaded, none waiting.")


def _answer(text: str, result: QueryResult, column: str) -> DoneItem:
    known = sum(value is not None for value in result.column(column))
    return DoneItem(
        text,
        Verdict.SHOWN if known else Verdict.REFUTED,
        f"{result.name}.sql: {known} row(s) in {result.seconds:.2f} s.",
    )


def _negative(result: QueryResult, line_count: int) -> DoneItem:
    found = result.count("negative_delay_count")
    is_shown = found == 0 and line_count > 0
    return DoneItem(
        "There is no negative delay",
        Verdict.SHOWN if is_shown else Verdict.REFUTED,
        f"{found} of {line_count:,} line(s).",
    )
