"""`participation demo` and `participation local up`: the whole pipeline on the embedded AWS."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.running import run_async

if TYPE_CHECKING:
    from rich.console import Console

    from local.demo.findings import Findings
    from local.pipeline_stack import PipelineStack

app = typer.Typer(help="The pipeline on the embedded AWS of this machine.", no_args_is_help=True)

_INTERRUPTED = 130
_FIRST_EVENT = "first"


@app.callback()
def _group() -> None:
    """Keep `local` a group of commands."""


def demo(
    requests: Annotated[int, typer.Option(min=1, max=1_000_000, help="users who click")] = 2000,
    capacity: Annotated[int, typer.Option(min=1, help="seats of the event")] = 1000,
    duplicates: Annotated[
        float, typer.Option(min=0, max=10, help="further clicks, as a share of the users")
    ] = 0.05,
    as_json: Annotated[
        bool, typer.Option("--json", help="print one JSON object with all figures")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="leave it up until Ctrl-C")] = False,
    out: Annotated[
        Path | None, typer.Option(help="folder for logs, lake and report [var/demo-<time>]")
    ] = None,
    seed: Annotated[int, typer.Option(help="order of the clicks")] = 1,
) -> None:
    """Run the main job on the embedded AWS: a burst, its decisions, the lake, the checks.

    Exit code 1 if a check fails or the embedded AWS cannot run.
    """
    from rich.console import Console

    from config import logs
    from local.demo import page
    from local.demo.demo import EVENT_ID, DemoPlan, run
    from local.demo.progress import Shown

    logs.configure("warning", "console")
    console = Console(stderr=as_json)
    plan = DemoPlan(
        requests=requests,
        capacity=capacity,
        duplicates=duplicates,
        directory=_folder(out, "demo"),
        seed=seed,
    )

    def done(findings: "Findings", stack: "PipelineStack") -> None:
        shown.close()
        if as_json:
            import orjson

            sys.stdout.write(orjson.dumps(findings.as_json()).decode() + "\n")
        else:
            page.show(console, findings)
        if keep:
            _tell_where(console, stack, EVENT_ID)

    async def main() -> bool:
        findings = await run(plan, shown, done, keep=keep)
        return findings.passed

    with Shown(Console(stderr=True)) as shown:
        passed = _run(main)
    sys.exit(0 if passed else 1)


@app.command()
def up(
    out: Annotated[Path | None, typer.Option(help="folder for the logs [var/up-<time>]")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="show every log line")] = False,
) -> None:
    """Keep emulator, Firehose stand-in, worker and ingest running until Ctrl-C.

    WORKER_HTTP_PORT and INGEST_HTTP_PORT choose the ports; every other setting of the programs
    passes through (POLLERS=8 participation local up).
    """
    from rich.console import Console

    from config import logs
    from local import pipeline_stack
    from local.programs import until_interrupted

    logs.configure("warning", "console")
    console = Console()

    def on_line(program: str, fields: Mapping[str, Any]) -> None:
        level = fields.get("level", "info")
        if verbose or level in {"warning", "error", "critical"} or program == "worker":
            known = ("event", "level", "timestamp", "logger")
            rest = " ".join(f"{k}={v}" for k, v in fields.items() if k not in known)
            console.print(
                f"{program:>6} | {fields.get('event', '')} {rest}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    async def main() -> bool:
        folder = _folder(out, "up")
        async with pipeline_stack.running(
            folder, told=lambda step: console.print(f"{step} …"), listener=on_line
        ) as stack:
            await _create_first_event(stack)
            _tell_where(console, stack, _FIRST_EVENT)
            await until_interrupted()
            console.print("stopping: ingest answers, the worker drains, the lake gets the rest …")
        return True

    _run(main)


async def _create_first_event(stack: "PipelineStack") -> None:
    from aws.sdk import open_client
    from aws.table import Table
    from schema.items import Capacity, EventConfig
    from schema.states import EventType

    async with open_client("dynamodb", stack.emulator.connection) as dynamodb:
        await Table(dynamodb, stack.outputs.table_name).create_event(
            EventConfig(event_id=_FIRST_EVENT, event_type=EventType.FIRST_COME),
            Capacity(event_id=_FIRST_EVENT, total=100, remaining=100),
        )


def _tell_where(console: "Console", stack: "PipelineStack", event_id: str) -> None:
    from time import time

    from ingest import tokens

    token = tokens.issue(stack.jwt_secret, "alice", now_s=time(), expires_in_s=86_400)
    lines = (
        "",
        f"ingest   {stack.ingest.url}   ({stack.ingest.url}/openapi.json)",
        f"worker   {stack.worker.url}/metrics",
        f"AWS      {stack.emulator.endpoint_url}   table {stack.outputs.table_name}",
        f"logs     {stack.worker.log_path.parent}",
        "",
        "A token of the user alice, and a click to try:",
        "",
        f"export TOKEN={token}",
        (
            f'curl -X POST -H "Authorization: Bearer $TOKEN" '
            f"{stack.ingest.url}/events/{event_id}/participations"
        ),
        f'curl -H "Authorization: Bearer $TOKEN" {stack.ingest.url}/me/participations',
        "",
        "Ctrl-C stops everything.",
        "",
    )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True, highlight=False)


def _folder(out: Path | None, kind: str) -> Path:
    folder = out or Path("var") / f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _run(main: Any) -> bool:
    """Run; Ctrl-C ends quietly after the clean-up, a foreseen error in one sentence."""
    from local.errors import LocalError, leaves

    interrupted = False
    try:
        return bool(run_async(main))
    except* KeyboardInterrupt:
        interrupted = True
    except* LocalError as group:
        for error in leaves(group):
            sys.stderr.write(f"participation: {error}\n")
    sys.exit(_INTERRUPTED if interrupted else 1)
