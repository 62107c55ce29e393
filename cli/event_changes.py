"""`participation events close`, `open`, `reschedule` and `add-seats`: events changed."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from aws.errors import Transient
from cli.events import ClosesAt, EventId, OpensAt, check_in_future, seats_document, time_text
from cli.output import AsJson, fail, write_json
from cli.running import audited, connection_of, run_async
from config.settings import AwsSettings, load
from runtime.program import epoch_ms
from runtime.stop import ExitCode
from schema.items import MAX_SEATS, EventConfig


def close(event_id: EventId, as_json: AsJson = False) -> None:
    """Accept no more clicks; what was accepted (202) is still decided.

    Ingest follows within EVENT_CACHE_TTL_S.
    """
    from operations import events

    now_ms = epoch_ms()
    _change(event_id, "event_closed", lambda event: events.closed(event, now_ms), as_json=as_json)


def open_event(event_id: EventId, closes_at: ClosesAt = None, as_json: AsJson = False) -> None:
    """Accept clicks from now on, until --closes-at, or the event's own end if it is to come.

    Ingest follows within EVENT_CACHE_TTL_S.
    """
    check_in_future(closes_at)
    from operations import events

    now_ms = epoch_ms()
    _change(
        event_id,
        "event_opened",
        lambda event: events.opened(event, now_ms, closes_at),
        as_json=as_json,
    )


def reschedule(
    event_id: EventId,
    opens_at: OpensAt = None,
    closes_at: ClosesAt = None,
    no_opens_at: Annotated[
        bool, typer.Option("--no-opens-at", help="clicks are accepted from the beginning")
    ] = False,
    no_closes_at: Annotated[
        bool, typer.Option("--no-closes-at", help="clicks are accepted without end")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Change or remove the time when an event opens or closes; what is not given stays.

    Ingest follows within EVENT_CACHE_TTL_S. What was accepted (202) is still decided.
    """
    times: dict[str, int | None] = {}
    for name, at_ms, is_removed in (
        ("opens_at_ms", opens_at, no_opens_at),
        ("closes_at_ms", closes_at, no_closes_at),
    ):
        if at_ms is not None and is_removed:
            raise typer.BadParameter("give a time, or remove it, not both")
        if at_ms is not None or is_removed:
            times[name] = at_ms
    if not times:
        raise typer.BadParameter("give --opens-at, --closes-at, --no-opens-at or --no-closes-at")
    check_in_future(closes_at)
    from operations import events

    _change(
        event_id,
        "event_rescheduled",
        lambda event: events.rescheduled(event, times),
        as_json=as_json,
    )


def add_seats(
    event_id: EventId,
    seats: Annotated[
        int, typer.Argument(min=1, max=MAX_SEATS, help="how many more seats, not how many in all")
    ],
    as_json: AsJson = False,
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
        fail(f"interrupted: {unknown}", ExitCode.INTERRUPTED)
    audited(settings, "seats_added", event_id=event_id, seats=seats, total=now.total)
    if as_json:
        write_json({"eventId": event_id, **seats_document(now)})
        return
    sys.stdout.write(f"added {seats} seats to {event_id!r}: {now.remaining} of {now.total} left\n")


def _change(
    event_id: str, done: str, change: Callable[[EventConfig], EventConfig], *, as_json: bool
) -> None:
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
    if as_json:
        write_json(
            {
                "eventId": event_id,
                "opensAt": after.opens_at_ms,
                "closesAt": after.closes_at_ms,
                "openedAt": before.opens_at_ms,
                "closedAt": before.closes_at_ms,
            }
        )
        return
    for name, old, new in (
        ("opens", before.opens_at_ms, after.opens_at_ms),
        ("closes", before.closes_at_ms, after.closes_at_ms),
    ):
        was = "" if old == new else f" (was {time_text(old)})"
        sys.stdout.write(f"{name:<10} {time_text(new)}{was}\n")
