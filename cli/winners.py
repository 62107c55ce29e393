"""`participation events winners`: who won, in the order of the decisions."""

import csv
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated

import orjson
import typer

from cli.events import EventId
from cli.output import fail, iso
from cli.running import connection_of, run_async
from config.settings import AwsSettings, load
from runtime.stop import ExitCode
from schema.items import RequestItem

_KEYS = ("finishedAt", "userId", "requestId", "queuedAt")


class Form(StrEnum):
    """How winners are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def winners(
    event_id: EventId,
    form: Annotated[
        Form, typer.Option("--format", help="table: time of decision (UTC), user, request")
    ] = Form.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="as --format json")] = False,
) -> None:
    """List who won a seat, or entered a lottery, in the order of the decisions.

    CSV and JSON have the time of queueing as well; their times are in epoch milliseconds.
    """
    from operations import events

    settings = load(AwsSettings)
    form = Form.JSON if as_json else form
    write = {Form.TABLE: _table, Form.CSV: _csv, Form.JSON: _json}[form]
    connection = connection_of(settings)

    async def run() -> None:
        # Whoever reads the list may go before its end (`| head`).
        async with aclosing(events.winners(connection, settings.table_name, event_id)) as found:
            await write(found)

    try:
        run_async(run)
    except events.EventError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted: the list is not complete", ExitCode.INTERRUPTED)


async def _table(requests: AsyncIterator[RequestItem]) -> None:
    sys.stdout.write("DECIDED\tUSER\tREQUEST\n")
    async for request in requests:
        decided = "?" if request.finished_at_ms is None else iso(request.finished_at_ms)
        sys.stdout.write(f"{decided}\t{request.user_id}\t{request.request_id}\n")


async def _csv(requests: AsyncIterator[RequestItem]) -> None:
    lines = csv.writer(sys.stdout, lineterminator="\n")
    # Not before: an event that does not exist has no list.
    is_begun = False
    async for request in requests:
        if not is_begun:
            lines.writerow(_KEYS)
            is_begun = True
        lines.writerow(_fields(request))
    if not is_begun:
        lines.writerow(_KEYS)


async def _json(requests: AsyncIterator[RequestItem]) -> None:
    """Write one array, a line for each, as they come."""
    before = "["
    async for request in requests:
        line = orjson.dumps(dict(zip(_KEYS, _fields(request), strict=True))).decode()
        sys.stdout.write(f"{before}\n{line}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def _fields(request: RequestItem) -> tuple[int | None, str, str, int | None]:
    return request.finished_at_ms, request.user_id, request.request_id, request.queued_at_ms
