"""Deploys the pipeline's templates to the embedded AWS."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import orjson

from aws.client import Connection
from aws.errors import AwsError
from aws.sdk import open_client
from local import templates
from local.emulator.template import for_emulator
from local.errors import LocalError
from operations.stacks import StackError, Stacks
from operations.templates import PIPELINE

DEFAULT_STACK_NAME: Final = "participation"

_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOutputs:
    """What the programs need to know of a deployed `pipeline.yaml`."""

    table_name: str
    queue_url: str
    dlq_url: str
    rule_dlq_url: str
    lost_events_queue_url: str
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
    outputs = await deploy(connection, PIPELINE, stack_name, parameters)
    return StackOutputs(
        table_name=outputs["TableName"],
        queue_url=outputs["QueueUrl"],
        dlq_url=outputs["DlqUrl"],
        rule_dlq_url=outputs["RuleDlqUrl"],
        lost_events_queue_url=outputs["LostEventsQueueUrl"],
        event_bus_name=outputs["EventBusName"],
        rule_name=outputs["RuleName"],
        stream_name=outputs["StreamName"],
        bucket_name=outputs["BucketName"],
        database=outputs["Database"],
        work_group=outputs["WorkGroup"],
    )


def own_names(stack_name: str) -> dict[str, str]:
    """Parameters that name everything after the stack.

    The rule keeps its name, which is part of the specification: it is on the stack's own bus.
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
) -> Mapping[str, str]:
    """Deploy one of the pipeline's templates; returns its outputs by name. Raises LocalError."""
    async with open_client("cloudformation", connection) as client:
        stacks = Stacks(client, lambda _line: None, _POLL_S)
        try:
            return await stacks.apply(stack_name, template_body(template_name), parameters or {})
        except AwsError as error:
            raise LocalError(f"stack {stack_name!r} was refused: {error.message}") from error
        except StackError as error:
            raise LocalError(str(error)) from error


@cache
def template_body(template_name: str) -> str:
    """One of the pipeline's templates as the emulator can make it."""
    return orjson.dumps(for_emulator(templates.load(template_name))).decode()
