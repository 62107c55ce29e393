"""`participation rehearse`: an event of its own, a load on it, and the evidence."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analytics.sources import EngineName
from cli import load as loads
from cli.output import AsJson, confirm, fail, write_json
from cli.running import audited, connection_of, log_to_stderr, run_async, run_stoppable
from config.settings import AwsSettings, load
from operations.load.people import Arrivals
from runtime.stop import ExitCode
from schema.items import MAX_SEATS

if TYPE_CHECKING:
    from analytics.sources import Source
    from aws.client import Connection
    from operations.rehearsal import Place, Plan, Rehearsed
    from runtime.stop import Stop


def rehearse(
    rate: loads.Rate,
    seconds: loads.Seconds,
    seats: Annotated[
        int, typer.Option(min=1, max=MAX_SEATS, metavar="N", help="seats of the event")
    ],
    stack: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="the deployed pipeline; default: TABLE_NAME, LAKE_BUCKET"
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="ingest's address; default: the stack's, or INGEST_URL"),
    ] = None,
    users: loads.Users = None,
    arrivals: loads.ArrivalsOption = Arrivals.CONSTANT,
    seed: loads.Seed = 1,
    tokens: loads.Tokens = None,
    connections: loads.Connections = 1_000,
    timeout: loads.Timeout = 10.0,
    p99: loads.P99 = None,
    max_errors: loads.MaxErrors = 0.0,
    engine: Annotated[
        EngineName, typer.Option(envvar="LAKE_ENGINE", help="what reads the lake")
    ] = EngineName.LOCAL,
    patience: Annotated[
        float,
        typer.Option(min=1, max=3_600, metavar="S", help="how long nothing may move, in s"),
    ] = 300.0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="for the report; default: var/rehearsal-<time>"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: AsJson = False,
) -> None:
    """Rehearse on a pipeline: create an event, make clicks, wait for the lake, check everything.

    Clicks are repeated after 503, as browsers do. Asks before it begins what that costs. Ctrl-C
    closes the event. Exit codes: 0 all is as it should be, 1 something is not, 2, 130.
    """
    from local import run_folders
    from operations import rehearsal
    from operations.load.generator import Manner
    from operations.load.people import clicks, moments
    from operations.load.target import LoadError, Target
    from operations.load.verdict import Thresholds

    settings = load(AwsSettings)
    now = datetime.now(UTC)
    event_id = rehearsal.event_id(now)
    connection = connection_of(settings)
    variables, ingest_url = _where(connection, settings.table_name, stack, url)
    try:
        target = Target(ingest_url, event_id)
        crowd = loads.persons(rate, seconds, users, "rehearsal", tokens)
    except LoadError as error:
        fail(str(error), 2)
    plan = rehearsal.Plan(
        event_id=event_id,
        seats=seats,
        target=target,
        clicks=round(rate * seconds),
        crowd=clicks(moments(arrivals, rate, seconds, seed), crowd),
        manner=Manner(connections=connections, timeout_s=timeout, tries=loads.BROWSERS_TRIES),
        thresholds=Thresholds(p99_ms=p99, errors_share=max_errors),
        patience_s=patience,
    )
    dollars = rehearsal.dollars(rate, seconds, seats)
    sys.stderr.write(
        f"{plan.clicks:,} clicks within {seconds:g} s at {ingest_url}, on the table "
        f"{variables['TABLE_NAME']}: about ${dollars:.2f} by the prices of us-east-1, an hour of "
        "the tasks included\n"
    )
    if not yes:
        confirm("rehearse?")
    folder = out or run_folders.new(Path("var"), "rehearsal", now)
    place = rehearsal.Place(
        connection=connection,
        table_name=variables["TABLE_NAME"],
        lake=_lake(connection, engine, variables),
        folder=folder,
    )
    log_to_stderr(settings)
    rehearsed = _run(place, plan)
    audited(
        settings,
        "rehearsed",
        event_id=event_id,
        seats=seats,
        requests=rehearsed.requests,
        passed=rehearsed.passed,
    )
    _show(plan, rehearsed, as_json=as_json)
    if rehearsed.is_interrupted:
        fail(_remains(event_id), ExitCode.INTERRUPTED)
    sys.exit(0 if rehearsed.passed else 1)


def _run(place: "Place", plan: "Plan") -> "Rehearsed":
    from rich.console import Console

    from analytics.engine import LakeError
    from local.demo.progress import ConsoleProgress
    from operations import rehearsal
    from operations.events import EventError
    from operations.load.target import LoadError

    with ConsoleProgress(Console(stderr=True)) as progress:

        async def run(stop: "Stop") -> "Rehearsed":
            return await rehearsal.run(place, plan, progress, stop)

        try:
            return run_stoppable(run)
        except EventError as error:
            fail(str(error))
        except (LakeError, LoadError) as error:
            fail(f"{error}\n{_remains(plan.event_id)}")
        except KeyboardInterrupt:
            fail(_remains(plan.event_id), ExitCode.INTERRUPTED)


def _where(
    connection: "Connection", table_name: str, stack: str | None, url: str | None
) -> tuple[Mapping[str, str], str]:
    """The pipeline's variables and ingest's URL, from a stack's outputs or the environment."""
    from operations.stacks import StackError

    variables: Mapping[str, str] = {**os.environ, "TABLE_NAME": table_name}
    if stack is None:
        url = url or variables.get("INGEST_URL")
    else:
        try:
            variables, url = run_async(_deployed, connection, stack, url)
        except StackError as error:
            fail(str(error))
    if url is None:
        raise typer.BadParameter("give --stack, or --url and the variables of `participation env`")
    if not variables.get("LAKE_BUCKET"):
        raise typer.BadParameter("LAKE_BUCKET is not set: give --stack, or set it to the bucket")
    return variables, url


