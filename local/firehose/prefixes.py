"""Where an object lies in the bucket: its prefix, evaluated as Firehose does, and its name."""

from datetime import UTC, datetime
from typing import Final

from local.errors import LocalError

_EXPRESSIONS: Final = {"!{timestamp:yyyy-MM-dd}": "%Y-%m-%d", "!{timestamp:HH}": "%H"}


def evaluate(prefix: str, arrived_at_ms: int) -> str:
    """Write out a prefix for an object whose oldest record arrived at that time.

    Times are UTC (AWS: "Understand custom prefixes for Amazon S3 objects"). Raises LocalError for
    a prefix with other expressions than those of this project's stream, or with none, to which
    Firehose would append its own.
    """
    arrived_at = _utc(arrived_at_ms)
    folder = prefix
    for expression, directive in _EXPRESSIONS.items():
        folder = folder.replace(expression, arrived_at.strftime(directive))
    if folder == prefix or "!{" in folder:
        raise LocalError(
            f"the prefix {prefix!r} is not imitated here: only one with "
            f"{' and '.join(_EXPRESSIONS)} is"
        )
    return folder


def object_name(stream_name: str, stream_version: str, arrived_at_ms: int, unique: str) -> str:
    """Name an object as Firehose does, to be put after the prefix."""
    return f"{stream_name}-{stream_version}-{_utc(arrived_at_ms):%Y-%m-%d-%H-%M-%S}-{unique}"


def _utc(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
