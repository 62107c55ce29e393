"""The evidence report: one page that needs no network, with results and statements beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from analytics import statements
from analytics.engine import Engine, Progress
from analytics.parameters import Parameters
from analytics.report import done_list, evidence, figures, scales
from analytics.report.evidence import Evidence
from analytics.results import QueryResult, Value, text_of, to_csv
from schema.states import ResultCode

PAGE_NAME: Final = "index.html"
_SHOWN_ROWS: Final = 24
_NOTHING: Final = "\N{EN DASH}"
_TABLES: Final = (
    "p95_delay",
    "seats",
    "overtaking",
    "failure_causes",
    "retries",
    "duplicate_publications",
    "arrival_lag",
)
_OUTCOMES: Final = (
    ("Succeeded", "good", ResultCode.SUCCESS.value),
    ("Rejected", "plain", "REJECTED"),
    ("Failed", "bad", "FAILED"),
)


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """What was written."""

    page: Path
    results: tuple[Path, ...]
    statements: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the lines."""

    name: str
    style: str
    count: int
    percent: float


async def write_report(
    engine: Engine, out_dir: Path, parameters: Parameters, progress: Progress | None = None
) -> ReportFiles:
    """Ask everything, and write the page and its files into a folder; raises LakeError."""
    gathered = await evidence.gather(engine, parameters, progress)
    return await anyio.to_thread.run_sync(write, gathered, out_dir)


def write(gathered: Evidence, out_dir: Path) -> ReportFiles:
    """Write the page, each result as CSV, and each statement as executed."""
    results, executed = out_dir / "results", out_dir / "statements"
    for folder in (results, executed):
        folder.mkdir(parents=True, exist_ok=True)
    written: list[tuple[Path, Path]] = []
    for name, result in gathered.results.items():
        as_csv, as_sql = results / f"{name}.csv", executed / f"{name}.sql"
        as_csv.write_text(to_csv(result), encoding="utf-8", newline="")
        as_sql.write_text(statement_text(result), encoding="utf-8")
        written.append((as_csv, as_sql))
    page = out_dir / PAGE_NAME
    page.write_text(render(gathered), encoding="utf-8")
    return ReportFiles(page, tuple(c for c, _ in written), tuple(s for _, s in written))


def statement_text(result: QueryResult) -> str:
    """A statement as executed, with the values of its parameters above it."""
    names = statements.load(result.name).parameters
    bound = [
        f"--   {name} = {value!r}" for name, value in zip(names, result.arguments, strict=True)
    ]
    header = ["-- The values of the ?, in order:", *bound] if bound else []
    return "\n".join([*header, f"{result.statement};", ""])


def render(gathered: Evidence) -> str:
    """Make the page."""
    sources = files("analytics.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string((sources / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(_view(gathered, (sources / "report.css").read_text(encoding="utf-8")))


def _view(gathered: Evidence, css: str) -> dict[str, Any]:
    results = gathered.results
    totals = results["totals"].records()[0]
    has_lines = gathered.validation.line_count > 0
    return {
        "css": Markup(css),  # noqa: S704 - our own file
        "evidence": gathered,
        "parameters": gathered.parameters,
        "has_lines": has_lines,
        "totals": totals,
        "notes": results["totals"].notes,
        "delays": results["p95_delay_overall"].records()[0],
        "peak": figures.peak(gathered.course("traffic")) if has_lines else None,
        "shares": shares(results["result_distribution"]),
        "dlq": results["dlq_share"].records()[0],
        "figures": figures.draw_all(gathered),
        "distribution": results["result_distribution"].records(),
        "checks": gathered.validation.checks,
        "passed": gathered.validation.passed,
        "done": done_list.judge(gathered),
        "tables": [_table(results[name]) for name in _TABLES],
        "provenance": [_executed(result) for result in results.values()],
        "scanned_bytes": sum(result.scanned_bytes or 0 for result in results.values()),
        "count": lambda value: _NOTHING if value is None else scales.count_text(value),
        "duration": lambda value: _NOTHING if value is None else scales.duration_text(value),
        "text": text_of,
        "svg": Markup,
    }


def shares(distribution: QueryResult) -> list[Share]:
    """The share of each outcome among the lines, malformed lines counted as an outcome."""
    counts = [
        (str(record["resultCode"] or ""), record["total_count"])
        for record in distribution.records()
    ]
    whole = sum(count for _, count in counts if isinstance(count, int))

    def share(name: str, style: str, prefix: str) -> Share:
        count = sum(
            count
            for code, count in counts
            if isinstance(count, int) and (code.startswith(prefix) if prefix else not code)
        )
        return Share(name, style, count, count * 100 / whole if whole else 0.0)

    outcomes = [share(name, style, prefix) for name, style, prefix in _OUTCOMES]
    unreadable = share("Malformed", "warn", "")
    return [*outcomes, unreadable] if unreadable.count else outcomes


def _table(result: QueryResult) -> dict[str, Any]:
    statement = statements.load(result.name)
    return {
        "name": result.name,
        "title": statement.title.split(":")[0],
        "meaning": statement.title.partition(":")[2].strip(),
        "columns": [(column.name, _is_figure(result, at)) for at, column in _numbered(result)],
        "rows": [[_cell(value) for value in row] for row in result.rows[:_SHOWN_ROWS]],
        "left_out": max(len(result.rows) - _SHOWN_ROWS, 0),
    }


def _numbered(result: QueryResult) -> Sequence[tuple[int, Any]]:
    return list(enumerate(result.columns))


def _is_figure(result: QueryResult, at: int) -> bool:
    return result.columns[at].type.value in {"bigint", "double"}


def _cell(value: Value) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return scales.count_text(value)
    return text_of(value) or _NOTHING


def _executed(result: QueryResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "title": statements.load(result.name).title,
        "rows": len(result.rows),
        "seconds": result.seconds,
        "scanned_bytes": result.scanned_bytes,
        "query_id": result.query_id,
        "statement": statement_text(result),
    }
