"""Evaluates the expressions in a Firehose prefix, as AWS documents them for S3 objects."""

import re
from datetime import UTC, datetime
from typing import Final

from local.errors import LocalError

_EXPRESSION: Final = re.compile(r"!\{([A-Za-z]+):([^}]*)\}")
_DEFAULT_PREFIX: Final = "!{timestamp:yyyy/MM/dd/HH/}"
"""Firehose appends it where a prefix has no timestamp of its own."""
_PATTERN_PART: Final = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+")


def evaluate(prefix: str, arrived_at_ms: int) -> str:
    """Write out a prefix for an object whose oldest record arrived at that time.

    Times are UTC (AWS: "Understand custom prefixes for Amazon S3 objects"). Raises LocalError for
    an expression other than `!{timestamp:…}`, or a letter of its pattern that is not a number of
    year, month, day, hour, minute or second.
    """
    arrived_at = datetime.fromtimestamp(arrived_at_ms / 1000, UTC)
    if "!{timestamp:" not in prefix:
        prefix += _DEFAULT_PREFIX

    def value_of(expression: re.Match[str]) -> str:
        namespace, pattern = expression.groups()
        if namespace != "timestamp":
            raise LocalError(f"the prefix expression {expression.group()!r} is not imitated here")
        return _format(pattern, arrived_at)

    return _EXPRESSION.sub(value_of, prefix)


def object_name(stream_name: str, stream_version: str, arrived_at_ms: int, unique: str) -> str:
    """Name an object as Firehose does, to be put after the prefix."""
    arrived_at = datetime.fromtimestamp(arrived_at_ms / 1000, UTC)
    return f"{stream_name}-{stream_version}-{arrived_at:%Y-%m-%d-%H-%M-%S}-{unique}"


def _format(pattern: str, at: datetime) -> str:
    """Write a time by a pattern of Java's DateTimeFormatter."""
    parts: list[str] = []
    end = 0
    for part in _PATTERN_PART.finditer(pattern):
        if part.start() != end:
            break
        end = part.end()
        quoted, letter = part.groups()
        if quoted is not None:
            parts.append(quoted.replace("''", "'") or "'")
        elif letter is not None:
            parts.append(_field(part.group(), at))
        else:
            parts.append(part.group())
    if end != len(pattern):
        raise LocalError(f"the timestamp pattern {pattern!r} has a quote without an end")
    return "".join(parts)


def _field(letters: str, at: datetime) -> str:
    values = {
        "y": at.year,
        "M": at.month,
        "d": at.day,
        "H": at.hour,
        "m": at.minute,
        "s": at.second,
    }
    value = values.get(letters[0])
    width = len(letters)
    if value is None or (letters[0] == "M" and width > 2):  # noqa: PLR2004 - MMM is a name
        raise LocalError(f"the timestamp pattern {letters!r} is not imitated here")
    if letters == "yy":
        value %= 100
    return f"{value:0{width}d}"