def _lake(connection: "Connection", engine: EngineName, variables: Mapping[str, str]) -> "Source":
    from analytics.sources import Source

    return Source(
        engine=engine,
        bucket=variables["LAKE_BUCKET"],
        fetches=True,
        database=variables.get("LAKE_DATABASE", "default"),
        workgroup=variables.get("ATHENA_WORKGROUP", "primary"),
        projected=True,
        region=connection.region,
        endpoint_url=connection.endpoint_url,
    )


async def _deployed(
    connection: "Connection", stack: str, url: str | None
) -> tuple[Mapping[str, str], str]:
    """A deployed pipeline's variables, and where its ingest answers."""
    from operations import deployment
    from operations.templates import SERVICE

    async with deployment.opened(connection, stack, lambda _line: None) as deployed:
        variables = deployment.variables(await deployed.outputs())
        return variables, url or (await deployed.outputs(SERVICE))["IngestUrl"]


def _show(plan: "Plan", rehearsed: "Rehearsed", *, as_json: bool) -> None:
    from cli.load_output import document, page, write_page
    from operations.load.verdict import remarks

    # What was interrupted has not been looked at to its end.
    decisions = None if rehearsed.is_interrupted else rehearsed.decisions
    hints = remarks(rehearsed.load.sending)
    if as_json:
        write_json(
            {
                "eventId": plan.event_id,
                "seats": plan.seats,
                "load": document(rehearsed.load),
                "remarks": hints,
                "requests": rehearsed.requests,
                "decided": decisions
                and {status.value: n for status, n in decisions.by_status.items()},
                "undecided": decisions and decisions.undecided,
                "seatsLeft": decisions and decisions.capacity and decisions.capacity.remaining,
                "criteria": [
                    {"name": one.name, "passed": one.is_met, "detail": one.detail}
                    for one in rehearsed.criteria
                ],
                "passed": rehearsed.passed,
                "interrupted": rehearsed.is_interrupted,
                "report": rehearsed.report and str(rehearsed.report),
            }
        )
        return
    write_page([("event", f"{plan.event_id}, {plan.seats:,} seats"), *page(rehearsed.load)])
    sys.stdout.writelines(f"{text}.\n" for text in hints)
    for one in rehearsed.criteria:
        sys.stdout.write(f"{'pass' if one.is_met else 'FAIL'}  {one.name}: {one.detail}\n")
    if rehearsed.report is not None:
        sys.stdout.write(f"report     {rehearsed.report}\n")


def _remains(event_id: str) -> str:
    return (
        f"the event {event_id} takes no more clicks; what was accepted is still decided and "
        "published. Its requests stay in the table until REQUEST_TTL_DAYS, its lines in the "
        f"lake: nothing has to be cleaned up. `participation events show {event_id}` shows it"
    )
