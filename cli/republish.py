"""`participation lake republish`: events that were lost and kept, published after all."""

import sys
from contextlib import AbstractAsyncContextManager
from random import SystemRandom
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.output import AsJson, fail, write_json
from cli.running import connection_of, run_async
from config.settings import CommonSettings, SettingsError, load
from runtime.program import epoch_ms
from runtime.stop import ExitCode

if TYPE_CHECKING:
    from aws.bus import Bus
    from aws.queue import Queue
    from operations.lost_events import Found, Republished

_STAYED: Final = 1


def republish(
    most: Annotated[
        int | None,
        typer.Option("--max", min=1, metavar="COUNT", help="maximum number of events to publish"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only count, and say how old the oldest is")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish the events on the queue of lost events (LOST_EVENTS_QUEUE_URL), and delete them.

    An event is deleted only after the bus accepted it: killed at any moment it loses nothing, and
    the next run continues. An event may then be published twice, which is harmless: the view
    participation_requests keeps one row for each requestId. What cannot be read stays.
    Exit codes: 0 all published, 1 some stayed, 2 wrong settings, 130 interrupted.
    """
    settings = load(CommonSettings)
    if settings.lost_events_queue_url is None:
        about = CommonSettings.model_fields["lost_events_queue_url"].description
        raise SettingsError(f"LOST_EVENTS_QUEUE_URL is not set ({about})")
    try:
        code = run_async(_look if dry_run else _republish, settings, most, as_json)
    except KeyboardInterrupt:
        fail(
            "interrupted: what is not published is still there; run it again", ExitCode.INTERRUPTED
        )
    sys.exit(code)


async def _look(settings: CommonSettings, most: int | None, as_json: bool) -> int:
    from operations import lost_events

    async with _queue_and_bus(settings) as (queue, _):
        found = await lost_events.look(queue, most)
    if as_json:
        write_json(
            {
                "events": found.by_type.total(),
                "byType": found.by_type,
                "unreadable": found.unreadable,
                "oldestSentAt": found.oldest_sent_at_ms,
            }
        )
    else:
        _show(found)
    return 0


async def _republish(settings: CommonSettings, most: int | None, as_json: bool) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from operations import lost_events

    async with _queue_and_bus(settings) as (queue, bus):
        total = (await queue.describe()).approximate_messages
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("republish", total=min(total, most or total))

            def advanced(done: "Republished") -> None:
                progress.advance(task, done.published)

            done = await lost_events.republish(
                queue, bus, random=SystemRandom(), limit=most, advanced=advanced
            )
    if as_json:
        counts = {"published": done.published, "notAccepted": done.failed}
        write_json(counts | {"unreadable": done.unreadable})
        return _STAYED if done.stayed else 0
    sys.stdout.write(
        f"{done.published} event(s) published, {done.failed} not accepted, "
        f"{done.unreadable} unreadable\n"
    )
    return _STAYED if done.stayed else 0


def _show(found: "Found") -> None:
    for detail_type, count in found.by_type.most_common():
        sys.stdout.write(f"{detail_type:<24} {count}\n")
    if found.unreadable:
        sys.stdout.write(f"{'(unreadable)':<24} {found.unreadable}\n")
    sys.stdout.write(f"{found.by_type.total()} event(s) would be published")
    if found.oldest_sent_at_ms is not None:
        age_s = (epoch_ms() - found.oldest_sent_at_ms) // 1_000
        sys.stdout.write(f"; the oldest was lost {age_s // 3600} h {age_s % 3600 // 60} min ago")
    sys.stdout.write("\n")


def _queue_and_bus(
    settings: CommonSettings,
) -> "AbstractAsyncContextManager[tuple[Queue, Bus]]":
    from operations import lost_events

    return lost_events.queue_and_bus(
        connection_of(settings),
        settings.lost_events_queue_url or "",
        settings.event_bus_name,
        settings.events_endpoint_url,
    )
