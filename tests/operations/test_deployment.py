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
from tests.operations.test_table_checks import Dynamodb


@dataclass
class Session:
    """A deployment of its own in the emulator, and the lines it wrote."""

    deployment: Deployment
    lines: list[str]
    athena: Client
    s3: Client
    dynamodb: Client
    sqs: Client
    service: dict[str, str]
    """What `service.yaml` must be given."""

    async def deploy(self, **given: str) -> None:
        await self.deployment.deploy(self.athena, self.dynamodb, given)

    async def is_protected(self) -> bool:
        table = (await self.deployment.outputs())["TableName"]
        answer = await self.dynamodb.call("DescribeTable", TableName=table)
        found: bool = answer["Table"]["DeletionProtectionEnabled"]
        return found


@pytest.fixture
async def session(connection: Connection) -> AsyncIterator[Session]:
    lines: list[str] = []
    async with AsyncExitStack() as stack:
        clients = {
            service: await stack.enter_async_context(open_client(service, connection))
            for service in ("cloudformation", "athena", "s3", "dynamodb", "sqs", "ec2")
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
            clients["sqs"],
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
    assert found.parameters.keys() >= {"QueueUrl", "WorkerPolicyArn", "QueueName"}


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
    with pytest.raises(StackError, match="is AWS_REGION right"):
        await session.deployment.outputs()


async def test_warm_throughput_below_what_the_table_has_is_refused_before_anything_is_changed(
    session: Session,
) -> None:
    name = session.deployment.name
    await session.deploy(**own_names(name))
    session.lines.clear()
    warmer = Dynamodb(f"{name}-table")
    for parameter, units in (("TableWarmWriteUnits", "20000"), ("Gsi1WarmWriteUnits", "9000")):
        with pytest.raises(StackError, match=f"{parameter}={units}, but it has"):
            await session.deployment.deploy(session.athena, warmer, {parameter: units})
    assert session.lines == []


async def test_warm_throughput_that_stays_as_it_was_given_is_not_refused(session: Session) -> None:
    name = session.deployment.name
    await session.deploy(**own_names(name), TableWarmWriteUnits="20000")
    # Meanwhile, traffic has made it 25,000.
    warmer = Dynamodb(f"{name}-table")
    given = {"TableWarmWriteUnits": "20000", "MaxReceiveCount": "7"}
    await session.deployment.deploy(session.athena, warmer, given)


async def test_tearing_down_leaves_the_data_until_their_deletion_is_asked_for(
    session: Session,
) -> None:
    name = session.deployment.name
    await session.deploy(**own_names(name), **session.service, TableDeletionProtection="false")
    outputs = await session.deployment.outputs()
    bucket, table = outputs["BucketName"], outputs["TableName"]
    queues = [outputs[key] for key in ("QueueUrl", "DlqUrl", "RuleDlqUrl")]
    await session.sqs.call("SendMessage", QueueUrl=outputs["QueueUrl"], MessageBody="a request")
    await session.s3.call("PutObject", Bucket=bucket, Key="events/dt=x/hour=y/a", Body=b"{}\n")

    assert await session.deployment.tear_down() == outputs
    for suffix in ("", "-queries", "-service"):
        assert await session.deployment.stacks.find(f"{name}{suffix}") is None
    await session.s3.call("HeadBucket", Bucket=bucket)
    await session.dynamodb.call("DescribeTable", TableName=table)
    for url in queues:
        await session.sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])
    waiting = await session.sqs.call("ReceiveMessage", QueueUrl=outputs["QueueUrl"])
    assert [m["Body"] for m in waiting["Messages"]] == ["a request"]

    await delete_data(session.s3, session.dynamodb, session.sqs, outputs, session.lines.append)
    with pytest.raises(AwsError):
        await session.s3.call("HeadBucket", Bucket=bucket)
    with pytest.raises(AwsError):
        await session.dynamodb.call("DescribeTable", TableName=table)
    for url in queues:
        with pytest.raises(AwsError):
            await session.sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])


async def test_a_table_is_protected_once_its_stack_has_been_made(session: Session) -> None:
    name = session.deployment.name
    await session.deploy(**own_names(name))
    # While the stack is being made, a failure must be able to delete the table again.
    assert session.lines[:4:2] == [f"{name}: creating", f"{name}: updating"]
    assert await session.is_protected() is True
    await session.deploy(MaxReceiveCount="7")
    assert await session.is_protected() is True
    await session.deploy(TableDeletionProtection="false")
    assert await session.is_protected() is False


async def test_a_table_that_an_operator_wants_unprotected_is_so_from_the_start(
    session: Session,
) -> None:
    name = session.deployment.name
    await session.deploy(**own_names(name), TableDeletionProtection="false")
    assert f"{name}: updating" not in session.lines
    assert await session.is_protected() is False


async def test_the_services_notify_whom_the_pipeline_notifies(session: Session) -> None:
    name, topic = session.deployment.name, "arn:aws:sns:ap-northeast-2:000000000000:alarms"
    await session.deploy(**own_names(name), AlarmTopicArn=topic)
    assert (await session.deployment.outputs())["AlarmTopicArn"] == topic
    await session.deploy(**session.service)
    found = await session.deployment.stacks.find(f"{name}-service")
    assert found is not None
    assert found.parameters["AlarmTopicArn"] == topic


async def test_the_outputs_are_the_commands_variables(session: Session) -> None:
    await session.deploy(**own_names(session.deployment.name))
    outputs = await session.deployment.outputs()
    assert variables(outputs) == {
        "TABLE_NAME": outputs["TableName"],
        "QUEUE_URL": outputs["QueueUrl"],
        "DLQ_URL": outputs["DlqUrl"],
        "LOST_EVENTS_QUEUE_URL": outputs["LostEventsQueueUrl"],
        "EVENT_BUS_NAME": outputs["EventBusName"],
        "LAKE_BUCKET": outputs["BucketName"],
        "LAKE_DATABASE": outputs["Database"],
        "ATHENA_WORKGROUP": outputs["WorkGroup"],
    }


def test_what_is_deployed_is_the_file_of_the_package() -> None:
    assert "AWS::SQS::Queue" in templates.text(PIPELINE)
    assert "AWS::ECS::Service" in templates.text(SERVICE)
