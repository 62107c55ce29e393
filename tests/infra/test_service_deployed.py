"""`service.yaml` as the embedded AWS made it, and the programs run with what it gives them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from aws.client import Connection
from aws.sdk import open_client
from local import templates
from local.emulator import stack as stacks
from local.emulator.stack import StackOutputs
from tests.worker.support import World, request

SECRET_ARN = (
    "arn:aws:secretsmanager:ap-northeast-2:000000000000:secret:jwt"  # pragma: allowlist secret
)


class Deployed:
    """A deployed pair of stacks, asked through one client of each service."""

    def __init__(
        self,
        name: str,
        outputs: Mapping[str, str],
        connection: Connection,
        clients: AsyncExitStack,
    ) -> None:
        self._name = name
        self.outputs = outputs
        self._connection = connection
        self._clients = clients

    async def ask(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        client = await self._clients.enter_async_context(open_client(service, self._connection))
        return await client.call(operation, **parameters)

    async def physical_id(self, resource: str) -> str:
        answer = await self.ask(
            "cloudformation",
            "DescribeStackResource",
            StackName=self._name,
            LogicalResourceId=resource,
        )
        found: str = answer["StackResourceDetail"]["PhysicalResourceId"]
        return found

    async def container(self, program: str) -> dict[str, Any]:
        """A program's container, as its service runs it."""
        answer = await self.ask(
            "ecs",
            "DescribeServices",
            cluster=self.outputs["ClusterName"],
            services=[self.outputs[f"{program}ServiceName"]],
        )
        definition = await self.ask(
            "ecs",
            "DescribeTaskDefinition",
            taskDefinition=answer["services"][0]["taskDefinition"],
        )
        found: dict[str, Any] = definition["taskDefinition"]["containerDefinitions"][0]
        return found


async def network(connection: Connection) -> dict[str, str]:
    async with open_client("ec2", connection) as ec2:
        subnets = (await ec2.call("DescribeSubnets"))["Subnets"]
        tables = (await ec2.call("DescribeRouteTables"))["RouteTables"]
    ids = ",".join(subnet["SubnetId"] for subnet in subnets[:2])
    return {
        "VpcId": subnets[0]["VpcId"],
        "TaskSubnetIds": ids,
        "LoadBalancerSubnetIds": ids,
        "DynamoDbRouteTableIds": tables[0]["RouteTableId"],
    }


@pytest.fixture
async def deployed(world: World, connection: Connection) -> AsyncIterator[Deployed]:
    """The services on top of the test's own pipeline stack."""
    name = world.stack.work_group
    async with open_client("cloudformation", connection) as cloudformation:
        answer = await cloudformation.call("DescribeStacks", StackName=name)
    outputs = {o["OutputKey"]: o["OutputValue"] for o in answer["Stacks"][0]["Outputs"]}
    parameters = templates.load("service.yaml")["Parameters"]
    async with AsyncExitStack() as clients:
        yield Deployed(
            f"{name}-service",
            await stacks.deploy(
                connection,
                "service.yaml",
                f"{name}-service",
                {
                    **{key: outputs[key] for key in parameters if key in outputs},
                    **await network(connection),
                    "ImageUri": "registry/participation-pipeline:1",
                    "JwtSecretArn": f"{SECRET_ARN}:key::",
                    "AddressRateLimit": "3000",
                },
            ),
            connection,
            clients,
        )


async def test_the_worker_works_with_the_environment_that_its_task_gets(
    deployed: Deployed, world: World
) -> None:
    container = await deployed.container("Worker")
    given = {e["name"].lower(): e["value"] for e in container["environment"] if e["value"]}
    item = request("event", "alice")
    await world.create_event("event", capacity=1)
    await world.enqueue([item])
    async with world.worker(**{**given, "http_port": 0, "receive_wait_s": 1}):
        await world.until_decided("event", 1)
    assert (await world.item(item.request_id)).result_code == "SUCCESS"


async def test_ingest_runs_the_given_image_without_a_secret_in_its_environment(
    deployed: Deployed,
) -> None:
    container = await deployed.container("Ingest")
    assert container["image"] == "registry/participation-pipeline:1"
    assert container["readonlyRootFilesystem"] is True
    assert "JWT_SECRET" not in {entry["name"] for entry in container["environment"]}


