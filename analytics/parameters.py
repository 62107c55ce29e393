"""What a query is asked about: days, an event, a capacity; and the values its statement binds."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Self

from analytics.statements import ParameterName, Statement

DEFAULT_SLACK_DAYS: Final = 1
"""EventBridge gives up on Firehose after 24 hours (AWS: Retry policy), so a line arrives within
a day of its completion, or never; a file begun before midnight puts a line the day before."""

_MAX_EVENT_ID: Final = 1024
"""Athena takes execution parameters up to this length (AWS: StartQueryExecution)."""


class ParameterError(ValueError):
    """A range that ends before it begins, or a value no lake can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The days (UTC, both included), and what else a statement may ask for.

    A statement by arrival day reads the partitions from `dt_from` to `dt_to`. A statement by event
    time keeps the events of those days, and reads `slack_days` more on both sides, for lines whose
    arrival falls on the other side of midnight.
    """

    dt_from: date
    dt_to: date
    event_id: str | None = None
    """None: all events."""
    capacity: int | None = None
    """None: unknown."""
    slack_days: int = DEFAULT_SLACK_DAYS

    def __post_init__(self) -> None:
        if self.dt_to < self.dt_from:
            raise ParameterError(f"the range ends ({self.dt_to}) before it begins ({self.dt_from})")
        if self.slack_days < 0:
            raise ParameterError("the slack cannot be negative")
        if self.capacity is not None and self.capacity < 1:
            raise ParameterError("a capacity is at least 1")
        if self.event_id is not None and not self._event_id_is_lawful(self.event_id):
            raise ParameterError(
                f"an event id has 1 to {_MAX_EVENT_ID} characters and no control characters"
            )

    @classmethod
    def parse(cls, dt_from: str, dt_to: str, event_id: str | None = None) -> Self:
        """Read days as `2026-01-04`; raises ParameterError."""
        try:
            return cls(
                dt_from=date.fromisoformat(dt_from),
                dt_to=date.fromisoformat(dt_to),
                event_id=event_id,
            )
        except ValueError as error:
            raise ParameterError(str(error)) from None

    @property
    def scan_from(self) -> date:
        """The first arrival day that a statement by event time reads."""
        return self.dt_from - timedelta(days=self.slack_days)

    @property
    def scan_to(self) -> date:
        """The last arrival day that a statement by event time reads."""
        return self.dt_to + timedelta(days=self.slack_days)

    @property
    def from_ms(self) -> int:
        """The first instant of the first day, in epoch ms."""
        return _midnight_ms(self.dt_from)

    @property
    def to_ms(self) -> int:
        """The first instant after the last day, in epoch ms."""
        return _midnight_ms(self.dt_to + timedelta(days=1))

    def values(self, statement: Statement) -> tuple[str | int, ...]:
        """The values of the statement's `?`, in order."""
        values: dict[ParameterName, str | int] = {
            ParameterName.DT_FROM: self.dt_from.isoformat(),
            ParameterName.DT_TO: self.dt_to.isoformat(),
            ParameterName.SCAN_FROM: self.scan_from.isoformat(),
            ParameterName.SCAN_TO: self.scan_to.isoformat(),
            ParameterName.FROM_MS: self.from_ms,
            ParameterName.TO_MS: self.to_ms,
            ParameterName.EVENT_ID: self.event_id or "",
            ParameterName.CAPACITY: self.capacity or 0,
        }
        return tuple(values[name] for name in statement.parameters)

    def days_read(self, statement: Statement) -> tuple[date, date]:
        """The first and the last arrival day that the statement reads."""
        if ParameterName.SCAN_FROM in statement.parameters:
            return self.scan_from, self.scan_to
        return self.dt_from, self.dt_to

    @staticmethod
    def _event_id_is_lawful(event_id: str) -> bool:
        return 0 < len(event_id) <= _MAX_EVENT_ID and event_id.isprintable()


def _midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
