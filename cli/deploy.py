"""`participation deploy`, `env`, `smoke` and `teardown`: a pipeline on AWS, made, used, removed."""

import shlex
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from time import time
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from cli.running import connection_of, run_async
from config.settings import AwsSettings, TokenSettings, load

if TYPE_CHECKING:
    from operations.deployment import Deployment

StackName = Annotated[
    str, typer.Option("--stack", help="the pipeline's name; its stacks' names begin with it")
]

_TOKEN_HOLDS_S = 3_600


def deploy(
    stack: StackName,
    image: Annotated[
        str | None, typer.Option(help="the container image; runs worker and ingest on ECS")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PARAMETER=VALUE", help="a template's parameter; repeatable"),
    ] = None,
) -> None:
    """Make the pipeline's stacks or bring them up to date; what is not given stays as it is."""
    parameters = dict(_parameter(text) for text in given or ())
    if image is not None:
        parameters["ImageUri"] = image

    async def main(settings: AwsSettings) -> None:
        from aws.sdk import open_client

        async with (
            _deployment(settings, stack) as deployment,
            open_client("athena", connection_of(settings)) as athena,
        ):
            await deployment.deploy(athena, parameters)

    _run(main)


def env(stack: StackName) -> None:
    """Print the deployed pipeline's variables: `eval "$(participation env --stack NAME)"`."""

    async def main(settings: AwsSettings) -> None:
        from operations.deployment import variables

        async with _deployment(settings, stack) as deployment:
            found = variables(await deployment.outputs())
        for name, value in found.items():
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")

    _run(main)


def smoke(
    stack: StackName,
    ingest_url: Annotated[
        str | None, typer.Option(help="where ingest answers; default: the deployed load balancer")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="SMOKE_TOKEN", help="a user's token; default: one by JWT_SECRET"),
    ] = None,
    athena: Annotated[bool, typer.Option(help="ask Athena for it at the end")] = True,
) -> None:
    """Send one request through the deployed pipeline until it is seen in the lake.

    Makes an event of its own with one seat. Exit code 1 where a step does not succeed.
    """
    bearer = token or _token()

    async def main(settings: AwsSettings) -> None:
        from operations import smoke as smoking

        async with _place(settings, stack, ingest_url, ask_athena=athena) as place:
            await smoking.run(place, bearer, _tell)

    _run(main)


def teardown(
    stack: StackName,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="delete the table and the lake as well")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Delete the pipeline's stacks; the table and the lake stay, unless --delete-data is given."""
    what = "stacks, table and lake" if delete_data else "stacks"
    if not yes and not typer.confirm(f"Delete the {what} of {stack}?"):
        sys.exit(1)

    async def main(settings: AwsSettings) -> None:
        from aws.sdk import open_client
        from operations import deployment as deployments

        connection = connection_of(settings)
        async with _deployment(settings, stack) as deployment:
            outputs = await deployment.tear_down()
        if not delete_data:
            _tell(f"kept: table {outputs['TableName']}, bucket {outputs['BucketName']}")
            return
        async with open_client("s3", connection) as s3, open_client("dynamodb", connection) as db:
            await deployments.delete_data(s3, db, outputs, _tell)

    _run(main)


@asynccontextmanager
async def _deployment(settings: AwsSettings, name: str) -> AsyncIterator["Deployment"]:
    from aws.sdk import open_client
    from operations.deployment import Deployment
    from operations.stacks import Stacks

    async with open_client("cloudformation", connection_of(settings)) as client:
        yield Deployment(name, Stacks(client, _tell), _tell)


@asynccontextmanager
async def _place(
    settings: AwsSettings, name: str, ingest_url: str | None, *, ask_athena: bool
) -> AsyncIterator[Any]:
    from analytics.athena_engine import AthenaEngine
    from analytics.athena_execution import Place as AthenaPlace
    from aws.sdk import open_client
    from aws.table import Table
    from operations.deployment import SERVICE
    from operations.smoke import Place

    connection = connection_of(settings)
    async with _deployment(settings, name) as deployment:
        outputs = await deployment.outputs()
        url = ingest_url or (await deployment.outputs(SERVICE))["IngestUrl"]
    asks = AthenaPlace(database=outputs["Database"], workgroup=outputs["WorkGroup"])
    bucket = outputs["BucketName"]
    async with (
        open_client("dynamodb", connection) as dynamodb,
        open_client("s3", connection) as s3,
        open_client("athena", connection) as athena,
    ):
        yield Place(
            ingest_url=url,
            table=Table(dynamodb, outputs["TableName"]),
            s3=s3,
            bucket=bucket,
            athena=AthenaEngine(athena, asks, bucket=bucket, s3=s3, projected=True)
            if ask_athena
            else None,
        )


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not PARAMETER=VALUE", param_hint="--set")
    return name, value


def _token() -> str:
    from ingest import tokens

    settings = load(TokenSettings)
    return tokens.issue(
        settings.jwt_secret.get_secret_value(),
        f"smoke-{uuid4()}",
        now_s=time(),
        expires_in_s=_TOKEN_HOLDS_S,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
    )


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _run(main: Callable[[AwsSettings], Coroutine[Any, Any, None]]) -> None:
    """Run; what went wrong is one sentence and exit code 1."""
    from analytics.engine import LakeError
    from operations.smoke import SmokeError
    from operations.stacks import StackError

    try:
        run_async(main, load(AwsSettings))
    except (LakeError, SmokeError, StackError) as error:
        sys.stderr.write(f"participation: {error}\n")
        sys.exit(1)
