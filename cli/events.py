"""`participation events`: create, list and show events."""

import sys
from typing import Annotated

import typer

from aws.table import EventState
from cli.output import AsJson, fail, iso, moment_ms, write_json, write_table
from cli.running import audited, connection_of, run_async
from config.settings import AwsSettings, load
from runtime.program import epoch_ms
from schema.items import MAX_SEATS, Capacity, EventConfig
from schema.message import MAX_ID_BYTES
from schema.states import EventType

_OUTSIDE_OF_PATHS = frozenset(" /\\?#%")

app = typer.Typer(help="Events that people take part in.", no_args_is_help=True)

EventId = Annotated[str, typer.Argument(metavar="EVENT", help="the event's id")]
OpensAt = Annotated[
    int | None,
    typer.Option(
        parser=moment_ms, metavar="TIME", help="earliest click, such as 2026-01-04T09:00+09:00"
    ),
]
ClosesAt = Annotated[
    int | None,
    typer.Option(parser=moment_ms, metavar="TIME", help="from then on no click is accepted"),
]


@app.command()
def create(
    event_id: EventId,
    capacity: Annotated[
        int, typer.Option(min=0, max=MAX_SEATS, metavar="SEATS", help="how many can win")
    ],
    event_type: Annotated[
        EventType,
        typer.Option(
            "--type",
            help="FIRST_COME: the first win; LOTTERY: all enter, and you draw from `winners`",
        ),
    ] = EventType.FIRST_COME,
    opens_at: OpensAt = None,
    closes_at: ClosesAt = None,
    as_json: AsJson = False,
) -> None:
    """Create an event with its seats; exit code 1 where it exists."""
    if not 0 < len(event_id.encode()) <= MAX_ID_BYTES:
        raise typer.BadParameter(f"an event id has 1 to {MAX_ID_BYTES} bytes")
    if not event_id.isprintable() or _OUTSIDE_OF_PATHS.intersection(event_id):
        raise typer.BadParameter("an event id is part of a URL's path: no space, no / \\ ? # %")
    check_in_future(closes_at, "give a later one, or none")
    if opens_at is not None and closes_at is not None and closes_at <= opens_at:
        raise typer.BadParameter("the event closes before it opens")
    from operations import events

    settings = load(AwsSettings)
    event = EventConfig(
        event_id=event_id,
        event_type=event_type.value,
        opens_at_ms=opens_at,
        closes_at_ms=closes_at,
    )
    connection = connection_of(settings)
    if not run_async(events.create, connection, settings.table_name, event, capacity):
        fail(f"the event {event_id!r} exists already")
    audited(
        settings,
        "event_created",
        event_id=event_id,
        event_type=event.event_type,
        capacity=capacity,
        opens_at=opens_at,
        closes_at=closes_at,
    )
    if as_json:
        seats = Capacity(event_id=event_id, total=capacity, remaining=capacity)
        write_json(document(event_id, EventState(event, seats)))
        return
    sys.stdout.write(f"created {event_type.value} event {event_id!r} with {capacity} seats\n")


@app.command("list")
def list_events(as_json: AsJson = False) -> None:
    """List the events, by id.

    An event that an earlier version created is listed once its times or seats are changed:
    nothing searches the table for it, which would read every request.
    """
    from operations import events

    settings = load(AwsSettings)
    found = run_async(events.listed, connection_of(settings), settings.table_name)
    shown = [document(event_id, event) for event_id, event in found.items()]
    if as_json:
        write_json(shown)
        return
    heading = ("EVENT", "TYPE", "PHASE", "LEFT", "SEATS", "OPENS", "CLOSES")
    keys = ("eventId", "eventType", "phase", "capacityRemaining", "capacityTotal")
    write_table(
        [
            heading,
            *(
                (
                    *(_text(one[key]) for key in keys),
                    time_text(one["opensAt"]),
                    time_text(one["closesAt"]),
                )
                for one in shown
            ),
        ]
    )


@app.command()
def show(event_id: EventId, as_json: AsJson = False) -> None:
    """Show an event's times and seats; exit code 1 where it does not exist.

    How many requests were turned away is a question to the lake: nothing counts them in the
    table, because one item that every click writes would bear only 1,000 a second.
    """
    from operations import events

    settings = load(AwsSettings)
    found = run_async(events.state, connection_of(settings), settings.table_name, event_id)
    if found is None:
        fail(f"there is no event {event_id!r}")
    one = document(event_id, found)
    if as_json:
        write_json(one)
        return
    sys.stdout.write(f"event      {event_id} ({_text(one['eventType'])})\n")
    sys.stdout.write(f"phase      {one['phase']}\n")
    for name, key in (("opens", "opensAt"), ("closes", "closesAt")):
        if one[key] is not None:
            sys.stdout.write(f"{name:<10} {time_text(one[key])}\n")
    if found.config is not None and found.config.event_type == EventType.LOTTERY:
        sys.stdout.write("entries    all who clicked: `participation events winners` lists them\n")
    if found.capacity is not None:
        left, total = found.capacity.remaining, found.capacity.total
        sys.stdout.write(f"seats      {left} of {total} left")
        share = one["takenShare"]
        sys.stdout.write(f", {share:.1%} taken\n" if share is not None else "\n")
    if found.defect is not None:
        sys.stdout.write(f"defect     {found.defect}\n")


def document(event_id: str, event: EventState) -> dict[str, str | int | float | None]:
    """An event as JSON."""
    from operations import events

    config = event.config
    return {
        "eventId": event_id,
        "eventType": None if config is None else config.event_type,
        "phase": events.phase(event, epoch_ms()).value,
        "opensAt": None if config is None else config.opens_at_ms,
        "closesAt": None if config is None else config.closes_at_ms,
        **seats_document(event.capacity),
        "defect": event.defect,
    }


def seats_document(capacity: Capacity | None) -> dict[str, int | float | None]:
    if capacity is None:
        return {"capacityTotal": None, "capacityRemaining": None, "takenShare": None}
    total, left = capacity.total, capacity.remaining
    return {
        "capacityTotal": total,
        "capacityRemaining": left,
        "takenShare": (total - left) / total if total else None,
    }


def check_in_future(
    closes_at_ms: int | None, instead: str = "`participation events close` closes now"
) -> None:
    if closes_at_ms is not None and closes_at_ms <= epoch_ms():
        raise typer.BadParameter(f"--closes-at has passed; {instead}")


def _text(value: str | float | None) -> str:
    return "?" if value is None else str(value)


def time_text(at_ms: str | float | None) -> str:
    return "-" if at_ms is None else iso(int(at_ms))
