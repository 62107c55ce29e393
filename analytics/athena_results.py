"""Athena's answers as results: its column types, its timestamps, its texts for values."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from analytics.engine import LakeError
from analytics.results import Column, ColumnType, Row, Value

_TYPES: Final = {
    "varchar": ColumnType.VARCHAR,
    "char": ColumnType.VARCHAR,
    "string": ColumnType.VARCHAR,
    "tinyint": ColumnType.BIGINT,
    "smallint": ColumnType.BIGINT,
    "integer": ColumnType.BIGINT,
    "bigint": ColumnType.BIGINT,
    "real": ColumnType.DOUBLE,
    "float": ColumnType.DOUBLE,
    "double": ColumnType.DOUBLE,
    "decimal": ColumnType.DOUBLE,
    "boolean": ColumnType.BOOLEAN,
    "timestamp": ColumnType.TIMESTAMP,
    "timestamp with time zone": ColumnType.TIMESTAMP,
}


def columns(metadata: Mapping[str, Any], sql: str) -> tuple[Column, ...]:
    """Read the columns of a result set, with their names as the statement spells them.

    Athena answers in lower case; the embedded engine does not, and both must agree.
    """
    # Keywords are in capitals; no statement spells a name in two ways.
    spelled = {word.lower(): word for word in re.findall(r"\w+", sql) if not word.isupper()}
    return tuple(
        Column(
            spelled.get(str(info["Name"]).lower(), str(info["Name"])),
            _type_of(str(info["Type"])),
        )
        for info in metadata["ColumnInfo"]
    )


def row(answer: Mapping[str, Any], row_columns: Sequence[Column]) -> Row:
    """Read one row; an absent text is NULL."""
    return tuple(
        _value(datum.get("VarCharValue"), column)
        for datum, column in zip(answer["Data"], row_columns, strict=True)
    )


def literal(value: str | int) -> str:
    """Write a value as the SQL literal that an execution parameter is."""
    if isinstance(value, int):
        return str(value)
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def _type_of(athena_type: str) -> ColumnType:
    plain = athena_type.split("(", maxsplit=1)[0].strip().lower()
    if plain not in _TYPES:
        raise LakeError(f"Athena answered with a column of the type {athena_type}")
    return _TYPES[plain]


def _time(text: str) -> datetime:
    """Read `2026-01-04 08:00:00.000`, which Athena may follow by its zone, always UTC."""
    return datetime.fromisoformat(text.removesuffix(" UTC")).replace(tzinfo=UTC)


_READERS: Final[Mapping[ColumnType, Callable[[str], Value]]] = {
    ColumnType.VARCHAR: str,
    ColumnType.BIGINT: int,
    ColumnType.DOUBLE: float,
    ColumnType.BOOLEAN: lambda text: text == "true",
    ColumnType.TIMESTAMP: _time,
}


def _value(text: str | None, column: Column) -> Value:
    if text is None:
        return None
    try:
        return _READERS[column.type](text)
    except ValueError:
        raise LakeError(f"Athena answered {column.name} = {text!r}, no {column.type}") from None
