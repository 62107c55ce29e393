"""Gathers what the report shows: every result, the checks, the coverage, and where it came from."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import anyio

from analytics import validation
from analytics.engine import Coverage, Engine, Progress
from analytics.parameters import Parameters
from analytics.results import QueryResult
from analytics.validation import Validation

_STATEMENTS: Final = (
    "totals",
    "traffic",
    "throughput",
    "result_distribution",
    "dlq_share",
    "p95_delay",
    "p95_delay_overall",
    "negative_delays",
    "missing_timestamps",
    "malformed_lines",
    "traffic_per_minute",
    "throughput_per_minute",
    "backlog_per_minute",
    "delay_percentiles_per_minute",
    "delay_histogram",
    "seats",
    "overtaking",
    "failure_causes",
    "retries",
    "duplicate_publications",
    "arrival_lag",
    "partitions",
)
_FINE_STATEMENTS: Final = (
    "traffic_per_second",
    "throughput_per_second",
    "backlog_per_second",
    "delay_percentiles_per_second",
)
_FINE_BELOW: Final = timedelta(minutes=15)
"""A run this short is a few minutes wide: seconds show its course, minutes do not."""

_CONCURRENT_QUERIES: Final = 4
_PACKAGES: Final = ("participation-pipeline", "duckdb", "sqlglot", "aioboto3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All results of one range, and what is needed to believe them."""

    parameters: Parameters
    results: Mapping[str, QueryResult]
    validation: Validation
    coverage: Coverage
    is_fine: bool
    """Whether there are results per second."""
    is_athena: bool
    engine_label: str
    source: str
    gathered_at: datetime
    versions: Sequence[tuple[str, str]]

    def course(self, name: str) -> QueryResult:
        """The result over time, per second where the range is short: `traffic`, `backlog`, …"""
        return self.results[f"{name}_per_{'second' if self.is_fine else 'minute'}"]


async def gather(
    engine: Engine, parameters: Parameters, progress: Progress | None = None
) -> Evidence:
    """Run every statement of the report; raises LakeError for the first that fails."""
    results = await _run_all(engine, _STATEMENTS, parameters, progress)
    is_fine = _is_short(results["totals"])
    if is_fine:
        results |= await _run_all(engine, _FINE_STATEMENTS, parameters, progress)
    judged = {name: results[name] for name in validation.statement_names(parameters)}
    return Evidence(
        parameters=parameters,
        results=results,
        validation=validation.judge(judged),
        coverage=await engine.coverage(parameters),
        is_fine=is_fine,
        is_athena=engine.is_athena,
        engine_label=engine.label,
        source=engine.source,
        gathered_at=datetime.now(UTC),
        versions=_versions(),
    )


async def _run_all(
    engine: Engine, names: Sequence[str], parameters: Parameters, progress: Progress | None
) -> dict[str, QueryResult]:
    results: dict[str, QueryResult] = {}
    limiter = anyio.CapacityLimiter(_CONCURRENT_QUERIES)

    async def run(name: str) -> None:
        async with limiter:
            results[name] = await engine.run(name, parameters, progress)

    try:
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(run, name)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return {name: results[name] for name in names}


def _is_short(totals: QueryResult) -> bool:
    first, last = totals.one("first_queued_at"), totals.one("last_finished_at")
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return False
    return last - first < _FINE_BELOW


def _versions() -> tuple[tuple[str, str], ...]:
    known = [("Python", platform.python_version())]
    for package in _PACKAGES:
        try:
            known.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(known)
