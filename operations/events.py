"""Creates an event with its seats, and shows how an event and its requests stand."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from aws.client import Connection
from aws.sdk import open_client
from aws.table import EventState, Table
from schema.items import Capacity, EventConfig


@dataclass(frozen=True, slots=True)
class EventStanding:
    """An event, its seats, and how many of its requests there are by status."""

    state: EventState
    requests: Mapping[str, int]


async def create(connection: Connection, table_name: str, event: EventConfig, seats: int) -> bool:
    """Create an event, all its seats free; False, and nothing changed, where it exists."""
    capacity = Capacity(event_id=event.event_id, total=seats, remaining=seats)
    async with open_client("dynamodb", connection) as dynamodb:
        return await Table(dynamodb, table_name).create_event(event, capacity)


async def standing(connection: Connection, table_name: str, event_id: str) -> EventStanding | None:
    """How an event stands; None where it does not exist."""
    async with open_client("dynamodb", connection) as dynamodb:
        table = Table(dynamodb, table_name)
        state = (await table.load([], [event_id])).events[event_id]
        if not state.exists:
            return None
        counts = Counter([item.status.value async for item in table.event_requests(event_id)])
    return EventStanding(state, counts)
