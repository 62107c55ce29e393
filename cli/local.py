"""`participation demo` and `participation local`: the whole pipeline on the embedded AWS."""

import secrets
import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cli.output import AsJson, command_name, fail, write_json
from cli.running import run_async
from runtime.stop import ExitCode

if TYPE_CHECKING:
    from local.demo.findings import Findings
    from local.pipeline_stack import PipelineStack

T = TypeVar("T")

app = typer.Typer(help="The pipeline on the embedded AWS of this machine.", no_args_is_help=True)


Folder = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="that of `local up --out`; default: the youngest below var/"
    ),
]


@app.callback()
def _group() -> None:
    """Keep `local` a group of commands."""


def demo(
    requests: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="COUNT", help="users who click")
    ] = 2000,
    capacity: Annotated[
        int, typer.Option(min=1, metavar="SEATS", help="seats of the event")
    ] = 1000,
    duplicates: Annotated[
        float,
        typer.Option(
            min=0, max=10, metavar="SHARE", help="further clicks, as a share of the users"
        ),
    ] = 0.05,
    as_json: AsJson = False,
    keep: Annotated[bool, typer.Option("--keep", help="leave it up until Ctrl-C")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="for logs, lake and report; default: var/demo-<time>, of which ten are kept",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="decides the order of the clicks")
    ] = 1,
) -> None:
    """Run the main job on the embedded AWS: a burst, its decisions, the lake, the checks.

    Exit code 1 if a check fails or the embedded AWS cannot run.
    """
    import orjson
    from rich.console import Console

    from config import logs
    from local.demo import page
    from local.demo.demo import EVENT_ID, DemoPlan, run
    from local.demo.progress import ConsoleProgress
    from local.up import invitation

    logs.configure("warning", "console")
    plan = DemoPlan(
        requests=requests,
        capacity=capacity,
        duplicates=duplicates,
        directory=_folder(out, "demo"),
        seed=seed,
    )

    def show(findings: "Findings", stack: "PipelineStack") -> None:
        progress.close()
        if as_json:
            typer.echo(orjson.dumps(findings.as_json()))
        else:
            page.show(Console(), findings)
            typer.echo(page.what_next(findings, command_name()))
        if keep:
            typer.echo(invitation(stack, EVENT_ID, command_name()), err=as_json)

    with ConsoleProgress(Console(stderr=True)) as progress:
        findings = _run(partial(run, plan, progress, show, keep=keep))
    sys.exit(0 if findings.passed else 1)


@app.command()
def up(
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="for logs, lake and report; default: var/up-<time>, of which ten are kept",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="show every log line")] = False,
    page: Annotated[
        bool, typer.Option(help="the live page, and the proxy that its faults need")
    ] = True,
) -> None:
    """Keep emulator, Firehose stand-in, worker and ingest running until Ctrl-C.

    A live page shows what happens, and has buttons to click, to burst and to break things. The
    lake and a report stay in the folder. WORKER_HTTP_PORT, INGEST_HTTP_PORT and LIVE_HTTP_PORT
    choose the ports; every other setting of the programs passes through (POLLERS=8 participation
    local up).
    """
    from config import logs
    from local.up import run

    logs.configure("warning", "console")
    _run(
        partial(
            run,
            _folder(out, "up"),
            typer.echo,
            command_name(),
            verbose=verbose,
            with_page=page,
        )
    )


@app.command()
def env(as_json: AsJson = False, folder: Folder = None) -> None:
    """Print the variables of what runs: `eval "$(participation local env)"`.

    INGEST_URL and LIVE_URL say where it answers; JWT_SECRET makes any user's token (`participation
    token --user bob`).
    """
    found = _running(folder)
    if as_json:
        write_json(found)
        return
    for name, value in found.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


@app.command()
def click(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="the event's id")],
    users: Annotated[
        int,
        typer.Option(min=1, max=1_000_000, metavar="COUNT", help="how many click, each once"),
    ] = 1,
    prefix: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="users are NAME-1 to NAME-N; default: users who never clicked"
        ),
    ] = None,
    as_json: AsJson = False,
    folder: Folder = None,
) -> None:
    """Let users click in what `participation local up` runs, as fast as it answers.

    Exit code 1 if a click was not accepted.
    """
    from local.live import crowd

    found = _running(folder)
    name = prefix or f"user-{secrets.token_hex(4)}"
    names = [f"{name}-{number}" for number in range(1, users + 1)]
    answers = _run(partial(crowd.send, found["INGEST_URL"], event, names, found["JWT_SECRET"]))
    if as_json:
        write_json(
            {
                "eventId": event,
                "accepted": answers.accepted,
                "duplicates": answers.duplicates,
                "refused": {str(status): n for status, n in sorted(answers.refused.items())},
                "seconds": round(answers.seconds, 3),
            }
        )
    else:
        refused = "".join(f", {n:,} refused with {s}" for s, n in sorted(answers.refused.items()))
        typer.echo(
            f"{answers.accepted:,} accepted, {answers.duplicates:,} duplicates{refused} "
            f"in {answers.seconds:.1f} s"
        )
    sys.exit(1 if answers.refused else 0)


def _running(folder: Path | None) -> Mapping[str, str]:
    from local import up_file
    from local.errors import LocalError

    try:
        return up_file.find(folder)
    except LocalError as error:
        fail(str(error))


def _folder(out: Path | None, kind: str) -> Path:
    if out is None:
        from local import run_folders

        return run_folders.new(Path("var"), kind, datetime.now(UTC))
    out.mkdir(parents=True, exist_ok=True)
    return out.resolve()


def _run(main: Callable[[], Awaitable[T]]) -> T:
    """Run; Ctrl-C and a foreseen error end in one sentence, after the clean-up."""
    from local.errors import LocalError
    from runtime.errors import leaves

    interrupted = False
    try:
        return run_async(main)
    except* KeyboardInterrupt:
        interrupted = True
    except* LocalError as group:
        for error in leaves(group):
            sys.stderr.write(f"participation: {error}\n")
    if interrupted:
        fail("interrupted: everything that was started has been stopped", ExitCode.INTERRUPTED)
    sys.exit(1)
