"""The pipeline's stacks together: which there are, what each is given, and how they are removed."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from analytics.athena_engine import AthenaEngine
from analytics.athena_execution import Place
from aws.client import Client, Connection
from aws.errors import Rejected
from aws.objects import list_objects
from aws.sdk import open_client
from operations import table_checks, templates
from operations.stacks import Report, StackError, Stacks, missing
from operations.table_checks import PROTECTION
from operations.templates import PIPELINE, QUERIES, SERVICE

_VIEW: Final = "create_requests_view"
_MAX_DELETED_KEYS: Final = 1_000
"""AWS: S3 DeleteObjects."""

_SUFFIXES: Final = {PIPELINE: "", QUERIES: "-queries", SERVICE: "-service"}
_VARIABLES: Final = {
    "TABLE_NAME": "TableName",
    "QUEUE_URL": "QueueUrl",
    "DLQ_URL": "DlqUrl",
    "LOST_EVENTS_QUEUE_URL": "LostEventsQueueUrl",
    "EVENT_BUS_NAME": "EventBusName",
    "LAKE_BUCKET": "BucketName",
    "LAKE_DATABASE": "Database",
    "ATHENA_WORKGROUP": "WorkGroup",
}
"""The commands' variables, each with the output that it takes its value from."""

_QUEUES: Final = ("QueueUrl", "DlqUrl", "RuleDlqUrl", "LostEventsQueueUrl")
"""The outputs that name the queues that a deleted stack leaves."""


def stack_name(name: str, template: str) -> str:
    """The name of one of the pipeline's stacks."""
    return f"{name}{_SUFFIXES[template]}"


def variables(outputs: Mapping[str, str]) -> dict[str, str]:
    """What the commands need in their environment to work on a deployed pipeline."""
    return {variable: outputs[output] for variable, output in _VARIABLES.items()}


@dataclass(frozen=True, slots=True)
class Deployment:
    """The stacks of one pipeline, called `name`."""

    name: str
    stacks: Stacks
    report: Report
    read: Callable[[str], str] = field(default=templates.text)

    async def outputs(self, template: str = PIPELINE) -> Mapping[str, str]:
        """A stack's outputs; raises StackError where it is not deployed."""
        name = stack_name(self.name, template)
        stack = await self.stacks.find(name)
        if stack is None:
            raise missing(name)
        return stack.outputs

    async def deploy(
        self, athena: Client, dynamodb: Client, given: Mapping[str, str]
    ) -> Mapping[str, Mapping[str, str]]:
        """Make or update everything; the services only with an image, or where they exist.

        Returns the outputs of each stack by its name. Raises StackError, before anything is
        changed, for a parameter that no template takes, and for warm throughput below what the
        table has.
        """
        taken = {t: await self.stacks.parameters_of(self.read(t)) for t in (PIPELINE, SERVICE)}
        if unknown := given.keys() - frozenset().union(*taken.values()):
            raise StackError(f"no template has a parameter {', '.join(sorted(unknown))}")
        outputs = await self._apply_pipeline(dynamodb, _only(given, taken[PIPELINE]))
        place = {"DatabaseName": outputs["Database"], "WorkGroupName": outputs["WorkGroup"]}
        made = {
            stack_name(self.name, PIPELINE): outputs,
            stack_name(self.name, QUERIES): await self._apply(QUERIES, place),
        }
        await self._define_view(athena, outputs)
        service = stack_name(self.name, SERVICE)
        if "ImageUri" in given or await self.stacks.find(service) is not None:
            for_service = _only(outputs, taken[SERVICE]) | _only(given, taken[SERVICE])
            made[service] = await self._apply(SERVICE, for_service)
        else:
            self.report(f"{service}: left out; give --image to run worker and ingest on ECS")
        return made

    async def tear_down(self) -> Mapping[str, str]:
        """Delete the stacks, the last one first; returns the outputs that the pipeline had.

        Table, bucket and queues stay: `delete_data` removes them.
        """
        outputs = await self.outputs()
        for template in (SERVICE, QUERIES, PIPELINE):
            await self.stacks.delete(stack_name(self.name, template))
        return outputs

    async def _apply_pipeline(
        self, dynamodb: Client, parameters: Mapping[str, str]
    ) -> Mapping[str, str]:
        before = await self.stacks.find(stack_name(self.name, PIPELINE))
        if before is None:
            if parameters.get(PROTECTION) != "false":
                # A creation that fails deletes what it made, which a protected table would refuse.
                await self._apply(PIPELINE, {**parameters, PROTECTION: "false"})
                parameters = {PROTECTION: "true"}
            return await self._apply(PIPELINE, parameters)
        # What stays as it was is not sent to DynamoDB, though the table may have more by now.
        changed = dict(parameters.items() - before.parameters.items())
        if "TableName" not in changed:
            await table_checks.refuse_lowering(dynamodb, before.outputs["TableName"], changed)
        return await self._apply(PIPELINE, parameters)

    async def _apply(self, template: str, parameters: Mapping[str, str]) -> Mapping[str, str]:
        name = stack_name(self.name, template)
        return await self.stacks.apply(name, self.read(template), parameters)

    async def _define_view(self, athena: Client, outputs: Mapping[str, str]) -> None:
        """CloudFormation cannot run SQL, and a Glue view would be encoded beyond reading."""
        place = Place(database=outputs["Database"], workgroup=outputs["WorkGroup"])
        await AthenaEngine(athena, place, bucket=outputs["BucketName"]).define(_VIEW)
        self.report(f"{outputs['Database']}: view {_VIEW.removeprefix('create_')} is up to date")


