"""`participation lake`: the statements, the checks and the report, on Athena or on local files."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import anyio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analytics import ranges, statements, synthetic
from analytics.engine import Engine, LakeError, Progress
from analytics.parameters import ParameterError, Parameters
from analytics.results import ColumnType, QueryResult, text_of, to_csv, to_json
from analytics.sources import EngineName, Source, open_athena, open_engine
from analytics.validation import Check, Validation
from analytics.validation import validate as run_checks
from cli.lake_options import Question, as_day, messages, shown_to_the_operator, with_options
from cli.output import AsJson, write_json
from cli.republish import republish

app = typer.Typer(
    help="Ask the lake: on Athena, or on files with the embedded engine.", no_args_is_help=True
)
app.command("republish")(republish)

_VIOLATION: Final = 1
_PIPED_WIDTH: Final = 1_000
_NAMED_LINES: Final = 20

_Answer = TypeVar("_Answer")
_results = Console(highlight=False)
if not _results.is_terminal:
    # Piped into a file, a table is as wide as its content.
    _results.width = _PIPED_WIDTH


class Format(StrEnum):
    """How to write a result."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@app.command("statements")
def list_statements(as_json: AsJson = False) -> None:
    """List the queries that can be asked."""
    if as_json:
        titles = ((name, statements.load(name).title) for name in statements.query_names())
        write_json([{"name": name, "title": title} for name, title in titles])
        return
    for name in statements.query_names():
        typer.echo(f"{name:32} {statements.load(name).title}")


@app.command()
@with_options
def ddl(
    source: Source,
    apply: Annotated[bool, typer.Option("--apply", help="run it on Athena")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the table, its projected twin and the view; or create them on Athena."""
    shown = {}
    for name in statements.DDL_NAMES:
        sql = statements.load(name).sql
        shown[name] = sql if source.bucket is None else statements.with_bucket(sql, source.bucket)

    async def create() -> None:
        async with open_athena(source) as athena:
            for name in statements.DDL_NAMES:
                with _progress() as progress:
                    await athena.define(name, progress)
                messages.print(f"created {name.removeprefix('create_')} in {source.database}")

    if apply:
        anyio.run(create)
    if as_json:
        write_json([{"name": name, "sql": sql} for name, sql in shown.items()])
    elif not apply:
        for name, sql in shown.items():
            typer.echo(f"-- {statements.load(name).title}\n{sql};\n")


@app.command()
@with_options
def repair(source: Source, as_json: AsJson = False) -> None:
    """Load the partitions that are new in the bucket (MSCK REPAIR TABLE)."""

    async def load() -> int:
        async with open_athena(source) as athena:
            with _progress() as progress:
                return len(await athena.repair(progress))

    known = anyio.run(load)
    if as_json:
        write_json({"partitions": known})
    else:
        messages.print(f"{known} partition(s) known")


@app.command()
@with_options
def query(
    name: Annotated[
        str, typer.Argument(metavar="STATEMENT", help="its name: see `lake statements`")
    ],
    source: Source,
    question: Question,
    form: Annotated[
        Format, typer.Option("--format", help="how to write the rows; in JSON an array of objects")
    ] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="as --format json")] = False,
) -> None:
    """Run one statement and print its rows."""
    statements.load(name)

    async def ask(engine: Engine, parameters: Parameters, progress: Progress) -> QueryResult:
        return await engine.run(name, parameters, progress)

    result = _ask(source, question, ask)
    if result is None:
        raise LakeError("the lake is empty: there is no file in an events/dt=…/hour=…/ folder")
    if as_json or form is Format.JSON:
        typer.echo(to_json(result))
    elif form is Format.CSV:
        typer.echo(to_csv(result), nl=False)
    else:
        _results.print(_table(result))
    _print_notes(result)


@app.command()
@with_options
def validate(
    source: Source,
    question: Question,
    lines: Annotated[
        bool, typer.Option("--lines", help="hold each line of --lake-dir to its JSON Schema, too")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the lake: exit code 1 on a violation, or where nothing arrived.

    No delay may be negative, no time missing, no line malformed, no request decided twice.
    """
    if lines and source.lake_dir is None:
        raise LakeError("--lines reads files: give --lake-dir")

    async def ask(engine: Engine, parameters: Parameters, progress: Progress) -> Validation:
        return await run_checks(engine, parameters, progress)

    validation = _ask(source, question, ask)
    if validation is None or validation.line_count == 0:
        notes = validation.notes if validation else ("The lake is empty.",)
        messages.print(*notes, "Nothing is proven.", style="red", markup=False)
        if as_json:
            write_json({"passed": False, "lineCount": 0, "checks": [], "brokenLines": None})
        raise typer.Exit(_VIOLATION)
    if not as_json:
        _show_checks(validation)
    broken = None
    if lines and source.lake_dir:
        broken = _broken_lines(source.lake_dir, messages if as_json else _results)
    passed = validation.passed and not broken
    if as_json:
        write_json(
            {
                "passed": passed,
                "lineCount": validation.line_count,
                "checks": [_check(check) for check in validation.checks],
                "brokenLines": broken,
            }
        )
    if not passed:
        raise typer.Exit(_VIOLATION)


@app.command()
@with_options
def report(
    source: Source,
    question: Question,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="for the page, the CSV and the SQL files")
    ],
    as_json: AsJson = False,
) -> None:
    """Write the evidence report: one HTML page, with every result and statement beside it."""
    from analytics.report.report import write_report

    async def ask(engine: Engine, parameters: Parameters, progress: Progress) -> Path:
        return (await write_report(engine, out, parameters, progress)).page

    page = _ask(source, question, ask)
    if page is None:
        raise LakeError("the lake is empty: there is nothing to report")
    if as_json:
        write_json({"page": str(page)})
    else:
        typer.echo(str(page))


