"""Deploys the project's own templates to the embedded AWS by its CloudFormation."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import anyio
import orjson

from aws.client import Client, Connection
from aws.errors import AwsError
from aws.sdk import open_client
from local.emulator import template
from local.errors import LocalError

DEFAULT_STACK_NAME: Final = "participation"

_POLL_S: Final = 0.02
_IN_PROGRESS: Final = "_IN_PROGRESS"
_COMPLETE: Final = "CREATE_COMPLETE"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOutputs:
    """What the programs need to know of a deployed `pipeline.yaml`."""

    table_name: str
    queue_url: str
    dlq_url: str
    rule_dlq_url: str
    event_bus_name: str
    rule_name: str
    stream_name: str
    bucket_name: str
    database: str
    work_group: str


async def deploy_pipeline(
    connection: Connection,
    stack_name: str = DEFAULT_STACK_NAME,
    parameters: Mapping[str, str] | None = None,
) -> StackOutputs:
    """Deploy `pipeline.yaml` and wait until everything in it exists.

    For several stacks in one emulator, pass `own_names(stack_name)` as the parameters. Raises
    LocalError where a resource cannot be made.
    """
    outputs = await deploy(connection, "pipeline.yaml", stack_name, parameters)
    return StackOutputs(
        table_name=outputs["TableName"],
        queue_url=outputs["QueueUrl"],
        dlq_url=outputs["DlqUrl"],
        rule_dlq_url=outputs["RuleDlqUrl"],
        event_bus_name=outputs["EventBusName"],
        rule_name=outputs["RuleName"],
        stream_name=outputs["StreamName"],
        bucket_name=outputs["BucketName"],
        database=outputs["Database"],
        work_group=outputs["WorkGroup"],
    )


def own_names(stack_name: str) -> dict[str, str]:
    """Parameters that name everything after the stack.

    The rule keeps its name, which is part of the specification: it lies on a bus of the stack's.
    """
    return {
        "TableName": f"{stack_name}-table",
        "EventBusName": f"{stack_name}-bus",
        "DatabaseName": stack_name.replace("-", "_").lower(),
    }


async def deploy(
    connection: Connection,
    template_name: str,
    stack_name: str,
    parameters: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Deploy any template of `infra/`; returns its outputs by name. Raises LocalError."""
    async with open_client("cloudformation", connection) as client:
        try:
            await client.call(
                "CreateStack",
                StackName=stack_name,
                TemplateBody=_body(template_name),
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": value}
                    for key, value in (parameters or {}).items()
                ],
            )
            return await _outputs_when_complete(client, stack_name)
        except AwsError as error:
            raise LocalError(f"stack {stack_name!r} was refused: {error.message}") from error


@cache
def _body(template_name: str) -> str:
    return orjson.dumps(template.for_emulator(template.load(template_name))).decode()


async def _outputs_when_complete(client: Client, stack_name: str) -> dict[str, str]:
    while True:
        response = await client.call("DescribeStacks", StackName=stack_name)
        stack = response["Stacks"][0]
        status: str = stack["StackStatus"]
        if not status.endswith(_IN_PROGRESS):
            break
        await anyio.sleep(_POLL_S)
    if status != _COMPLETE:
        raise LocalError(
            f"stack {stack_name!r} ended as {status}: {await _failures(client, stack_name)}"
        )
    return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}


async def _failures(client: Client, stack_name: str) -> str:
    response = await client.call("DescribeStackEvents", StackName=stack_name)
    return "; ".join(
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in response["StackEvents"]
        if event["ResourceStatus"].endswith("_FAILED")
    )