async def test_ecs_may_read_the_secret_of_which_ingest_gets_a_part(deployed: Deployed) -> None:
    role = (await deployed.physical_id("ExecutionRole")).rpartition("/")[2]
    policy = await deployed.ask("iam", "GetRolePolicy", RoleName=role, PolicyName="read-secret")
    reading = [
        statement["Resource"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "secretsmanager:GetSecretValue"
    ]
    assert reading == [SECRET_ARN]


async def test_the_load_balancer_forwards_to_ingest_and_answers_the_rest_itself(
    deployed: Deployed,
) -> None:
    balancers = (await deployed.ask("elbv2", "DescribeLoadBalancers"))["LoadBalancers"]
    (ours,) = [b for b in balancers if b["DNSName"] in deployed.outputs["IngestUrl"]]
    arn = ours["LoadBalancerArn"]
    answer = await deployed.ask("elbv2", "DescribeListeners", LoadBalancerArn=arn)
    (listener,) = answer["Listeners"]
    answer = await deployed.ask("elbv2", "DescribeRules", ListenerArn=listener["ListenerArn"])
    actions = {rule["Priority"]: rule["Actions"][0] for rule in answer["Rules"]}
    assert {priority: action["Type"] for priority, action in actions.items()} == {
        "1": "forward",
        "default": "fixed-response",
    }
    arns = [actions["1"]["TargetGroupArn"]]
    groups = await deployed.ask("elbv2", "DescribeTargetGroups", TargetGroupArns=arns)
    (group,) = groups["TargetGroups"]
    assert (group["HealthCheckPath"], group["Port"], group["TargetType"]) == ("/readyz", 8080, "ip")


async def test_a_web_acl_limits_what_one_address_sends(deployed: Deployed) -> None:
    # The emulator associates it with nothing.
    name, key, scope = (await deployed.physical_id("WebAcl")).split("|")
    acl = (await deployed.ask("wafv2", "GetWebACL", Name=name, Id=key, Scope=scope))["WebACL"]
    (rule,) = acl["Rules"]
    assert int(rule["Statement"]["RateBasedStatement"]["Limit"]) == 3000


async def test_the_tasks_route_table_has_a_gateway_endpoint_of_dynamodb(deployed: Deployed) -> None:
    endpoint = await deployed.physical_id("DynamoDbEndpoint")
    answer = await deployed.ask("ec2", "DescribeVpcEndpoints", VpcEndpointIds=[endpoint])
    (made,) = answer["VpcEndpoints"]
    assert made["VpcEndpointType"] == "Gateway"
    assert made["ServiceName"].endswith(".dynamodb")
    assert len(made["RouteTableIds"]) == 1


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        (
            "",
            {
                "oldest-message": "ApproximateAgeOfOldestMessage",
                "dlq-not-empty": "ApproximateNumberOfMessagesVisible",
                "lost-events-kept": "ApproximateNumberOfMessagesVisible",
                "seat-contention": "TransactionConflict",
                "put-events-throttled": "PutEventsApproximateThrottledCount",
                "rule-dlq-not-empty": "ApproximateNumberOfMessagesVisible",
                "stream-throttled": "ThrottledRecords",
                "delivery-failed": "DeliveryToS3.Success",
                "delivery-late": "DeliveryToS3.DataFreshness",
            },
        ),
        (
            "-service",
            {
                "publish-failures": "PublishFailures",
                "no-worker": "RunningTaskCount",
                "no-ingest": "HealthyHostCount",
                "address-limited": "BlockedRequests",
            },
        ),
    ],
)
async def test_the_alarms_exist(
    deployed: Deployed, stack: StackOutputs, suffix: str, expected: dict[str, str]
) -> None:
    prefix = f"{stack.work_group}{suffix}-"
    answer = await deployed.ask("cloudwatch", "DescribeAlarms", AlarmNamePrefix=prefix)
    made = {a["AlarmName"].removeprefix(prefix): a["MetricName"] for a in answer["MetricAlarms"]}
    # The emulator makes no alarm on metric math.
    assert {name: m for name, m in made.items() if not name.startswith("service-")} == expected


async def test_lost_events_are_counted_from_the_workers_log(deployed: Deployed) -> None:
    answer = await deployed.ask(
        "logs", "DescribeMetricFilters", logGroupName=deployed.outputs["WorkerLogGroupName"]
    )
    (found,) = answer["metricFilters"]
    assert '"publish_failed"' in found["filterPattern"]
    (transformation,) = found["metricTransformations"]
    assert transformation["metricName"] == "PublishFailures"
