"""`participation local up`: the whole pipeline with a first event, running until Ctrl-C."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any, Final

from ingest import tokens
from local import evidence, pipeline_stack, terminal, up_file
from local.faults.proxy import FaultProxy
from local.live import running as live_page
from local.live.live import Live
from local.pipeline_stack import Cloud, PipelineStack
from local.programs import LineListener, until_interrupted
from operations import events
from runtime.program import epoch_ms
from schema.items import EventConfig
from schema.keys import request_id
from schema.states import EventType

_FIRST_EVENT: Final = "first"
_SEATS: Final = 100
_TOKEN_LIFE_S: Final = 86_400.0
_HIDDEN_S: Final = 10
"""Instead of VISIBILITY_TIMEOUT_S's minute: so soon comes back what a killed worker held."""

_COMMANDS: Final = """
In another terminal, all variables at the same time, and a crowd:

eval "$({command} local env{folder})"
{command} local click {event_id} --users 500{folder}
{command} events show {event_id}
"""

Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Up:
    """What runs, and its live page's URL, if it has one."""

    stack: PipelineStack
    page_url: str | None


async def run(
    directory: Path, show: Show, command: str, *, verbose: bool, with_page: bool = True
) -> None:
    """Run everything until Ctrl-C, its logs in `directory`; `show` prints a line.

    Of the programs' log lines it shows the main ones (local/terminal.py), or with `verbose` all.
    The lake and a report stay in `directory`. `command` is what calls this command line again.
    Raises LocalError.
    """
    on_line = terminal.all_lines(show) if verbose else terminal.main_lines(show)
    began_at = datetime.now(UTC)

    def report(step: str) -> None:
        show(f"{step} …")

    async with pipeline_stack.cloud(directory, report) as cloud:
        event = EventConfig(event_id=_FIRST_EVENT, event_type=EventType.FIRST_COME)
        await events.create(cloud.emulator.connection, cloud.outputs.table_name, event, _SEATS)
        opened = _with_page if with_page else _without_page
        async with opened(cloud, directory, report, on_line) as up:
            with up_file.published(directory, variables(up)):
                show(invitation(up.stack, _FIRST_EVENT, command, up))
                await until_interrupted()
            show("stopping: ingest answers, the worker drains, the lake gets the rest …")
        kept = await evidence.keep(cloud, directory, began_at.date())
    if kept is None:
        show("no event reached the lake: there is no report (it needs a click)")
    else:
        show(f"lake     {kept.lake_dir}\nreport   {kept.report}")


@asynccontextmanager
async def _without_page(
    cloud: Cloud, directory: Path, report: Show, on_line: LineListener
) -> AsyncIterator[Up]:
    async with pipeline_stack.running_on(
        cloud, directory, report=report, listener=on_line
    ) as stack:
        yield Up(stack, None)


@asynccontextmanager
async def _with_page(
    cloud: Cloud, directory: Path, report: Show, on_line: LineListener
) -> AsyncIterator[Up]:
    """Run the programs behind a proxy that can fail their calls, and the page that shows them."""
    hidden_s = int(os.environ.get("VISIBILITY_TIMEOUT_S") or _HIDDEN_S)
    port = int(os.environ.get("LIVE_HTTP_PORT") or 0)
    live = Live(_FIRST_EVENT, hidden_s, epoch_ms)

    def heard(program: str, fields: Mapping[str, Any]) -> None:
        live.on_line(program, fields)
        on_line(program, fields)

    async with (
        FaultProxy(cloud.emulator.endpoint_url) as proxy,
        pipeline_stack.running_on(
            cloud,
            directory,
            report=report,
            listener=heard,
            arrived=live.on_record,
            variables={
                "AWS_ENDPOINT_URL": proxy.endpoint_url,
                "VISIBILITY_TIMEOUT_S": str(hidden_s),
            },
            is_restarted=True,
        ) as stack,
        live_page.running(live, stack, proxy, directory, epoch_ms, port) as url,
    ):
        yield Up(stack, url)


def variables(up: Up) -> dict[str, str]:
    """What other commands need in their environment to work with what runs."""
    stack = up.stack
    page = {} if up.page_url is None else {"LIVE_URL": up.page_url}
    return {
        **pipeline_stack.aws_variables(stack.emulator, stack.outputs),
        "LAKE_BUCKET": stack.outputs.bucket_name,
        "LAKE_DATABASE": stack.outputs.database,
        "ATHENA_WORKGROUP": stack.outputs.work_group,
        "JWT_SECRET": stack.jwt_secret,
        "INGEST_URL": stack.ingest.url,
        **page,
    }


def invitation(stack: PipelineStack, event_id: str, command: str, up: Up | None = None) -> str:
    """Where everything is, and what to enter for a click; of `local up` with what else it has."""
    token = tokens.issue(stack.jwt_secret, "alice", now_s=time(), expires_in_s=_TOKEN_LIFE_S)
    ingest, alices = stack.ingest.url, request_id(event_id, "alice")
    page = f"live     {up.page_url}   open it in a browser\n" if up and up.page_url else ""
    folder = up_file.option(stack.worker.log_path.parent)
    commands = _COMMANDS.format(event_id=event_id, command=command, folder=folder) if up else ""
    return f"""
{page}ingest   {ingest}   ({ingest}/docs)
worker   {stack.worker.url}/metrics
AWS      {stack.emulator.endpoint_url}   table {stack.outputs.table_name}
logs     {stack.worker.log_path.parent}

A token of the user alice; her click, its decision, and all her requests:

export TOKEN={token}
curl -X POST -H "Authorization: Bearer $TOKEN" {ingest}/events/{event_id}/participations
curl -H "Authorization: Bearer $TOKEN" "{ingest}/requests/{alices}?wait=20"
curl -H "Authorization: Bearer $TOKEN" {ingest}/me/participations

Tokens of other users are made with the secret ({command} token --user bob):

export JWT_SECRET={stack.jwt_secret}
{commands}
Ctrl-C stops everything.
"""
