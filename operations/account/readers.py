"""Reads what an account and a deployment have: one function for each question."""

from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Final

from aws.client import Client
from aws.errors import Fatal, unanswered
from aws.pages import pages
from operations.account.facts import (
    Alarm,
    QueueDepth,
    Reservation,
    Route,
    Scaling,
    ScheduledMinimum,
    TableState,
    Tasks,
    TokenSource,
    Warmth,
)

_ALARMS_A_CALL: Final = 100
"""AWS: CloudWatch DescribeAlarms, MaxRecords."""
_NAMESPACE: Final = "ecs"
_DIMENSION: Final = "ecs:service:DesiredCount"
_PROVISIONED: Final = "provisioned"
_DEPTH: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


async def table(dynamodb: Client, name: str) -> TableState:
    """The warm throughput of a table and its indexes."""
    found = (await dynamodb.call("DescribeTable", TableName=name))["Table"]
    indexes = {i["IndexName"]: _warmth(i) for i in found.get("GlobalSecondaryIndexes", ())}
    return TableState(name=name, parts={None: _warmth(found), **indexes})


def _warmth(of: Mapping[str, Any]) -> Warmth:
    warm = of.get("WarmThroughput", {})
    return Warmth(
        write_units=int(warm.get("WriteUnitsPerSecond", 0)),
        read_units=int(warm.get("ReadUnitsPerSecond", 0)),
        is_warming=warm.get("Status", "ACTIVE") != "ACTIVE",
    )


async def tasks(ecs: Client, cluster: str, service: str) -> Tasks:
    """A service's tasks; raises Fatal where there is no such service."""
    answer = await ecs.call("DescribeServices", cluster=cluster, services=[service])
    for failure in answer.get("failures", ()):
        reason = str(failure.get("reason", "no reason given"))
        raise Fatal("ecs", "DescribeServices", reason, f"{failure.get('arn', service)}: {reason}")
    (found,) = answer["services"]
    return Tasks(
        running=int(found["runningCount"]),
        wanted=int(found["desiredCount"]),
        pending=int(found["pendingCount"]),
        task_definition=str(found["taskDefinition"]),
    )


async def scaling(autoscaling: Client, cluster: str, service: str) -> Scaling | None:
    """Between which numbers of tasks a service scales; None where it does not."""
    resource = f"service/{cluster}/{service}"
    about = {"ServiceNamespace": _NAMESPACE, "ScalableDimension": _DIMENSION}
    answer = await autoscaling.call("DescribeScalableTargets", ResourceIds=[resource], **about)
    targets = answer.get("ScalableTargets", ())
    if not targets:
        return None
    scheduled = pages(autoscaling, "DescribeScheduledActions", ResourceId=resource, **about)
    actions = [action async for page in scheduled for action in page.get("ScheduledActions", ())]
    return Scaling(
        minimum=int(targets[0]["MinCapacity"]),
        maximum=int(targets[0]["MaxCapacity"]),
        scheduled=tuple(
            ScheduledMinimum(
                schedule=str(action["Schedule"]),
                timezone=str(action.get("Timezone", "UTC")),
                minimum=int(action["ScalableTargetAction"]["MinCapacity"]),
            )
            for action in actions
            if "MinCapacity" in action.get("ScalableTargetAction", {})
        ),
    )


async def token_source(ecs: Client, task_definition: str, container: str) -> TokenSource:
    """What a program checks tokens with, by what its container is given."""
    answer = await ecs.call("DescribeTaskDefinition", taskDefinition=task_definition)
    by_name = {c["name"]: c for c in answer["taskDefinition"]["containerDefinitions"]}
    given = by_name[container]
    environment = {e["name"]: e["value"] for e in given.get("environment", ())}
    return TokenSource(
        has_secret="JWT_SECRET" in {secret["name"] for secret in given.get("secrets", ())},
        jwks_url=environment.get("JWKS_URL") or None,
    )


async def reservation(elbv2: Client, load_balancer_arn: str) -> Reservation:
    """The capacity that a load balancer keeps."""
    answer = await elbv2.call("DescribeCapacityReservation", LoadBalancerArn=load_balancer_arn)
    units = int(answer.get("MinimumLoadBalancerCapacity", {}).get("CapacityUnits", 0))
    states = [zone.get("State", {}) for zone in answer.get("CapacityReservationState", ())]
    pending = tuple(
        f"{state.get('Code', 'unknown')} {state.get('Reason', '')}".strip()
        for state in states
        if state.get("Code") != _PROVISIONED
    )
    return Reservation(units=units, pending=pending if units else ())


async def alarms(cloudformation: Client, cloudwatch: Client, *stacks: str) -> tuple[Alarm, ...]:
    """The alarms that belong to these stacks."""
    names = [
        name
        for stack in stacks
        async for name in _resources(cloudformation, stack, "AWS::CloudWatch::Alarm")
    ]
    found: list[Alarm] = []
    for start in range(0, len(names), _ALARMS_A_CALL):
        answer = await cloudwatch.call(
            "DescribeAlarms",
            AlarmNames=names[start : start + _ALARMS_A_CALL],
            AlarmTypes=["MetricAlarm"],
            MaxRecords=_ALARMS_A_CALL,
        )
        found += map(_alarm, answer.get("MetricAlarms", ()))
    return tuple(sorted(found, key=lambda alarm: alarm.name))


def _alarm(document: Mapping[str, Any]) -> Alarm:
    is_on = document.get("ActionsEnabled", True)
    return Alarm(
        name=str(document["AlarmName"]),
        state=str(document["StateValue"]),
        reason=str(document.get("StateReason", "")),
        recipients=tuple(document.get("AlarmActions", ())) if is_on else (),
    )


async def _resources(cloudformation: Client, stack: str, kind: str) -> AsyncIterator[str]:
    """The names of a stack's resources of one kind."""
    async for page in pages(cloudformation, "ListStackResources", StackName=stack):
        for resource in page.get("StackResourceSummaries", ()):
            if resource["ResourceType"] == kind and "PhysicalResourceId" in resource:
                yield str(resource["PhysicalResourceId"])


async def depth(sqs: Client, url: str) -> QueueDepth:
    """How much is on a queue; raises Fatal where there is no such queue."""
    answer = await sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=list(_DEPTH))
    waiting, in_flight, delayed = (int(answer["Attributes"][name]) for name in _DEPTH)
    return QueueDepth(waiting=waiting, in_flight=in_flight, delayed=delayed)


async def route(events: Client, bus_name: str, rule_name: str) -> Route:
    """The bus and its rule; raises Fatal where one of them does not exist."""
    await events.call("DescribeEventBus", Name=bus_name)
    rule = await events.call("DescribeRule", Name=rule_name, EventBusName=bus_name)
    return Route(bus_name=bus_name, rule_name=rule_name, rule_state=str(rule["State"]))


async def clock_ahead_s(cloudformation: Client, stack: str) -> float:
    """How many seconds this machine's clock is ahead of AWS's, at least, by an answer's date.

    0 where the date may be of a moment of the call: it has whole seconds, and calls take a while.
    """
    before = time()
    answer = await cloudformation.call("DescribeStacks", StackName=stack)
    after = time()
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if date is None:
        raise unanswered("cloudformation", "DescribeStacks", "the Date header")
    second = parsedate_to_datetime(date).timestamp()
    return max(before - (second + 1), 0.0) + min(after - second, 0.0)