@app.command()
def generate(
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="to write events/dt=…/hour=…/ into")],
    requests: Annotated[
        int, typer.Option(min=1, metavar="COUNT", help="how many requests")
    ] = 10_000,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="first day (UTC); default: today"),
    ] = None,
    days: Annotated[int, typer.Option(min=1, metavar="COUNT", help="how many days")] = 3,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="decides everything that is left to chance")
    ] = 1,
    compressed: Annotated[bool, typer.Option("--gzip", help="compress the files")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a synthetic lake with bursts, late arrivals, repeated and malformed lines."""
    with shown_to_the_operator():
        spec = synthetic.LakeSpec(
            requests=requests,
            first_day=datetime.now(UTC).date() if first is None else as_day(first),
            days=days,
            seed=seed,
            compressed=compressed,
        )
    summary = synthetic.generate(out, spec)
    if as_json:
        sizes = {"lines": summary.lines, "bytes": summary.bytes, "files": summary.files}
        write_json(sizes | {"folder": str(out)})
        return
    typer.echo(
        f"{summary.lines:,} lines, {summary.bytes:,} bytes, {summary.files:,} files in {out}"
    )


def _show_checks(validation: Validation) -> None:
    for check in validation.checks:
        mark = "[green]pass[/]" if check.passed else "[red]FAIL[/]"
        _results.print(f"{mark}  {check.name}: {check.violations:,} {check.detail}", soft_wrap=True)
    _results.print(f"{validation.line_count:,} line(s) checked")


def _check(check: Check) -> dict[str, object]:
    """A check as JSON; its statement, asked by `lake query`, shows where the violations are."""
    return {
        "statement": check.statement,
        "passed": check.passed,
        "violations": check.violations,
        "detail": check.detail,
    }


def _broken_lines(lake_dir: Path, out: Console) -> int:
    """Name the first lines that do not fit their JSON Schema, and count all."""
    from analytics import contract

    count = 0
    for count, violation in enumerate(contract.line_violations(lake_dir), start=1):
        if count <= _NAMED_LINES:
            place = f"{violation.path}:{violation.line_number}"
            out.print(f"{place}: {violation.reason}", markup=False, soft_wrap=True)
    out.print(f"{count:,} line(s) do not fit their JSON Schema")
    return count


def _ask(
    source: Source,
    question: Question,
    ask: Callable[[Engine, Parameters, Progress], Coroutine[Any, Any, _Answer]],
) -> _Answer | None:
    """Open the engine and ask it; None for a lake that holds nothing."""
    if source.engine is EngineName.ATHENA and question.days is None:
        raise ParameterError("give --from (and --to): Athena bills for the days it scans")
    known = None if question.days is None else question.over(question.days)

    async def run() -> _Answer | None:
        with _progress() as progress:
            async with open_engine(source, known, _report) as engine:
                if known is not None:
                    return await ask(engine, known, progress)
                days = await ranges.whole_lake(engine)
                return None if days is None else await ask(engine, question.over(days), progress)

    return anyio.run(run)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show a query's progress on a terminal only: a file gets nothing."""
    with messages.status("") as status:
        yield lambda line: status.update(Text(line, style="dim"))


def _report(line: str) -> None:
    """What an operator should know of the evidence, on a terminal and in a file alike."""
    messages.print(line, markup=False, soft_wrap=True)


def _print_notes(result: QueryResult) -> None:
    """What is worth knowing besides the rows."""
    for note in result.notes:
        messages.print(note, style="yellow", markup=False, soft_wrap=True)
    cost = f", {result.scanned_bytes:,} bytes scanned" if result.scanned_bytes is not None else ""
    messages.print(f"{len(result.rows):,} row(s) in {result.seconds:.2f} s{cost}", style="dim")


def _table(result: QueryResult) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in result.columns:
        is_figure = column.type in {ColumnType.BIGINT, ColumnType.DOUBLE}
        table.add_column(column.name, justify="right" if is_figure else "left", overflow="fold")
    for row in result.rows:
        table.add_row(*(text_of(value) for value in row))
    return table
