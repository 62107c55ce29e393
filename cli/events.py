"""`participation events`: create, change, list and show events, and list who won."""

import sys
from collections.abc import Callable
from time import time_ns
from typing import TYPE_CHECKING, Annotated

import typer

from aws.errors import Transient
from cli.output import AsJson, fail, iso, moment_ms, write_json, write_table
from cli.running import audited, connection_of, run_async
from config.settings import AwsSettings, load
from schema.items import EventConfig
from schema.message import MAX_ID_BYTES
from schema.states import EventType

if TYPE_CHECKING:
    from aws.table import EventState

app = typer.Typer(help="Events that people take part in.", no_args_is_help=True)

EventId = Annotated[str, typer.Argument(help="the event's id")]
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
    capacity: Annotated[int, typer.Option(min=0, help="seats")],
    event_type: Annotated[EventType, typer.Option("--type")] = EventType.FIRST_COME,
    opens_at: OpensAt = None,
    closes_at: ClosesAt = None,
) -> None:
    """Create an event with its seats; exit code 1 where it exists."""
    if not 0 < len(event_id.encode()) <= MAX_ID_BYTES:
        raise typer.BadParameter(f"an event id has 1 to {MAX_ID_BYTES} bytes")
    _check_in_future(closes_at)
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
    shown = [_document(event_id, event) for event_id, event in found.items()]
    if as_json:
        write_json(shown)
        return
    heading = ("EVENT", "TYPE", "PHASE", "LEFT", "SEATS", "OPENS", "CLOSES")
    keys = ("eventId", "eventType", "phase", "capacityRemaining", "capacityTotal")
    write_table(
        [
            heading,
            *(
                (*(_text(one[key]) for key in keys), _time(one["opensAt"]), _time(one["closesAt"]))
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
    one = _document(event_id, found)
    if as_json:
        write_json(one)
        return
    sys.stdout.write(f"event      {event_id} ({_text(one['eventType'])})\n")
    sys.stdout.write(f"phase      {one['phase']}\n")
    for name, key in (("opens", "opensAt"), ("closes", "closesAt")):
        if one[key] is not None:
            sys.stdout.write(f"{name:<10} {_time(one[key])}\n")
    if found.capacity is not None:
        left, total = found.capacity.remaining, found.capacity.total
        sys.stdout.write(f"seats      {left} of {total} left")
        share = one["takenShare"]
        sys.stdout.write(f", {share:.1%} taken\n" if share is not None else "\n")
    if found.defect is not None:
        sys.stdout.write(f"defect     {found.defect}\n")


@app.command()
def close(event_id: EventId) -> None:
    """Accept no more clicks; what was accepted (202) is still decided.

    Ingest follows within EVENT_CACHE_TTL_S.
    """
    from operations import events

    now_ms = _now_ms()
    _change(event_id, "event_closed", lambda event: events.closed(event, now_ms))


@app.command("open")
def open_event(event_id: EventId, closes_at: ClosesAt = None) -> None:
    """Accept clicks from now on, until --closes-at, or the event's own end if it is to come.

    Ingest follows within EVENT_CACHE_TTL_S.
    """
    _check_in_future(closes_at)
    from operations import events

    now_ms = _now_ms()
    _change(event_id, "event_opened", lambda event: events.opened(event, now_ms, closes_at))


@app.command()
def reschedule(event_id: EventId, opens_at: OpensAt = None, closes_at: ClosesAt = None) -> None:
    """Change when an event opens or closes; what is not given stays.

    Ingest follows within EVENT_CACHE_TTL_S. What was accepted (202) is still decided.
    """
    if opens_at is None and closes_at is None:
        raise typer.BadParameter("give --opens-at, --closes-at or both")
    _check_in_future(closes_at)
    from operations import events

    _change(
        event_id,
        "event_rescheduled",
        lambda event: events.rescheduled(event, opens_at, closes_at),
    )


@app.command("add-seats")
def add_seats(
    event_id: EventId,
    seats: Annotated[int, typer.Argument(min=1, help="how many more seats, not how many in all")],
) -> None:
    """Add seats to an event, also while it sells.

    They are for requests that are not decided yet; workers notice within two seconds. Whoever was
    rejected before stays rejected. Seats cannot be taken away.
    """
    from operations import events

    settings = load(AwsSettings)
    unknown = (
        "it is unknown whether the seats were added: look at the total by "
        "`participation events show` before you repeat this"
    )
    try:
        now = run_async(
            events.add_seats, connection_of(settings), settings.table_name, event_id, seats
        )
    except events.EventError as error:
        fail(str(error))
    except Transient as error:
        fail(f"{error}\n{unknown}")
    except KeyboardInterrupt:
        fail(f"interrupted: {unknown}", 130)
    audited(settings, "seats_added", event_id=event_id, seats=seats, total=now.total)
    sys.stdout.write(f"added {seats} seats to {event_id!r}: {now.remaining} of {now.total} left\n")


def _change(event_id: str, done: str, change: Callable[[EventConfig], EventConfig]) -> None:
    """Change an event's times, and say how they were and are."""
    from operations import events

    settings = load(AwsSettings)
    connection = connection_of(settings)
    try:
        before, after = run_async(
            events.set_times, connection, settings.table_name, event_id, change
        )
    except events.EventError as error:
        fail(str(error))
    if before != after:
        audited(
            settings,
            done,
            event_id=event_id,
            opens_at=after.opens_at_ms,
            closes_at=after.closes_at_ms,
            opened_at=before.opens_at_ms,
            closed_at=before.closes_at_ms,
        )
    for name, old, new in (
        ("opens", before.opens_at_ms, after.opens_at_ms),
        ("closes", before.closes_at_ms, after.closes_at_ms),
    ):
        was = "" if old == new else f" (was {_time(old)})"
        sys.stdout.write(f"{name:<10} {_time(new)}{was}\n")


def _document(event_id: str, event: "EventState") -> dict[str, str | int | float | None]:
    """An event as JSON."""
    from operations import events

    config, seats = event.config, event.capacity
    total = None if seats is None else seats.total
    left = None if seats is None else seats.remaining
    return {
        "eventId": event_id,
        "eventType": None if config is None else config.event_type,
        "phase": events.phase(event, _now_ms()).value,
        "opensAt": None if config is None else config.opens_at_ms,
        "closesAt": None if config is None else config.closes_at_ms,
        "capacityTotal": total,
        "capacityRemaining": left,
        "takenShare": (total - left) / total if total and left is not None else None,
        "defect": event.defect,
    }


def _check_in_future(closes_at_ms: int | None) -> None:
    if closes_at_ms is not None and closes_at_ms <= _now_ms():
        raise typer.BadParameter("--closes-at has passed; `participation events close` closes now")


def _now_ms() -> int:
    return time_ns() // 1_000_000


def _text(value: str | float | None) -> str:
    return "?" if value is None else str(value)


def _time(at_ms: str | float | None) -> str:
    return "-" if at_ms is None else iso(int(at_ms))
