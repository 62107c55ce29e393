"""A whole deployment on the embedded AWS: made, brought up to date, read, torn down."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import uuid4

import pytest

from aws.client import Client, Connection
from aws.errors import AwsError
from aws.sdk import open_client
from local.emulator.stack import own_names, template_body
from operations import templates
from operations.deployment import Deployment, delete_data, variables
from operations.stacks import StackError, Stacks
from operations.templates import PIPELINE, SERVICE


@dataclass
class Session:
    """A deployment of its own in the emulator, and the lines it wrote."""

    deployment: Deployment
    lines: list[str]
    athena: Client
    s3: Client
    dynamodb: Client
    service: dict[str, str]
    """What `service.yaml` must be given."""

    async def deploy(self, **given: str) -> None:
        await self.deployment.deploy(self.athena, given)


@pytest.fixture
async def session(connection: Connection) -> AsyncIterator[Session]:
    lines: list[str] = []
    async with AsyncExitStack() as stack:
        clients = {
            service: await stack.enter_async_context(open_client(service, connection))
            for service in ("cloudformation", "athena", "s3", "dynamodb", "ec2")
        }
        subnets = (await clients["ec2"].call("DescribeSubnets"))["Subnets"]
        ids = ",".join(subnet["SubnetId"] for subnet in subnets[:2])
        yield Session(
            Deployment(
                f"d-{uuid4().hex[:12]}",
                Stacks(clients["cloudformation"], lines.append, poll_s=0.02),
                lines.append,
                template_body,
            ),
            lines,
            clients["athena"],
            clients["s3"],
            clients["dynamodb"],
            {
                "ImageUri": "registry/image:1",
                "JwksUrl": "https://issuer/keys",
                "VpcId": subnets[0]["VpcId"],
                "TaskSubnetIds": ids,
                "LoadBalancerSubnetIds": ids,
            },
        )


async def test_the_pipeline_is_deployed_without_services_first(session: Session) -> None:
    name = session.deployment.name
    await session.deploy(**own_names(name))
    outputs = await session.deployment.outputs()
    assert outputs["TableName"] == f"{name}-table"
    assert session.lines[-1].startswith(f"{name}-service: left out")
    with pytest.raises(StackError, match=f"there is no stack {name}-service"):
        await session.deployment.outputs(SERVICE)


async def test_the_services_get_the_pipelines_outputs(session: Session) -> None:
    name = session.deployment.name
    await session.deploy(**own_names(name), **session.service)
    outputs = await session.deployment.outputs(SERVICE)
    assert outputs["IngestUrl"].startswith("http://")
    found = await session.deployment.stacks.find(f"{name}-service")
    assert found is not None
    assert found.parameters >= {"QueueUrl", "WorkerPolicyArn", "StreamName"}


async def test_a_later_deployment_changes_what_it_is_given_alone(session: Session) -> None:
    name = session.deployment.name
    await session.deploy(**own_names(name), **session.service)
    session.lines.clear()
    await session.deploy(WorkerMinTasks="7")
    assert f"{name}: up to date" in session.lines
    assert f"{name}-service: updating" in session.lines
    assert (await session.deployment.outputs())["TableName"] == f"{name}-table"


async def test_a_parameter_that_no_template_takes_is_refused_before_anything_is_made(
    session: Session,
) -> None:
    with pytest.raises(StackError, match=r"no template has a parameter WorkerMinTask$"):
        await session.deploy(WorkerMinTask="7")
    assert session.lines == []
    with pytest.raises(StackError, match="run `participation deploy` first"):
        await session.deployment.outputs()


async def test_tearing_down_leaves_the_data_until_their_deletion_is_asked_for(
    session: Session,
) -> None:
    name = session.deployment.name
    await session.deploy(**own_names(name), **session.service)
    outputs = await session.deployment.outputs()
    bucket, table = outputs["BucketName"], outputs["TableName"]
    await session.s3.call("PutObject", Bucket=bucket, Key="events/dt=x/hour=y/a", Body=b"{}\n")

    assert await session.deployment.tear_down() == outputs
    for suffix in ("", "-queries", "-service"):
        assert await session.deployment.stacks.find(f"{name}{suffix}") is None
    await session.s3.call("HeadBucket", Bucket=bucket)
    await session.dynamodb.call("DescribeTable", TableName=table)

    await delete_data(session.s3, session.dynamodb, outputs, session.lines.append)
    with pytest.raises(AwsError):
        await session.s3.call("HeadBucket", Bucket=bucket)
    with pytest.raises(AwsError):
        await session.dynamodb.call("DescribeTable", TableName=table)


async def test_the_outputs_are_the_commands_variables(session: Session) -> None:
    await session.deploy(**own_names(session.deployment.name))
    outputs = await session.deployment.outputs()
    assert variables(outputs) == {
        "TABLE_NAME": outputs["TableName"],
        "QUEUE_URL": outputs["QueueUrl"],
        "DLQ_URL": outputs["DlqUrl"],
        "EVENT_BUS_NAME": outputs["EventBusName"],
        "LAKE_BUCKET": outputs["BucketName"],
        "LAKE_DATABASE": outputs["Database"],
        "ATHENA_WORKGROUP": outputs["WorkGroup"],
    }


def test_what_is_deployed_is_the_file_of_the_package() -> None:
    assert "AWS::SQS::Queue" in templates.text(PIPELINE)
    assert "AWS::ECS::Service" in templates.text(SERVICE)
