"""`participation requests`: one request, or a user's requests, with all that is stored of them."""

import sys
from typing import Annotated

import typer

from cli.output import AsJson, fail, iso, write_json, write_table
from cli.running import connection_of, run_async
from config.settings import AwsSettings, load
from schema.attributes import ItemError
from schema.items import RequestItem
from schema.keys import MAX_TIME_MS
from schema.names import TTL_ATTRIBUTE

app = typer.Typer(help="Requests: who asked, and what became of it.", no_args_is_help=True)

_TIMES = frozenset({"requestedAt", "queuedAt", "startedAt", "finishedAt", "dlqAt"})
_PAGE = 100


@app.command()
def show(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST", help="the request's id")],
    as_json: AsJson = False,
) -> None:
    """Show one request; exit code 1 where it does not exist."""
    from operations import requests

    settings = load(AwsSettings)
    try:
        found = run_async(requests.find, connection_of(settings), settings.table_name, request_id)
    except requests.RequestUnreadableError as error:
        fail(f"the item of the request {request_id!r} breaks the contract: {error}")
    if found is None:
        fail(f"there is no request {request_id!r}")
    fields = found.fields()
    if as_json:
        write_json(fields)
        return
    for name, value in fields.items():
        if value is not None:
            sys.stdout.write(f"{name:<13} {_text(name, value)}\n")


def _text(name: str, value: str | float) -> str:
    """A field as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == TTL_ATTRIBUTE:
        return iso(int(value) * 1000)
    return iso(int(value)) if name in _TIMES else str(value)


@app.command("list")
def list_requests(
    user_id: Annotated[
        str, typer.Option("--user", metavar="USER", help="the user's id, a token's `sub`")
    ],
    limit: Annotated[
        int, typer.Option(min=1, max=_PAGE, metavar="COUNT", help="requests to show")
    ] = 20,
    after: Annotated[
        str | None, typer.Option(metavar="PLACE", help="the next page, as the page before names it")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a user's requests, newest first; those that SQS has not accepted yet are missing."""
    from operations import requests

    settings = load(AwsSettings)
    place = None if after is None else _place(after)
    connection = connection_of(settings)
    try:
        page = run_async(requests.of_user, connection, settings.table_name, user_id, limit, place)
    except ItemError as error:
        fail(f"an item of this user breaks the contract: {error}")
    following = None if page.last is None else f"{page.last.queued_at_ms}:{page.last.request_id}"
    if as_json:
        write_json({"requests": [one.fields() for one in page.requests], "after": following})
        return
    write_table([("QUEUED", "EVENT", "REQUEST", "STATUS", "RESULT"), *map(_row, page.requests)])
    if following is not None:
        sys.stderr.write(f"more: --after {following}\n")


def _row(request: RequestItem) -> tuple[str, ...]:
    queued = "-" if request.queued_at_ms is None else iso(request.queued_at_ms)
    result = request.result_code or "-"
    return queued, request.event_id, request.request_id, request.status.value, result


def _place(text: str) -> tuple[int, str]:
    at_ms, _, request_id = text.partition(":")
    if not (at_ms.isascii() and at_ms.isdecimal() and request_id and int(at_ms) <= MAX_TIME_MS):
        raise typer.BadParameter(f"{text!r} is no place: take it from the page before")
    return int(at_ms), request_id
