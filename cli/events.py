"""`participation events`: create an event, and show how it stands."""

import sys
from collections import Counter
from datetime import datetime
from typing import Annotated

import typer

from cli.running import connection_of, run_async
from config.settings import AwsSettings, load
from schema.items import Capacity, EventConfig
from schema.message import MAX_ID_BYTES
from schema.states import EventType

app = typer.Typer(help="Events that people take part in.", no_args_is_help=True)


@app.command()
def create(
    event_id: Annotated[str, typer.Argument(help="the event's id")],
    capacity: Annotated[int, typer.Option(min=0, help="seats")],
    event_type: Annotated[EventType, typer.Option("--type")] = EventType.FIRST_COME,
    opens_at: Annotated[
        datetime | None,
        typer.Option(
            help="earliest click, e.g. 2026-01-04T09:00:00+0900", formats=["%Y-%m-%dT%H:%M:%S%z"]
        ),
    ] = None,
    closes_at: Annotated[
        datetime | None, typer.Option(help="latest click", formats=["%Y-%m-%dT%H:%M:%S%z"])
    ] = None,
) -> None:
    """Create an event with its seats; exit code 1 where it exists."""
    if not 0 < len(event_id.encode()) <= MAX_ID_BYTES:
        raise typer.BadParameter(f"an event id has 1 to {MAX_ID_BYTES} bytes")
    if opens_at is not None and closes_at is not None and closes_at <= opens_at:
        raise typer.BadParameter("the event closes before it opens")
    settings = load(AwsSettings)
    created = run_async(
        _create,
        settings,
        EventConfig(
            event_id=event_id,
            event_type=event_type.value,
            opens_at_ms=_ms(opens_at),
            closes_at_ms=_ms(closes_at),
        ),
        Capacity(event_id=event_id, total=capacity, remaining=capacity),
    )
    if not created:
        sys.stderr.write(f"participation: the event {event_id!r} exists already\n")
        sys.exit(1)
    sys.stdout.write(f"created {event_type.value} event {event_id!r} with {capacity} seats\n")


@app.command()
def show(event_id: Annotated[str, typer.Argument(help="the event's id")]) -> None:
    """Show an event's seats and how its requests stand; exit code 1 where there is none."""
    sys.exit(run_async(_show, load(AwsSettings), event_id))


async def _create(settings: AwsSettings, config: EventConfig, capacity: Capacity) -> bool:
    from aws.sdk import open_client
    from aws.table import Table

    async with open_client("dynamodb", connection_of(settings)) as dynamodb:
        return await Table(dynamodb, settings.table_name).create_event(config, capacity)


async def _show(settings: AwsSettings, event_id: str) -> int:
    from aws.sdk import open_client
    from aws.table import Table

    async with open_client("dynamodb", connection_of(settings)) as dynamodb:
        table = Table(dynamodb, settings.table_name)
        state = (await table.load([], [event_id])).events[event_id]
        if not state.exists:
            sys.stderr.write(f"participation: there is no event {event_id!r}\n")
            return 1
        counts = Counter([item.status.value async for item in table.event_requests(event_id)])
    kind = "?" if state.config is None else state.config.event_type
    sys.stdout.write(f"event      {event_id} ({kind})\n")
    if state.capacity is not None:
        sys.stdout.write(f"seats      {state.capacity.remaining} of {state.capacity.total} left\n")
    for status, count in sorted(counts.items()):
        sys.stdout.write(f"{status:<12} {count}\n")
    return 0


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
