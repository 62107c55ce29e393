"""`participation deploy`, `env`, `smoke` and `teardown`: a pipeline on AWS, made, used, removed."""

import shlex
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cli.output import AsJson, confirm, fail, write_json
from cli.running import connection_of, run_async
from config.settings import AwsSettings, TokenSettings, load

if TYPE_CHECKING:
    from aws.client import Connection

StackName = Annotated[
    str,
    typer.Option(
        "--stack", metavar="NAME", help="the pipeline's name; its stacks' names begin with it"
    ),
]

T = TypeVar("T")


def deploy(
    stack: StackName,
    image: Annotated[
        str | None,
        typer.Option(metavar="URI", help="the container image; runs worker and ingest on ECS"),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PARAMETER=VALUE", help="a template's parameter; repeatable"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the pipeline's stacks or bring them up to date; what is not given stays as it is.

    JSON has the outputs of each stack.
    """
    from operations import deployment

    parameters = dict(_parameter(text) for text in given or ())
    if image is not None:
        parameters["ImageUri"] = image
    made = _run(lambda connection: deployment.deploy(connection, stack, parameters, _report))
    if as_json:
        write_json({"stacks": made})


def env(stack: StackName, as_json: AsJson = False) -> None:
    """Print the deployed pipeline's variables: `eval "$(participation env --stack NAME)"`."""
    from operations import deployment

    found = _run(lambda connection: deployment.environment(connection, stack, _report))
    if as_json:
        write_json(found)
        return
    for name, value in found.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def smoke(
    stack: StackName,
    ingest_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="where ingest answers; default: the deployed load balancer"
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="SMOKE_TOKEN",
            metavar="TOKEN",
            help="a user's token; default: one made with JWT_SECRET",
        ),
    ] = None,
    athena: Annotated[
        bool,
        typer.Option(help="ask Athena for it at the end; the embedded AWS's Athena has no data"),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Send one request through the deployed pipeline until it is seen in the lake.

    Makes an event of its own with one seat. Exit code 1 where a step does not succeed; JSON has
    the steps that did.
    """
    from operations import smoke as smoking

    bearer = token or smoking.issue_token(load(TokenSettings))
    steps: list[dict[str, str | float]] = []

    def report(step: smoking.Step) -> None:
        _report(f"{step.seconds:7.1f} s  {step.text}")
        steps.append({"key": step.key, "seconds": round(step.seconds, 3)})

    passed = False
    try:
        _run(
            lambda connection: smoking.run_deployed(
                connection, stack, bearer, report, ingest_url=ingest_url, ask_athena=athena
            )
        )
        passed = True
    finally:
        if as_json:
            write_json({"passed": passed, "steps": steps})


def teardown(
    stack: StackName,
    delete_data: Annotated[
        bool,
        typer.Option("--delete-data", help="delete the table, the lake and the queues as well"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the pipeline's stacks; table, lake and queues stay, unless --delete-data is given.

    JSON has the outputs that the pipeline had.
    """
    from operations import deployment

    what = "stacks, table, lake and queues" if delete_data else "stacks"
    if not yes:
        confirm(f"Delete the {what} of {stack}?")

    outputs = _run(
        lambda connection: deployment.tear_down(connection, stack, _report, with_data=delete_data)
    )
    if as_json:
        write_json({"stack": stack, "dataDeleted": delete_data, "outputs": outputs})


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not PARAMETER=VALUE", param_hint="--set")
    return name, value


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _run(function: "Callable[[Connection], Awaitable[T]]") -> T:
    """Run; what went wrong is one sentence and exit code 1."""
    from analytics.engine import LakeError
    from aws import permissions
    from operations.smoke import SmokeError
    from operations.stacks import StackError

    try:
        return run_async(function, connection_of(load(AwsSettings)))
    except (LakeError, SmokeError, StackError) as error:
        fail(permissions.sentence(error))
