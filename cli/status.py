"""`participation status`: a pipeline on one screen, once or until Ctrl-C."""

import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, fail, write_json
from cli.running import connection_of, run_async
from config.settings import AwsSettings, CommonSettings, load
from runtime.stop import ExitCode

if TYPE_CHECKING:
    from operations.account.clients import Clients
    from operations.status import Place


def status(
    stack: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="the pipeline's name; default: QUEUE_URL, DLQ_URL, …"),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="refresh until Ctrl-C")] = False,
    every: Annotated[
        float, typer.Option(min=1, max=3_600, metavar="SECONDS", help="how often, with --watch")
    ] = 5,
    as_json: AsJson = False,
) -> None:
    """Show queues, tasks, alarms, bus and rule; with --watch and --json a document each time.

    Depths are SQS's estimates, ages CloudWatch's, some minutes old. Exit code 1 where nothing can
    be read.
    """
    from operations.stacks import StackError

    settings = load(AwsSettings) if stack else load(CommonSettings)
    every_s = every if watch else None
    try:
        is_known = run_async(_show, settings, stack, every_s, as_json)
    except StackError as error:
        fail(str(error))
    except KeyboardInterrupt:
        # To watch ends by nothing else.
        sys.exit(0 if watch else ExitCode.INTERRUPTED)
    sys.exit(0 if is_known else 1)


async def _show(
    settings: AwsSettings, stack: str | None, every_s: float | None, as_json: bool
) -> bool:
    """Show it once, or every so often; returns whether anything could be read."""
    import anyio
    from rich.console import Console
    from rich.live import Live

    from cli import status_page
    from operations import status as reading
    from operations.account import clients

    console = Console(soft_wrap=True)
    async with AsyncExitStack() as exits:
        opened = await exits.enter_async_context(clients.opened(connection_of(settings)))
        place = await _place(opened, settings, stack)
        live = None
        if every_s is not None and not as_json and console.is_terminal:
            live = exits.enter_context(Live(console=console, auto_refresh=False, screen=True))
        while True:
            found = await reading.read(opened, place)
            if as_json:
                write_json(status_page.document(found))
            elif live is not None:
                live.update(status_page.page(stack, found), refresh=True)
            else:
                console.print(status_page.page(stack, found))
            sys.stdout.flush()
            if every_s is None:
                return found.is_known
            await anyio.sleep(every_s)


async def _place(opened: "Clients", settings: AwsSettings, stack: str | None) -> "Place":
    from operations import status as reading

    if not isinstance(settings, CommonSettings):
        return await reading.place_of(opened, stack or "")
    queues = {"requests": settings.queue_url, "deadLetters": settings.dlq_url}
    if settings.lost_events_queue_url is not None:
        queues["lostEvents"] = settings.lost_events_queue_url
    return reading.place_without_stack(queues, settings.event_bus_name)
