"""Creates and changes events, shows how they stand, and lists who won."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from enum import StrEnum
from random import Random, SystemRandom
from typing import Final

from aws.client import Connection
from aws.event_changes import EventChanges
from aws.sdk import open_client
from aws.table import EventState, Table
from schema.items import MAX_SEATS, Capacity, EventConfig, RequestItem
from schema.states import EventType

_RANDOM: Final[Random] = SystemRandom()
"""Spreads repetitions, and makes the tokens that two operators must not share."""


class EventError(Exception):
    """What an operator asked for cannot be done; the text says why."""


class Phase(StrEnum):
    """Where an event stands between its times."""

    UPCOMING = "UPCOMING"
    OPEN = "OPEN"
    SOLD_OUT = "SOLD_OUT"
    """Open still: clicks are accepted, and rejected for want of a seat."""
    CLOSED = "CLOSED"
    """Ingest accepts no click any more, nor will it; what it accepted is still decided."""
    BROKEN = "BROKEN"
    """A stored item is missing or breaks the contract (domain §3)."""


async def create(connection: Connection, table_name: str, event: EventConfig, seats: int) -> bool:
    """Create an event, all its seats free; False, and nothing changed, where it exists."""
    capacity = Capacity(event_id=event.event_id, total=seats, remaining=seats)
    async with _opened(connection, table_name) as (table, _):
        return await table.create_event(event, capacity)


async def state(connection: Connection, table_name: str, event_id: str) -> EventState | None:
    """How an event stands; None where it does not exist."""
    async with _opened(connection, table_name) as (table, _):
        found = (await table.load([], [event_id])).events[event_id]
    return found if found.exists or found.defect else None


async def listed(connection: Connection, table_name: str) -> Mapping[str, EventState]:
    """The events that are listed, by id; an earlier version's are only once they are changed."""
    async with _opened(connection, table_name) as (table, changes):
        return (await table.load([], await changes.ids())).events


async def set_times(
    connection: Connection,
    table_name: str,
    event_id: str,
    change: Callable[[EventConfig], EventConfig],
) -> tuple[EventConfig, EventConfig]:
    """Change when an event opens and closes; returns how it was and how it is now.

    Raises EventError where there is no such event, or somebody else changed it meanwhile.
    """
    async with _opened(connection, table_name) as (table, changes):
        before = (await _existing(table, event_id)).config
        if before is None:
            raise EventError(f"the event {event_id!r} has no configuration item")
        after = change(before)
        if after != before and not await changes.set_times(before, after):
            raise EventError(f"the event {event_id!r} was changed meanwhile: look, and try again")
        return before, after


async def add_seats(connection: Connection, table_name: str, event_id: str, seats: int) -> Capacity:
    """Add free seats to an event, also while it sells; returns how many there are now.

    Workers notice within two seconds. Whoever was rejected before stays rejected (domain §9).
    Raises EventError where there is no such event, Transient where it is unknown whether the seats
    were added.
    """
    async with _opened(connection, table_name) as (table, changes):
        await _existing(table, event_id)
        is_changed = await changes.add_seats(event_id, seats)
        now = await table.capacity(event_id)
    if now is None:
        raise EventError(f"the event {event_id!r} has no capacity item")
    if not is_changed:
        raise EventError(
            f"the event {event_id!r} has {now.total:,} seats, and may have {MAX_SEATS:,} in all"
        )
    return now


async def winners(
    connection: Connection, table_name: str, event_id: str
) -> AsyncGenerator[RequestItem, None]:
    """Who won in an event, in the order of the decisions (domain §9).

    Raises EventError where there is no such event.
    """
    async with _opened(connection, table_name) as (table, _):
        await _existing(table, event_id)
        async for request in table.winners(event_id):
            yield request


def closed(event: EventConfig, at_ms: int) -> EventConfig:
    """The event without any further click from a moment on; one that is closed stays as it is."""
    if event.closes_at_ms is not None and event.closes_at_ms <= at_ms:
        return event
    return replace(event, closes_at_ms=at_ms)


def opened(event: EventConfig, at_ms: int, closes_at_ms: int | None = None) -> EventConfig:
    """The event open from a moment on, until `closes_at_ms` or the end that it has, if any."""
    opens, closes = event.opens_at_ms, closes_at_ms or event.closes_at_ms
    return replace(
        event,
        opens_at_ms=at_ms if opens is not None and opens > at_ms else opens,
        closes_at_ms=None if closes is not None and closes <= at_ms else closes,
    )


def rescheduled(event: EventConfig, times: Mapping[str, int | None]) -> EventConfig:
    """The event with other times by the fields' names, None removing one.

    Raises EventError where it would never open.
    """
    after = replace(
        event,
        opens_at_ms=times.get("opens_at_ms", event.opens_at_ms),
        closes_at_ms=times.get("closes_at_ms", event.closes_at_ms),
    )
    opens, closes = after.opens_at_ms, after.closes_at_ms
    if opens is not None and closes is not None and closes <= opens:
        raise EventError(f"the event {event.event_id!r} would close before it opens")
    return after


def phase(event: EventState, now_ms: int) -> Phase:
    """Where an event stands at a moment, by ingest's comparisons (domain §5)."""
    config, capacity = event.config, event.capacity
    if event.defect is not None or config is None or capacity is None:
        return Phase.BROKEN
    if config.closes_at_ms is not None and now_ms >= config.closes_at_ms:
        return Phase.CLOSED
    if config.opens_at_ms is not None and now_ms < config.opens_at_ms:
        return Phase.UPCOMING
    takes_seats = config.event_type != EventType.LOTTERY
    return Phase.SOLD_OUT if takes_seats and capacity.remaining <= 0 else Phase.OPEN


async def _existing(table: Table, event_id: str) -> EventState:
    found = (await table.load([], [event_id])).events[event_id]
    if found.defect is not None:
        raise EventError(f"an item of the event {event_id!r} breaks the contract: {found.defect}")
    if not found.exists:
        raise EventError(f"there is no event {event_id!r}")
    return found


@asynccontextmanager
async def _opened(
    connection: Connection, table_name: str
) -> AsyncIterator[tuple[Table, EventChanges]]:
    async with open_client("dynamodb", connection) as dynamodb:
        yield (
            Table(dynamodb, table_name, _RANDOM),
            EventChanges(dynamodb, table_name, _RANDOM),
        )
