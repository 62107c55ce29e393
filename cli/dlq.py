"""`participation dlq`: look at the dead-letter queue, and bring messages back."""

import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time_ns
from typing import TYPE_CHECKING, Annotated

import typer

from cli.running import connection_of, run_async
from config.settings import CommonSettings, load

if TYPE_CHECKING:
    from aws.queue import Queue
    from operations.dead_letters import Selection

app = typer.Typer(help="The dead-letter queue.", no_args_is_help=True)

Reason = Annotated[
    str | None,
    typer.Option(help="only this reasonCode; RETRIES_EXHAUSTED: those that SQS moved by itself"),
]

_SHOWN_CHARACTERS = 100


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
    limit: Annotated[int | None, typer.Option(min=1, help="messages to move at most")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count")] = False,
) -> None:
    """Move messages back to the main queue, marked `redrivenAt`; exit code 1 if some stayed.

    Killed halfway it loses nothing: run it again.
    """
    sys.exit(run_async(_redrive, load(CommonSettings), reason, limit, dry_run))


async def _list(settings: CommonSettings, reason: str | None, limit: int) -> None:
    from operations.dead_letters import Selection, browse, reason_of

    selection = Selection(reason=reason)
    shown = 0
    async with _queues(settings) as (_, dlq), browse(dlq) as batches:
        async for batch in batches:
            for delivery in filter(selection.takes, batch):
                if shown >= limit:
                    break
                shown += 1
                body = delivery.body.replace("\n", " ")
                if len(body) > _SHOWN_CHARACTERS:
                    body = f"{body[:_SHOWN_CHARACTERS]}…"
                sys.stdout.write(f"{delivery.message_id}  {reason_of(delivery):<20}  {body}\n")
            if shown >= limit:
                break
    sys.stderr.write(f"{shown} message(s)\n")


async def _redrive(
    settings: CommonSettings, reason: str | None, limit: int | None, dry_run: bool
) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from operations import dead_letters as redriving
    from operations.dead_letters import Selection

    now_ms = time_ns() // 1_000_000
    selection = Selection(reason=reason, limit=limit, sent_before_ms=now_ms)
    async with _queues(settings) as (main, dlq):
        if dry_run:
            counts = await _count(dlq, selection)
            _tell(counts, f"{counts.total()} message(s) would be moved")
            return 0
        total = (await dlq.describe()).approximate_messages
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("redrive", total=total)
            result = await redriving.redrive(
                main, dlq, selection, now_ms, lambda count: progress.advance(task, count)
            )
    _tell(result.by_reason, f"{result.moved} message(s) moved, {result.failed} stayed")
    return 1 if result.failed else 0


async def _count(dlq: "Queue", selection: "Selection") -> Counter[str]:
    from operations.dead_letters import browse, reason_of

    counts: Counter[str] = Counter()
    async with browse(dlq) as batches:
        async for batch in batches:
            for delivery in filter(selection.takes, batch):
                if selection.limit is None or counts.total() < selection.limit:
                    counts[reason_of(delivery)] += 1
    return counts


def _tell(counts: Counter[str], sentence: str) -> None:
    for reason, count in counts.most_common():
        sys.stdout.write(f"{reason:<24} {count}\n")
    sys.stdout.write(f"{sentence}\n")


@asynccontextmanager
async def _queues(settings: CommonSettings) -> AsyncIterator[tuple["Queue", "Queue"]]:
    from aws.queue import Queue
    from aws.sdk import open_client

    async with open_client("sqs", connection_of(settings)) as sqs:
        yield Queue(sqs, settings.queue_url), Queue(sqs, settings.dlq_url, is_dlq=True)
