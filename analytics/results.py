"""What a query gives back: columns, typed rows, and what it took, the same for both engines."""

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

import orjson

Value: TypeAlias = str | int | float | bool | datetime | None
"""Times are aware and in UTC."""
Row: TypeAlias = tuple[Value, ...]

_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


class ColumnType(StrEnum):
    """The types that the statements' columns have, by Athena's names."""

    VARCHAR = "varchar"
    BIGINT = "bigint"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result."""

    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """The rows of one statement."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    statement: str
    """The SQL as the engine executed it."""
    arguments: tuple[str | int, ...]
    """The values of its `?`, in order."""
    seconds: float
    scanned_bytes: int | None = None
    """What Athena bills for; None where nothing is billed."""
    query_id: str | None = None
    """Athena's id of the execution."""
    notes: tuple[str, ...] = ()
    """What a reader should know, such as that nothing arrived in the range."""

    def column(self, name: str) -> list[Value]:
        """All values of one column; raises KeyError for an unknown one."""
        at = self._position(name)
        return [row[at] for row in self.rows]

    def one(self, name: str) -> Value:
        """The value of a column of a one-row result; raises ValueError for another size."""
        (row,) = self.rows
        return row[self._position(name)]

    def count(self, name: str) -> int:
        """The whole number in a column of a one-row result, 0 for NULL."""
        value = self.one(name)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{self.name}.{name} is not a whole number: {value!r}")
        return value

    def records(self) -> list[dict[str, Value]]:
        """The rows as mappings by column name."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def _position(self, name: str) -> int:
        for at, column in enumerate(self.columns):
            if column.name == name:
                return at
        raise KeyError(f"{self.name} has no column {name!r}")


def text_of(value: Value) -> str:
    """Write a value for people and files: NULL as nothing, times in ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime(_TIME_FORMAT)
    return str(value)


def to_csv(result: QueryResult) -> str:
    """Write a result as RFC 4180 CSV with a header line."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(column.name for column in result.columns)
    writer.writerows([text_of(value) for value in row] for row in result.rows)
    return buffer.getvalue()


def to_json(result: QueryResult) -> bytes:
    """Write a result as a JSON array of objects; times in ISO 8601."""
    rows = [
        {
            name: text_of(value) if isinstance(value, datetime) else value
            for name, value in record.items()
        }
        for record in result.records()
    ]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2)