@asynccontextmanager
async def opened(connection: Connection, name: str, report: Report) -> AsyncIterator[Deployment]:
    """A pipeline's stacks on AWS; `report` gets each step."""
    async with open_client("cloudformation", connection) as client:
        yield Deployment(name, Stacks(client, report), report)


async def deploy(
    connection: Connection, name: str, parameters: Mapping[str, str], report: Report
) -> Mapping[str, Mapping[str, str]]:
    """Make a pipeline or bring it up to date, see `Deployment.deploy`."""
    async with (
        opened(connection, name, report) as deployment,
        open_client("athena", connection) as athena,
        open_client("dynamodb", connection) as dynamodb,
    ):
        return await deployment.deploy(athena, dynamodb, parameters)


async def environment(connection: Connection, name: str, report: Report) -> dict[str, str]:
    """The commands' variables for a deployed pipeline, and where AWS is."""
    async with opened(connection, name, report) as deployment:
        found = {"AWS_REGION": connection.region, **variables(await deployment.outputs())}
    if connection.endpoint_url is not None:
        found["AWS_ENDPOINT_URL"] = connection.endpoint_url
    return found


async def tear_down(
    connection: Connection, name: str, report: Report, *, with_data: bool
) -> Mapping[str, str]:
    """Delete a pipeline's stacks; the table, the lake and the queues only with the data.

    Returns the outputs that the pipeline had. Raises StackError, before anything is deleted, where
    the table is to go and is protected.
    """
    async with (
        opened(connection, name, report) as deployment,
        open_client("s3", connection) as s3,
        open_client("dynamodb", connection) as dynamodb,
        open_client("sqs", connection) as sqs,
    ):
        if with_data:
            table = (await deployment.outputs())["TableName"]
            await table_checks.refuse_protected(dynamodb, table, name)
        outputs = await deployment.tear_down()
        if with_data:
            await delete_data(s3, dynamodb, sqs, outputs, report)
        else:
            queues = ", ".join(_queue_name(outputs[key]) for key in _QUEUES)
            report(
                f"kept: table {outputs['TableName']}, bucket {outputs['BucketName']}, "
                f"queues {queues}"
            )
        return outputs


async def delete_data(
    s3: Client, dynamodb: Client, sqs: Client, outputs: Mapping[str, str], report: Report
) -> None:
    """Delete the lake's bucket, the table and the queues with all that is in them, for good."""
    bucket, table = outputs["BucketName"], outputs["TableName"]
    keys = [stored.key async for stored in list_objects(s3, bucket, "")]
    for start in range(0, len(keys), _MAX_DELETED_KEYS):
        doomed: dict[str, Any] = {
            "Objects": [{"Key": key} for key in keys[start : start + _MAX_DELETED_KEYS]],
            "Quiet": True,
        }
        answer = await s3.call("DeleteObjects", Bucket=bucket, Delete=doomed)
        if errors := answer.get("Errors"):
            raise Rejected("s3", "DeleteObjects", errors[0]["Code"], errors[0]["Message"])
    await s3.call("DeleteBucket", Bucket=bucket)
    report(f"{bucket}: deleted with {len(keys):,} objects")
    await dynamodb.call("DeleteTable", TableName=table)
    report(f"{table}: deleted")
    for key in _QUEUES:
        await sqs.call("DeleteQueue", QueueUrl=outputs[key])
        report(f"{_queue_name(outputs[key])}: deleted")


def _queue_name(url: str) -> str:
    return url.rpartition("/")[2]


def _only(values: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name in names}
