"""`participation dlq`: look at the dead-letter queue, and bring messages back."""

import sys
from collections import Counter
from contextlib import AbstractAsyncContextManager
from time import time_ns
from typing import TYPE_CHECKING, Annotated

import typer

from cli.running import connection_of, run_async
from config.settings import CommonSettings, load

if TYPE_CHECKING:
    from aws.queue import Queue

app = typer.Typer(help="The dead-letter queue.", no_args_is_help=True)

Reason = Annotated[
    str | None,
    typer.Option(help="only this reasonCode; RETRIES_EXHAUSTED: those that SQS itself moved"),
]


@app.command("list")
def list_messages(
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="messages to show")] = 100,
) -> None:
    """Show the DLQ's messages; they are hidden from others while it looks."""
    run_async(_list, load(CommonSettings), reason, limit)


@app.command()
def redrive(
    reason: Reason = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="maximum number of messages to move")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count")] = False,
) -> None:
    """Move messages back to the main queue, marked `redrivenAt`; exit code 1 if some stayed.

    Killed halfway it loses nothing: run it again.
    """
    sys.exit(run_async(_redrive, load(CommonSettings), reason, limit, dry_run))


async def _list(settings: CommonSettings, reason: str | None, limit: int) -> None:
    from operations import dead_letters
    from operations.dead_letters import Selection

    async with _queues(settings) as (_, dlq):
        letters = await dead_letters.look(dlq, Selection(reason=reason, limit=limit))
    for letter in letters:
        sys.stdout.write(f"{letter.message_id}  {letter.reason:<20}  {letter.beginning}\n")
    sys.stderr.write(f"{len(letters)} message(s)\n")


async def _redrive(
    settings: CommonSettings, reason: str | None, limit: int | None, dry_run: bool
) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from operations import dead_letters
    from operations.dead_letters import Selection

    now_ms = time_ns() // 1_000_000
    selection = Selection(reason=reason, limit=limit, sent_before_ms=now_ms)
    async with _queues(settings) as (main, dlq):
        if dry_run:
            counts = Counter(letter.reason for letter in await dead_letters.look(dlq, selection))
            _show(counts, f"{counts.total()} message(s) would be moved")
            return 0
        total = (await dlq.describe()).approximate_messages
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("redrive", total=total)
            result = await dead_letters.redrive(
                main, dlq, selection, now_ms, lambda count: progress.advance(task, count)
            )
    _show(result.by_reason, f"{result.moved} message(s) moved, {result.failed} stayed")
    return 1 if result.failed else 0


def _show(counts: Counter[str], sentence: str) -> None:
    for reason, count in counts.most_common():
        sys.stdout.write(f"{reason:<24} {count}\n")
    sys.stdout.write(f"{sentence}\n")


def _queues(settings: CommonSettings) -> "AbstractAsyncContextManager[tuple[Queue, Queue]]":
    from operations import dead_letters

    return dead_letters.queues(connection_of(settings), settings.queue_url, settings.dlq_url)
