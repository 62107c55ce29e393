"""The checks a lake must pass (g1 §11), each a statement whose figure must be zero."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from analytics.engine import Engine, Progress
from analytics.parameters import Parameters
from analytics.results import QueryResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check and what it found."""

    name: str
    statement: str
    """The name of the statement that was asked."""
    violations: int
    detail: str
    """What the figure counts, or where the violations lie."""

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return self.violations == 0


@dataclass(frozen=True, slots=True)
class Validation:
    """All checks of one range, with the results they were read from."""

    checks: tuple[Check, ...]
    results: tuple[QueryResult, ...]
    line_count: int
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed; an empty range passes none, because it proves nothing."""
        return self.line_count > 0 and all(check.passed for check in self.checks)


_Counter = Callable[[QueryResult], tuple[int, str]]


async def validate(
    engine: Engine, parameters: Parameters, progress: Progress | None = None
) -> Validation:
    """Ask what the checks need, and judge it; raises LakeError."""
    results = {
        name: await engine.run(name, parameters, progress) for name in statement_names(parameters)
    }
    return judge(results)


def statement_names(parameters: Parameters) -> tuple[str, ...]:
    """The statements whose results the checks read; seats are judged where a capacity is known."""
    asked = (statement for _, statement, _ in _CHECKS)
    return ("totals", *(name for name in asked if name != "seats" or parameters.capacity))


def judge(results: Mapping[str, QueryResult]) -> Validation:
    """Judge results by statement; a check whose statement was not asked is left out."""
    checks = []
    for name, statement, count in _CHECKS:
        result = results.get(statement)
        if result is None:
            continue
        violations, detail = count(result)
        checks.append(Check(name=name, statement=statement, violations=violations, detail=detail))
    totals = results["totals"]
    asked = ("totals", *(check.statement for check in checks))
    return Validation(
        checks=tuple(checks),
        results=tuple(results[name] for name in asked),
        line_count=totals.count("line_count"),
        notes=totals.notes,
    )


def _negative(result: QueryResult) -> tuple[int, str]:
    return result.count("negative_delay_count"), "lines whose times run backwards"


def _missing(result: QueryResult) -> tuple[int, str]:
    return result.count("missing_timestamp_count"), "lines that lack a time (malformed ones too)"


def _malformed(result: QueryResult) -> tuple[int, str]:
    counts = [
        (f"dt={record['dt']}/hour={record['hour']}", _whole(record["malformed_line_count"]))
        for record in result.records()
    ]
    where = ", ".join(f"{partition} ({count})" for partition, count in counts[:3])
    more = f" and {len(counts) - 3} more hours" if len(counts) > 3 else ""  # noqa: PLR2004
    return sum(count for _, count in counts), f"in {where}{more}" if counts else "unreadable lines"


def _conflicting(result: QueryResult) -> tuple[int, str]:
    total = sum(_whole(value) for value in result.column("differing_count"))
    return total, "requests whose lines hold different decisions"


def _oversold(result: QueryResult) -> tuple[int, str]:
    over = sum(max(_whole(value), 0) for value in result.column("over_capacity"))
    return over, "seats given beyond the capacity"


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


_CHECKS: Final[tuple[tuple[str, str, _Counter], ...]] = (
    ("No negative delay", "negative_delays", _negative),
    ("No missing timestamp", "missing_timestamps", _missing),
    ("No malformed line", "malformed_lines", _malformed),
    ("One decision per request", "duplicate_publications", _conflicting),
    ("No seat beyond the capacity", "seats", _oversold),
)
