"""How commands write and read what people and programs exchange with them: times, JSON, errors."""

import re
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import orjson
import typer

from runtime.stop import ExitCode
from schema.keys import MAX_TIME_MS

_NAME = "participation"
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

AsJson = Annotated[bool, typer.Option("--json", help="JSON with stable keys; times in epoch ms")]


def command_name() -> str:
    """How to call this command line again: as it was called, or by its name where that will do."""
    typed = Path(sys.argv[0])
    found = shutil.which(_NAME)
    if typed.name != _NAME or (found is not None and Path(found).samefile(typed)):
        return _NAME
    here = Path.cwd()
    return str(typed.relative_to(here) if typed.is_relative_to(here) else typed)


def write_json(document: object) -> None:
    """Write one JSON document."""
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")


def write_table(rows: list[tuple[str, ...]]) -> None:
    """Write rows in aligned columns, the first of them being the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def fail(message: str, code: int = 1) -> NoReturn:
    """End with one sentence on standard error."""
    sys.stderr.write(f"participation: {message}\n")
    sys.exit(code)


def confirm(question: str) -> None:
    """Ask on standard error; ends the command, which has changed nothing, if the answer is no."""
    try:
        is_agreed = typer.confirm(question, err=True)
    except typer.Abort:
        # Ctrl-C, or an input that is at its end.
        if sys.stdin.isatty():
            sys.stderr.write("\n")
            fail("interrupted: nothing was changed", ExitCode.INTERRUPTED)
        fail("nobody is there to answer: give --yes, or ask from a terminal")
    if not is_agreed:
        fail("nothing was changed")


def iso(at_ms: int) -> str:
    """A moment as text, in UTC and milliseconds."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_ms(text: str) -> int:
    """Read a moment as typed, in epoch milliseconds; raises BadParameter."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-01-04T09:00+09:00") from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone, as 2026-01-04T09:00+09:00 has")
    at_ms = int(moment.timestamp() * 1000)
    if not 0 < at_ms <= MAX_TIME_MS:
        raise typer.BadParameter(f"{text!r} is not a time between 1970 and 2286")
    return at_ms


def duration_s(text: str) -> int:
    """Read a duration as typed, in seconds, one at least; raises BadParameter."""
    typed = re.fullmatch(r"([1-9][0-9]{0,4})([smhd])", text)
    if typed is None:
        raise typer.BadParameter(f"{text!r} is not a duration such as 90s, 15m, 2h or 1d")
    return int(typed[1]) * _SECONDS[typed[2]]
