"""Odd lines of the lake: read as Athena's OpenX SerDe reads them, column by column.

A line that the worker wrote never comes here. What follows is OpenX's leniency where the line is
JSON at heart; its other syntax (single quotes, comments, hexadecimal) is left out: docs/lake.md
lists what still differs.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

Shape: TypeAlias = Mapping[str, "str | Shape"]
"""Columns, or a struct's fields, in order: a name with its DuckDB type or a shape of its own."""

_JAVA_SPACE: Final = "".join(map(chr, range(0x21)))
"""What `String.trim` removes."""
_LIMITS: Final = {"INTEGER": 2**31, "BIGINT": 2**63}
_NUMERIC: Final = frozenset("0123456789+-.eE")
"""Python reads more as a number than Java does: with blanks around it, for example."""

# Objects become tuples of pairs: keys may differ in case alone, or repeat, and the last one wins.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=tuple,
    parse_int=Decimal,
    parse_float=Decimal,
    parse_constant=str,
    strict=False,
)


def row(line: str, shape: Shape) -> dict[str, Any]:
    """The line's columns; all None for a line that is neither an object nor an array.

    What follows the first object is ignored; an array is read by position.
    """
    text = line.strip(_JAVA_SPACE)
    try:
        document, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        document = None
    return _fields(document, shape)


def _fields(value: Any, shape: Shape) -> dict[str, Any]:
    found: Mapping[str, Any] = {}
    if isinstance(value, tuple):
        named = {key.lower(): item for key, item in value}
        found = {name: named.get(name.lower()) for name in shape}
    elif isinstance(value, list):
        found = dict(zip(shape, value, strict=False))
    return {name: _column(found.get(name), kind) for name, kind in shape.items()}


def _column(value: Any, kind: str | Shape) -> Any:
    if value is None:
        return None
    if not isinstance(kind, str):
        return _fields(value, kind)
    text = value if isinstance(value, str) else _text(value)
    if kind == "VARCHAR":
        # As Java encodes a surrogate without its other half.
        return text.encode("utf-8", "replace").decode()
    return text.lower() == "true" if kind == "BOOLEAN" else _whole(text, _LIMITS[kind])


def _whole(text: str, limit: int) -> int | None:
    """A number without its fraction; None for what is not a number or out of the type's range."""
    if not _NUMERIC.issuperset(text):
        return None
    try:
        number = Decimal(text)
        return int(number) if -limit <= number.to_integral_value("ROUND_DOWN") < limit else None
    except ArithmeticError:
        return None


def _text(value: Any) -> str:
    """A value that is not text, as JSON."""
    if isinstance(value, tuple):
        return "{" + ",".join(f"{_text(key)}:{_text(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
