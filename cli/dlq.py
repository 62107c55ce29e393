"""`participation dlq`: look at the dead-letter queue, bring messages back, and delete them."""

import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, confirm, duration_s, fail, write_json, write_table
from cli.running import audited, connection_of, log_to_stderr, run_shielded
from config.settings import CommonSettings, load
from runtime.program import epoch_ms
from runtime.stop import ExitCode

if TYPE_CHECKING:
    from aws.queue import Queue
    from operations.dead_letters import DeadLetter, Deleted, Selection
    from operations.redrive import Redriven

app = typer.Typer(help="The dead-letter queue.", no_args_is_help=True)

_SHOWN_CHARACTERS = 100

Reason = Annotated[
    str | None,
    typer.Option(
        metavar="CODE", help="only this reasonCode; RETRIES_EXHAUSTED: those that SQS itself moved"
    ),
]
Event = Annotated[
    str | None, typer.Option("--event", metavar="EVENT", help="only requests of this event")
]
OlderThan = Annotated[
    int | None,
    typer.Option(parser=duration_s, metavar="AGE", help="only what is older, such as 90s, 15m, 2h"),
]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="COUNT", help="maximum number of messages")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="only count")]


@app.command("list")
def list_messages(
    reason: Reason = None,
    event: Event = None,
    older_than: OlderThan = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Show the DLQ's messages; they are hidden from others while it looks.

    A look counts as a receive. The age counts from the first queueing where SQS moved the message,
    else from the quarantine.
    """
    settings = load(CommonSettings)
    now_ms = epoch_ms()
    letters = _looked(settings, _selection(now_ms, reason, event, older_than, limit))
    if as_json:
        write_json([_document(letter, now_ms) for letter in letters])
        return
    rows = [_row(letter, now_ms) for letter in letters]
    write_table([("MESSAGE", "REASON", "AGE", "RECEIVES", "EVENT", "BODY"), *rows])
    sys.stderr.write(f"{len(letters)} message(s)\n")


@app.command()
def redrive(
    reason: Reason = None,
    event: Event = None,
    older_than: OlderThan = None,
    limit: Limit = None,
    rate: Annotated[
        int, typer.Option(min=1, metavar="COUNT", help="messages a second, at most")
    ] = 100,
    move_all: Annotated[
        bool, typer.Option("--all", help="quarantined messages, too: most only come back")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Count messages, then move them back to the main queue; exit code 1 if some stayed.

    They carry the mark `redrivenAt`. Quarantined messages stay, unless --reason names them or --all
    is given. Killed halfway it loses nothing: run it again.
    """
    settings = load(CommonSettings)
    now_ms = epoch_ms()
    selection = _selection(now_ms, reason, event, older_than, limit, with_quarantined=move_all)
    found = Counter(one.reason for one in _looked(settings, selection))
    if dry_run:
        _show(found, "would be moved", as_json=as_json)
        return
    reasons = ", ".join(f"{reason} {count}" for reason, count in found.most_common())
    sys.stderr.write(f"{found.total()} message(s) to move{reasons and f': {reasons}'}\n")
    try:
        done = run_shielded(_redrive, settings, selection, now_ms, rate, as_json)
    except KeyboardInterrupt:
        fail(
            "interrupted: what was not moved is still in the DLQ; run it again",
            ExitCode.INTERRUPTED,
        )
    sys.exit(1 if done.failed else 0)


@app.command()
def delete(
    message_ids: Annotated[
        list[str] | None, typer.Argument(metavar="MESSAGE_ID", help="ids that `list` shows")
    ] = None,
    reason: Reason = None,
    event: Event = None,
    older_than: OlderThan = None,
    limit: Limit = None,
    every: Annotated[bool, typer.Option("--all", help="the whole DLQ")] = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete messages for good, after it has counted them and asked; exit code 1 if some stayed.

    Only what was counted is deleted, whatever enters the DLQ meanwhile.
    """
    if not (message_ids or reason or event or older_than or every):
        raise typer.BadParameter("give ids, --reason, --event, --older-than or --all")
    settings = load(CommonSettings)
    selection = _selection(epoch_ms(), reason, event, older_than, limit)
    selection = replace(selection, message_ids=frozenset(message_ids or ()))
    found = _looked(settings, selection)
    if dry_run or not as_json:
        _show(Counter(one.reason for one in found), "would be deleted", as_json=as_json)
    missing = len(set(selection.message_ids) - {letter.message_id for letter in found})
    if missing:
        sys.stderr.write(
            f"participation: {missing} of the ids are not to be seen in the DLQ, or left out\n"
        )
    if dry_run:
        sys.exit(1 if missing else 0)
    if found and not yes:
        confirm(f"delete {len(found)} message(s) for good?")
    try:
        ids = frozenset(one.message_id for one in found)
        done = run_shielded(_delete, settings, ids, as_json)
    except KeyboardInterrupt:
        fail("interrupted: what was not deleted is still in the DLQ", ExitCode.INTERRUPTED)
    sys.exit(1 if missing or done.by_reason.total() < len(found) else 0)


async def _redrive(
    settings: CommonSettings, selection: "Selection", now_ms: int, rate: int, as_json: bool
) -> "Redriven":
    from rich.console import Console
    from rich.progress import Progress

    from operations import redrive
    from operations.redrive import Redriven

    done = Redriven()
    try:
        async with _queues(settings) as (main, dlq):
            total = (await dlq.describe()).approximate_messages
            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("redrive", total=total)

                def advanced(so_far: Redriven) -> None:
                    nonlocal done
                    done = so_far
                    progress.update(task, completed=done.moved + done.failed + done.passed_over)

                await redrive.redrive(main, dlq, selection, now_ms, advanced, per_second=rate)
    finally:
        # However it ends: what was moved stays moved.
        what = f"moved, {done.failed} failed, {done.passed_over} left out"
        counts = {"failed": done.failed, "leftOut": done.passed_over}
        _show(done.by_reason, what, counts, as_json=as_json)
        audited(
            settings,
            "dead_letters_redriven",
            reason=selection.reason,
            event_id=selection.event_id,
            sent_before_ms=selection.sent_before_ms,
            with_quarantined=selection.with_quarantined,
            moved=done.moved,
            failed=done.failed,
        )
    return done


async def _delete(
    settings: CommonSettings, message_ids: frozenset[str], as_json: bool
) -> "Deleted":
    from rich.console import Console
    from rich.progress import Progress

    from operations import dead_letters
    from operations.dead_letters import Deleted

    done = Deleted()
    try:
        async with _queues(settings) as (_, dlq):
            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("delete", total=len(message_ids))

                def advanced(so_far: Deleted) -> None:
                    nonlocal done
                    done = so_far
                    progress.update(task, completed=done.by_reason.total() + done.failed)

                if message_ids:
                    await dead_letters.delete(dlq, message_ids, advanced)
    finally:
        count = done.by_reason.total()
        stayed = len(message_ids) - count
        if as_json:
            _show(done.by_reason, "deleted", {"stayed": stayed}, as_json=True)
        else:
            sys.stdout.write(f"{count} message(s) deleted, {stayed} stayed\n")
        audited(settings, "dead_letters_deleted", by_reason=done.by_reason, deleted=count)
    return done


def _looked(settings: CommonSettings, selection: "Selection") -> "list[DeadLetter]":
    """The messages that are meant."""
    from operations import dead_letters

    async def look() -> "list[DeadLetter]":
        async with _queues(settings) as (_, dlq):
            return await dead_letters.look(dlq, selection)

    try:
        return run_shielded(look)
    except KeyboardInterrupt:
        fail("interrupted: nothing was changed", ExitCode.INTERRUPTED)


def _selection(
    now_ms: int,
    reason: str | None,
    event: str | None,
    older_than_s: int | None,
    limit: int | None,
    *,
    with_quarantined: bool = True,
) -> "Selection":
    from operations.dead_letters import Selection

    return Selection(
        reason=reason,
        with_quarantined=with_quarantined,
        event_id=event,
        limit=limit,
        sent_before_ms=now_ms - (older_than_s or 0) * 1000,
    )


def _document(letter: "DeadLetter", now_ms: int) -> dict[str, str | int | None]:
    """A dead letter as JSON."""
    return {
        "messageId": letter.message_id,
        "reason": letter.reason,
        "sentAt": letter.sent_at_ms,
        "ageS": max(0, now_ms - letter.sent_at_ms) // 1000,
        "receives": letter.receives,
        "requestId": letter.request_id,
        "eventId": letter.event_id,
        "body": letter.body,
    }


def _row(letter: "DeadLetter", now_ms: int) -> tuple[str, ...]:
    age_s = max(0, now_ms - letter.sent_at_ms) // 1000
    hours, minutes = age_s // 3600, age_s % 3600 // 60
    age = f"{hours} h {minutes} min" if hours else f"{minutes} min {age_s % 60} s"
    event, body = _printable(letter.event_id or "-"), _printable(letter.body)
    return letter.message_id, letter.reason, age, str(letter.receives), event, body


def _printable(text: str) -> str:
    """The beginning of a text on one line, without what would steer a terminal."""
    shown = "".join(c if c.isprintable() else " " for c in text[:_SHOWN_CHARACTERS])
    return shown + ("…" if len(text) > _SHOWN_CHARACTERS else "")


def _show(
    counts: Counter[str], what: str, more: Mapping[str, int] | None = None, *, as_json: bool
) -> None:
    if as_json:
        write_json({"messages": counts.total(), "byReason": counts, **(more or {})})
        return
    for reason, count in counts.most_common():
        sys.stdout.write(f"{reason:<24} {count}\n")
    sys.stdout.write(f"{counts.total()} message(s) {what}\n")


def _queues(settings: CommonSettings) -> "AbstractAsyncContextManager[tuple[Queue, Queue]]":
    from operations import dead_letters

    log_to_stderr(settings)
    return dead_letters.queues(connection_of(settings), settings.queue_url, settings.dlq_url)
