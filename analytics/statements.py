"""The SQL statements: one file each, read with its meaning and its parameters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final

from schema.names import LAKE_TABLE

PROJECTED_TABLE: Final = f"{LAKE_TABLE}_projected"

BUCKET_PLACE: Final = "<YOUR_BUCKET>"
"""Where the DDL names the bucket, spelled as in g1 §9.1."""

DDL_NAMES: Final = ("create_table", "create_projected_table", "create_requests_view")
REPAIR_NAME: Final = "repair_table"

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DATABASE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_PARAMETERS: Final = "Parameters:"


class StatementError(ValueError):
    """A statement that does not exist, or a name that may not stand in one."""


class ParameterName(StrEnum):
    """What a statement's `?` can stand for."""

    DT_FROM = "dt_from"
    DT_TO = "dt_to"
    SCAN_FROM = "scan_from"
    SCAN_TO = "scan_to"
    FROM_MS = "from_ms"
    TO_MS = "to_ms"
    EVENT_ID = "event_id"
    CAPACITY = "capacity"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as its file holds it."""

    name: str
    title: str
    meaning: str
    """The header's sentences after the title."""
    parameters: tuple[ParameterName, ...]
    """What each `?` stands for, in order; a parameter may occur more than once."""
    sql: str
    """The statement without its header and its closing semicolon."""

    @property
    def is_query(self) -> bool:
        """Whether the statement reads rows, rather than defines something."""
        return self.name not in DDL_NAMES and self.name != REPAIR_NAME


@cache
def load(name: str) -> Statement:
    """Read a statement by its file's name; raises StatementError where there is none."""
    path = files("analytics") / "sql" / f"{name}.sql"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise StatementError(f"no statement is called {name!r}; there are: {', '.join(names())}")
    return parse(name, path.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Statement:
    """Read a statement file's text; raises StatementError where its header is not as agreed."""
    lines = text.splitlines()
    body_at = next((at for at, line in enumerate(lines) if not line.startswith("--")), len(lines))
    header = [line.removeprefix("--").strip() for line in lines[:body_at]]
    if len(header) < 2 or not header[-1].startswith(_PARAMETERS):  # noqa: PLR2004
        raise StatementError(f"{name}.sql: the header needs a title and ends with {_PARAMETERS!r}")
    return Statement(
        name=name,
        title=header[0],
        meaning=" ".join(header[1:-1]),
        parameters=_parameters(header[-1].removeprefix(_PARAMETERS).strip()),
        sql="\n".join(lines[body_at:]).strip().removesuffix(";"),
    )


@cache
def names() -> tuple[str, ...]:
    """All statements' names, sorted."""
    found = (path.name for path in (files("analytics") / "sql").iterdir())
    return tuple(sorted(name.removesuffix(".sql") for name in found if name.endswith(".sql")))


def query_names() -> tuple[str, ...]:
    """The names of the statements that read rows."""
    return tuple(name for name in names() if load(name).is_query)


def with_bucket(sql: str, bucket: str) -> str:
    """Put the bucket's name into a DDL statement; raises StatementError for an invalid name."""
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise StatementError(f"{bucket!r} is not the name of an S3 bucket")
    return sql.replace(BUCKET_PLACE, bucket)


def with_table(sql: str, table: str) -> str:
    """Let a statement read the projected twin instead of the table it names."""
    if table not in (LAKE_TABLE, PROJECTED_TABLE):
        raise StatementError(f"{table!r} is not one of the lake's tables")
    return re.sub(rf"\b{LAKE_TABLE}\b", table, sql)


def checked_database(database: str) -> str:
    """Return the database's name; raises StatementError where it is not an identifier."""
    if not _DATABASE.fullmatch(database):
        raise StatementError(f"{database!r} is not the name of a database")
    return database


def _parameters(text: str) -> tuple[ParameterName, ...]:
    if text == "none":
        return ()
    parts: Sequence[str] = [part.strip() for part in text.split(",")]
    try:
        return tuple(ParameterName(part) for part in parts)
    except ValueError as error:
        raise StatementError(f"unknown parameter: {error}") from None
