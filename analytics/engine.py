"""What both engines offer: run a statement by name, and say what can be said about the lake."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Protocol, TypeAlias

from analytics.parameters import Parameters
from analytics.results import QueryResult

Progress: TypeAlias = Callable[[str], None]
"""Receives a query's progress as one line."""


class LakeError(Exception):
    """A lake that cannot be read, or a query that failed; the message is for the operator."""


class QueryFailed(LakeError):
    """A query that the engine refused or gave up; it shows the reason and the statement."""

    def __init__(self, name: str, reason: str, statement: str) -> None:
        super().__init__(f"{name}: {reason}\n\n{statement}")
        self.name = name
        self.reason = reason
        self.statement = statement


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One arrival hour, as its folder names it."""

    dt: str
    hour: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which hours of a range the queries see, and which wait for a partition load."""

    loaded: tuple[Partition, ...]
    missing: tuple[Partition, ...]


class Engine(Protocol):
    """A way to run the lake's statements."""

    is_athena: bool
    """Whether tables, partitions and costs are Athena's."""

    @property
    def label(self) -> str:
        """The engine and its version, for the provenance of a result."""
        ...

    @property
    def source(self) -> str:
        """Where the lines lie, for the provenance of a result."""
        ...

    async def run(
        self, name: str, parameters: Parameters, progress: Progress | None = None
    ) -> QueryResult:
        """Run a query by its name; raises QueryFailed, LakeError, StatementError."""
        ...

    async def coverage(self, parameters: Parameters) -> Coverage:
        """Report which partitions of the days scanned are loaded, and which are not."""
        ...

    async def days(self) -> tuple[date, date] | None:
        """The first and the last arrival day that the engine knows; None for an empty lake."""
        ...


def empty_range_note(parameters: Parameters) -> str:
    """Say that nothing arrived."""
    return f"No line arrived between {parameters.dt_from} and {parameters.dt_to} (UTC)."


def missing_partitions_note(missing: tuple[Partition, ...]) -> str:
    """Say which partitions wait, and the command that loads them."""
    named = ", ".join(f"dt={hour.dt}/hour={hour.hour}" for hour in missing[:3])
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""  # noqa: PLR2004
    return (
        f"{len(missing)} partition(s) in the bucket are not loaded ({named}{more}): "
        "run `participation lake repair`."
    )
