"""The lake's contract: the table has the event's fields, and each line fits its JSON Schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from gzip import open as open_gzip
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, TypeAlias, Union, get_args, get_origin, get_type_hints

import orjson
import sqlglot
from jsonschema import Draft202012Validator
from sqlglot import exp

from analytics import lake_files, statements
from schema import json_schemas
from schema.names import PARTICIPATION_PROCESSED, REQUEST_FAILED

Columns: TypeAlias = Mapping[str, str]
"""Each leaf of a row by its dotted path, such as timestamps.queuedAt, with its Hive type."""

_HIVE_TYPES: Final[Mapping[type, frozenset[str]]] = {
    str: frozenset({"string"}),
    int: frozenset({"int", "bigint"}),
    bool: frozenset({"boolean"}),
}


@dataclass(frozen=True, slots=True)
class LineViolation:
    """A line that is no event, or not one of the contract's shape."""

    path: Path
    line_number: int
    reason: str


def table_columns(name: str = "create_table") -> Columns:
    """The leaves of a table's columns, without its partition columns."""
    create = sqlglot.parse_one(statements.load(name).sql, read="hive")
    return dict(_leaves(create.this.expressions, ""))


def event_columns(event: type) -> dict[str, type]:
    """The leaves of an event's fields, with their Python types."""
    return dict(_fields(event, ""))


def differences(columns: Columns, event: Mapping[str, type]) -> list[str]:
    """What the table and the event do not agree on; empty where they do."""
    found = [f"{path}: in the event, not in the table" for path in event if path not in columns]
    found += [f"{path}: in the table, not in the event" for path in columns if path not in event]
    found += [
        f"{path}: {columns[path]} in the table, {event[path].__name__} in the event"
        for path in event
        if path in columns and columns[path] not in _HIVE_TYPES.get(event[path], frozenset())
    ]
    return found


def line_violations(lake_dir: Path) -> Iterator[LineViolation]:
    """Check every line of a lake against the JSON Schemas (2020-12) of its events."""
    for files in lake_files.find(lake_dir).values():
        for file in files:
            opened = open_gzip if file.path.suffix == ".gz" else open
            with opened(file.path, "rb") as lines:
                for number, line in enumerate(lines, start=1):
                    reason = defect(line)
                    if reason is not None:
                        yield LineViolation(file.path, number, reason)


def defect(line: bytes) -> str | None:
    """Why a line is no event of the lake; None for one that is."""
    if not line.endswith(b"\n"):
        return "the line has no end"
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"not JSON: {error}"
    # Only a RequestFailed event knows no type: nothing that was read gave one.
    unknown = isinstance(document, dict) and document.get("eventType") is None
    validator = _validator(REQUEST_FAILED if unknown else PARTICIPATION_PROCESSED)
    broken = next(validator.iter_errors(document), None)
    return None if broken is None else f"{broken.json_path}: {broken.message}"


@cache
def _validator(detail_type: str) -> Draft202012Validator:
    return Draft202012Validator(json_schemas.load(detail_type))


def _leaves(nodes: list[exp.Expr], prefix: str) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if not isinstance(node, exp.ColumnDef):
            continue
        kind = node.args["kind"]
        if kind.this == exp.DType.STRUCT:
            yield from _leaves(kind.expressions, f"{prefix}{node.name}.")
        else:
            yield f"{prefix}{node.name}", kind.sql(dialect="hive").lower()


def _fields(owner: type, prefix: str) -> Iterator[tuple[str, type]]:
    if not is_dataclass(owner):
        raise TypeError(f"{owner} is no event")
    hints = get_type_hints(owner)
    for field in fields(owner):
        kind = _without_none(hints[field.name])
        if is_dataclass(kind):
            yield from _fields(kind, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", kind


def _without_none(hint: Any) -> type:
    if get_origin(hint) in {Union, UnionType}:
        (hint,) = (kind for kind in get_args(hint) if kind is not NoneType)
    kind: type = hint
    return kind
