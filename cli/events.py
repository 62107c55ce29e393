"""`participation events`: create an event, show how it stands, and list who won."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.running import connection_of, run_async
from config.settings import AwsSettings, load
from schema.items import EventConfig
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
    from operations import events

    settings = load(AwsSettings)
    event = EventConfig(
        event_id=event_id,
        event_type=event_type.value,
        opens_at_ms=_ms(opens_at),
        closes_at_ms=_ms(closes_at),
    )
    connection = connection_of(settings)
    if not run_async(events.create, connection, settings.table_name, event, capacity):
        sys.stderr.write(f"participation: the event {event_id!r} exists already\n")
        sys.exit(1)
    sys.stdout.write(f"created {event_type.value} event {event_id!r} with {capacity} seats\n")


@app.command()
def show(event_id: Annotated[str, typer.Argument(help="the event's id")]) -> None:
    """Show an event's times and seats; exit code 1 where it does not exist.

    How many requests were turned away is a question to the lake: nothing counts them in the
    table, because one item that every click writes would bear only 1,000 a second.
    """
    from operations import events

    settings = load(AwsSettings)
    found = run_async(events.state, connection_of(settings), settings.table_name, event_id)
    if found is None:
        sys.stderr.write(f"participation: there is no event {event_id!r}\n")
        sys.exit(1)
    config, seats = found.config, found.capacity
    sys.stdout.write(f"event      {event_id} ({'?' if config is None else config.event_type})\n")
    if config is not None:
        for name, at_ms in (("opens", config.opens_at_ms), ("closes", config.closes_at_ms)):
            if at_ms is not None:
                sys.stdout.write(f"{name:<10} {_iso(at_ms)}\n")
    if seats is not None:
        sys.stdout.write(f"seats      {seats.remaining} of {seats.total} left\n")


@app.command()
def winners(event_id: Annotated[str, typer.Argument(help="the event's id")]) -> None:
    """List who won a seat, or entered a lottery, in the order of the decisions.

    One line each: when it was decided (UTC), the user, the request.
    """
    from operations import events

    settings = load(AwsSettings)

    async def write() -> None:
        async for request in events.winners(connection_of(settings), settings.table_name, event_id):
            decided = "?" if request.finished_at_ms is None else _iso(request.finished_at_ms)
            sys.stdout.write(f"{decided}\t{request.user_id}\t{request.request_id}\n")

    run_async(write)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def _iso(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
