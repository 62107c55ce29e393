"""What an event's clicks need of an AWS account, and at which rate they reach which limit of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, isfinite
from typing import Final, Self

from config import limits as aws
from config import quotas
from config.quotas import LimitError, Limits
from config.settings import WorkerSettings
from operations import demand, tasks
from operations.needs import Needs

_OF_THE_ACCOUNT: Final = ("table_quota_units", "fargate_vcpus", "load_balancer_units")
MAX_IN_FLIGHT: Final[int] = WorkerSettings.model_fields["max_in_flight"].default
"""Of one worker, where nobody sets it."""


class Effect(StrEnum):
    """What a limit does to people and to the lake, where it is reached."""

    CLICKS_REFUSED = "clicksRefused"
    DECISIONS_LATE = "decisionsLate"
    LAKE_LATE = "lakeLate"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLoad:
    """An event's clicks: how many a second at the peak, for how long, and for how many seats."""

    rate: float
    seconds: float
    seats: int

    @property
    def requests(self) -> float:
        """Clicks in all, each of another person."""
        return self.rate * self.seconds

    @property
    def winners(self) -> float:
        """Who gets a seat."""
        return min(self.seats, self.requests)

    @property
    def winners_a_second(self) -> float:
        """Of the second in which most seats are sold."""
        return min(self.seats, self.rate, demand.SEATS_PER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """What the account bears as it is."""

    limits: Limits
    table_quota_units: float = aws.DYNAMODB_TABLE_UNITS
    """Up to which a table or an index can be warmed."""
    fargate_vcpus: float = aws.FARGATE_VCPUS
    load_balancer_units: float = aws.RESERVED_LOAD_BALANCER_UNITS
    """How many LCUs may be reserved in the region."""

    @classmethod
    def of(cls, region: str, raised: Mapping[str, float | None]) -> Self:
        """Default quotas and a cold table, but for what was raised, by name.

        Raises LimitError for an unknown region or limit, and for values that are none.
        """
        own: dict[str, float] = {}
        others: dict[str, float | None] = {}
        for name, value in raised.items():
            if name not in _OF_THE_ACCOUNT:
                others[name] = value
            elif value is not None and isfinite(value) and value >= 0:
                own[name] = value
            else:
                raise LimitError(f"{name} must be a number, and not below 0")
        return cls(limits=Limits.of(region).replaced(others, *_OF_THE_ACCOUNT), **own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """One limit beside what the load asks of it."""

    limit: str
    """By its name in `Limits`."""
    what: str
    """Which units, calls, bytes or messages it counts."""
    available: float
    needed: float
    """In the busiest second."""
    reached_at: float
    """The rate of clicks a second at which it is reached, however long they last."""
    lets_through: float
    """Requests a second that get through once it is reached."""
    effect: Effect

    def is_reached(self, load: EventLoad) -> bool:
        """Whether the load asks for more than there is."""
        return load.rate > self.reached_at

    def used_up_after_s(self, load: EventLoad) -> float | None:
        """When it is first in the way, from the first click on; None where it is not reached.

        A limit that has rested gives a second's worth more; messages in flight only add up.
        """
        if not self.is_reached(load):
            return None
        lag_s = (
            demand.PUBLISHED_AFTER_S if self.effect is Effect.LAKE_LATE else demand.WRITTEN_AFTER_S
        )
        by = load.rate if self.limit == quotas.COUNTED else self.needed - self.available
        return lag_s + self.available / by

    def accepted_at_most(self, load: EventLoad) -> float:
        """Clicks a second that are accepted, while what they leave to decide waits."""
        refuses = self.is_reached(load) and self.effect is Effect.CLICKS_REFUSED
        return min(load.rate, self.available / demand.STORED_UNITS) if refuses else load.rate

    def late_s(self, accepted: float, load: EventLoad) -> float:
        """How long after the last click it lets the last request through, of so many a second."""
        return max(0.0, load.seconds * (accepted / self.lets_through - 1))


def needs(load: EventLoad) -> Needs:
    """What must be there for nothing to bind at the load's rate."""
    rate, winners = load.rate, load.winners_a_second
    workers = max(tasks.LEAST_TASKS, tasks.workers(rate))
    ingests = max(tasks.LEAST_TASKS, tasks.ingests(rate))
    calls = ceil(rate / demand.EVENTS_A_CALL + workers * demand.PART_FILLED_CALLS_PER_S)
    return Needs(
        rate=rate,
        seconds=load.seconds,
        seats=load.seats,
        table_write_units=ceil(
            rate * demand.TABLE_WRITE_UNITS + winners * demand.WINNER_WRITE_UNITS
        ),
        index_write_units=ceil(rate * demand.INDEX_WRITE_UNITS),
        table_read_units=ceil(rate * demand.READ_UNITS),
        put_events_calls=calls,
        invocations=ceil(rate),
        firehose_bytes=ceil(rate * demand.EVENT_BYTES),
        firehose_records=ceil(rate),
        in_flight_messages=workers * max_in_flight(workers),
        worker_tasks=workers,
        ingest_tasks=ingests,
        vcpus=float(workers + ingests),
        load_balancer_units=ceil(rate / demand.CLICKS_A_LOAD_BALANCER_UNIT),
        firehose_calls=calls,
        winners_index_write_units=ceil(winners * demand.WINNER_INDEX_WRITE_UNITS),
    )


def max_in_flight(workers: int) -> int:
    """MAX_IN_FLIGHT of each of so many workers: together they stay below the queue's limit."""
    return min(MAX_IN_FLIGHT, aws.SQS_IN_FLIGHT_MESSAGES // workers)


def ceilings(load: EventLoad, limits: Limits) -> tuple[Ceiling, ...]:
    """The limits beside what the load asks of them, that of the lowest rate first.

    Partitions are not among them: no key is shared by what clicks write, and reads and sales of
    an event's own items take turns (docs/operations.md, "What binds first").
    """
    waits, lags = Effect.DECISIONS_LATE, Effect.LAKE_LATE
    full = 1 / demand.EVENTS_A_CALL
    part = needs(load).worker_tasks * demand.PART_FILLED_CALLS_PER_S
    rows = (
        ("index_write_units", "GSI1 write units", demand.INDEX_WRITE_UNITS, 0.0, waits),
        ("table_read_units", "table read units", demand.READ_UNITS, 0.0, waits),
        ("put_events_per_s", "PutEvents calls", full, part, waits),
        ("in_flight_messages", "messages in flight", demand.IN_FLIGHT_S, 0.0, waits),
        ("invocations_per_s", "rule invocations", 1.0, 0.0, lags),
        ("firehose_bytes_per_s", "Firehose bytes", demand.EVENT_BYTES, 0.0, lags),
        ("firehose_records_per_s", "Firehose records", 1.0, 0.0, lags),
        ("firehose_calls_per_s", "Firehose calls", full, part, lags),
    )
    found = [
        Ceiling(
            limit=name,
            what=what,
            available=available,
            needed=load.rate * each + always,
            # Calls that are not full are never more than one a click.
            reached_at=max((available - always) / each, min(available, available / each)),
            lets_through=available / each,
            effect=effect,
        )
        for name, what, each, always, effect in rows
        if (available := getattr(limits, name)) is not None
    ]
    found += [_table_writes(load, limits.table_write_units)] if limits.table_write_units else []
    return tuple(sorted(found, key=lambda ceiling: ceiling.reached_at))


def _table_writes(load: EventLoad, available: float) -> Ceiling:
    return Ceiling(
        limit="table_write_units",
        what="table write units",
        available=available,
        needed=needs(load).table_write_units,
        reached_at=(reached_at := _table_reached_at(load.seats, available)),
        lets_through=reached_at,
        effect=Effect.CLICKS_REFUSED,
    )


def _table_reached_at(seats: int, available: float) -> float:
    """The rate that the table bears, though winners take more while seats are sold.

    A rested table has saved one second's units (simulation/aws/dynamodb/meter.py). Few seats are
    sold from these; with many, `seats / rate * (taken a second - available)` reaches them.
    """
    loser, more = demand.TABLE_WRITE_UNITS, demand.WINNER_WRITE_UNITS
    reached_at = available / loser
    if seats * more > available:
        reached_at = available * seats / (seats * (loser + more) - available)
        if reached_at > demand.SEATS_PER_S:
            saved_a_second = available * demand.SEATS_PER_S / seats
            reached_at = (available + saved_a_second - more * demand.SEATS_PER_S) / loser
    return min(reached_at, available / loser)
