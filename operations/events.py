"""Creates an event with its seats, shows how it stands, and lists who won."""

from collections.abc import AsyncIterator
from random import Random
from typing import Final

from aws.client import Connection
from aws.sdk import open_client
from aws.table import EventState, Table
from schema.items import Capacity, EventConfig, RequestItem

_RANDOM: Final = Random()  # noqa: S311 - spreads repeated reads, no secret


async def create(connection: Connection, table_name: str, event: EventConfig, seats: int) -> bool:
    """Create an event, all its seats free; False, and nothing changed, where it exists."""
    capacity = Capacity(event_id=event.event_id, total=seats, remaining=seats)
    async with open_client("dynamodb", connection) as dynamodb:
        return await Table(dynamodb, table_name, _RANDOM).create_event(event, capacity)


async def state(connection: Connection, table_name: str, event_id: str) -> EventState | None:
    """How an event stands; None where it does not exist."""
    async with open_client("dynamodb", connection) as dynamodb:
        found = (await Table(dynamodb, table_name, _RANDOM).load([], [event_id])).events[event_id]
    return found if found.exists else None


async def winners(
    connection: Connection, table_name: str, event_id: str
) -> AsyncIterator[RequestItem]:
    """Who won in an event, in the order of the decisions (domain §9)."""
    async with open_client("dynamodb", connection) as dynamodb:
        async for request in Table(dynamodb, table_name, _RANDOM).winners(event_id):
            yield request
