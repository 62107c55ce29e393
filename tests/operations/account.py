"""An account in which everything is as an event needs it, for the stand-in to answer with."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from aws.client import ClientOptions, Connection
from aws.errors import AwsError
from aws.sdk import open_client
from operations.needs import Needs
from schema.names import RULE_NAME, USER_INDEX, WINNERS_INDEX
from tests.aws.stand_in import ACCOUNT, REGION, Answer, Refusal

STACK: Final = "event"
NEEDS: Final = Needs(
    rate=2_000,
    seconds=10,
    seats=1_000,
    table_write_units=8_000,
    index_write_units=4_500,
    table_read_units=13_000,
    put_events_calls=250,
    invocations=2_000,
    firehose_bytes=900_000,
    firehose_records=2_000,
    in_flight_messages=8_000,
    worker_tasks=3,
    ingest_tasks=4,
    vcpus=9.5,
    load_balancer_units=120,
    firehose_calls=200,
    winners_index_write_units=400,
)
BALANCER: Final = (
    f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/event/0123456789abcdef"
)
TOPIC: Final = f"arn:aws:sns:{REGION}:{ACCOUNT}:operators"
_ALARMS: Final = {STACK: ("dlq-not-empty", "oldest-message"), f"{STACK}-service": ("no-worker",)}
_QUEUES: Final = {
    "QueueUrl": "requests",
    "DlqUrl": "requests-dlq",
    "RuleDlqUrl": "rule-dlq",
    "LostEventsQueueUrl": "lost-events",
}
_QUOTAS: Final[dict[str, dict[str, tuple[str, float]]]] = {
    "events": {
        "PutEvents throttle limit in transactions per second": ("L-9B653E91", 600.0),
        "Invocations throttle limit in transactions per second": ("L-5540C5E3", 2_250.0),
    },
    "dynamodb": {
        "Table-level write throughput limit": ("L-AB614373", 40_000.0),
        "Table-level read throughput limit": ("L-CF0CBE56", 40_000.0),
    },
    "fargate": {"Fargate On-Demand vCPU resource count": ("L-3032A538", 6.0)},
    "elasticloadbalancing": {
        "Reserved Application Load Balancer Capacity Units (LCU) per Region": ("L-8A66D0E6", 0.0),
    },
}
"""AWS's defaults."""
RAISED: Final[dict[str, dict[str, float]]] = {
    "fargate": {"Fargate On-Demand vCPU resource count": 100.0},
    "elasticloadbalancing": {
        "Reserved Application Load Balancer Capacity Units (LCU) per Region": 500.0
    },
}
"""What an account has that asked for more."""


def queue_url(output: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{STACK}-{_QUEUES[output]}"


def healthy() -> dict[str, Answer]:
    """The answers of a deployment that is ready for NEEDS."""
    return {
        "application-autoscaling.DescribeScalableTargets": scalable_targets(4, 20),
        "application-autoscaling.DescribeScheduledActions": {"ScheduledActions": []},
        "cloudformation.DescribeStacks": stacks(),
        "cloudformation.ListStackResources": resources,
        "cloudwatch.DescribeAlarms": alarms(),
        "cloudwatch.GetMetricData": metrics(1_048_576.0, 100_000.0, 1_000.0),
        "dynamodb.DescribeTable": table(),
        "ecs.DescribeServices": services(),
        "ecs.DescribeTaskDefinition": task_definition(),
        "elbv2.DescribeCapacityReservation": reservation(),
        "events.DescribeEventBus": {"Name": "default"},
        "events.DescribeRule": {"Name": RULE_NAME, "State": "ENABLED"},
        "service-quotas.ListAWSDefaultServiceQuotas": default_quotas,
        "service-quotas.ListServiceQuotas": quotas(RAISED),
        "sqs.GetQueueAttributes": depths(),
    }


def stacks(
    *,
    has_services: bool = True,
    parameters: dict[str, str] | None = None,
    service_parameters: dict[str, str] | None = None,
    ingest_url: str = "http://127.0.0.1:1",
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    pipeline = {
        "TableName": "table",
        "EventBusName": "default",
        "RuleName": RULE_NAME,
        "StreamName": f"{STACK}-lake",
        **{output: queue_url(output) for output in _QUEUES},
    }
    service = {
        "ClusterName": "cluster",
        "WorkerServiceName": "event-worker",
        "IngestServiceName": "event-ingest",
        "LoadBalancerArn": BALANCER,
        "IngestUrl": ingest_url,
    }
    known = {STACK: (pipeline, parameters or {})}
    if has_services:
        known[f"{STACK}-service"] = (service, service_parameters or {})

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["StackName"].rpartition("stack/")[2]
        if name not in known:
            raise Refusal("ValidationError", f"Stack with id {name} does not exist")
        outputs, given = known[name]
        return {
            "Stacks": [
                {
                    "StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}",
                    "StackName": name,
                    "StackStatus": "UPDATE_COMPLETE",
                    "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
                    "Outputs": _pairs(outputs, "OutputKey", "OutputValue"),
                    "Parameters": _pairs(given, "ParameterKey", "ParameterValue"),
                }
            ]
        }

    return answer


def _pairs(of: dict[str, str], key: str, value: str) -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in of.items()]


def resources(asked: dict[str, Any]) -> dict[str, Any]:
    """One alarm a page."""
    names = _ALARMS[asked["StackName"]]
    page = int(asked.get("NextToken", "0"))
    return {
        "StackResourceSummaries": [
            {
                "LogicalResourceId": name,
                "PhysicalResourceId": f"{asked['StackName']}-{name}",
                "ResourceType": kind,
                "ResourceStatus": "CREATE_COMPLETE",
                "LastUpdatedTimestamp": datetime(2026, 1, 1, tzinfo=UTC),
            }
            for name, kind in ((names[page], "AWS::CloudWatch::Alarm"), ("q", "AWS::SQS::Queue"))
        ],
        **({"NextToken": str(page + 1)} if page + 1 < len(names) else {}),
    }


def alarms(
    *, recipients: tuple[str, ...] = (TOPIC,), ringing: str = "", is_on: bool = True
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        return {
            "MetricAlarms": [
                {
                    "AlarmName": name,
                    "AlarmActions": list(recipients),
                    "ActionsEnabled": is_on,
                    "StateValue": "ALARM" if name == ringing else "OK",
                    "StateReason": "Threshold Crossed",
                }
                for name in asked["AlarmNames"]
            ]
        }

    return answer


def metrics(*values: float | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The newest value of each metric that is asked for, in turn; None: there is none."""

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        step = 1 if asked.get("ScanBy") == "TimestampDescending" else -1
        return {
            "MetricDataResults": [
                {"Id": query["Id"], "Values": [] if value is None else [value, value + 1][::step]}
                for query, value in zip(asked["MetricDataQueries"], values, strict=False)
            ]
        }

    return answer


def table(
    writes: int = 8_000, reads: int = 13_000, index_writes: int = 4_500, status: str = "ACTIVE"
) -> dict[str, Any]:
    return {
        "Table": {
            "TableName": "table",
            "TableStatus": "ACTIVE",
            "WarmThroughput": {
                "WriteUnitsPerSecond": writes,
                "ReadUnitsPerSecond": reads,
                "Status": status,
            },
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": name,
                    "WarmThroughput": {
                        "WriteUnitsPerSecond": units,
                        "ReadUnitsPerSecond": 12_000,
                        "Status": status,
                    },
                }
                for name, units in ((USER_INDEX, index_writes), (WINNERS_INDEX, 4_000))
            ],
        }
    }


def services(running: int = 4, pending: int = 0) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        (name,) = asked["services"]
        return {
            "services": [
                {
                    "serviceName": name,
                    "runningCount": running,
                    "desiredCount": running + pending,
                    "pendingCount": pending,
                    "taskDefinition": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{name}:7",
                }
            ],
            "failures": [],
        }

    return answer


def task_definition(*, has_secret: bool = True, jwks_url: str = "") -> dict[str, Any]:
    secret = {"name": "JWT_SECRET", "valueFrom": "arn:aws:secretsmanager:x"}
    ingest = {
        "name": "ingest",
        "environment": [{"name": "JWKS_URL", "value": jwks_url}],
        "secrets": [secret] if has_secret else [],
    }
    return {"taskDefinition": {"containerDefinitions": [{"name": "collector"}, ingest]}}


def scalable_targets(minimum: int, maximum: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        (resource,) = asked["ResourceIds"]
        return {
            "ScalableTargets": [
                {
                    "ServiceNamespace": "ecs",
                    "ResourceId": resource,
                    "ScalableDimension": "ecs:service:DesiredCount",
                    "MinCapacity": minimum,
                    "MaxCapacity": maximum,
                    "RoleARN": "arn:aws:iam::1:role/aws-service-role/ecs",
                    "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
                }
            ]
        }

    return answer


def reservation(units: int = 120, state: str = "provisioned") -> dict[str, Any]:
    return {
        "MinimumLoadBalancerCapacity": {"CapacityUnits": units},
        "CapacityReservationState": [
            {
                "AvailabilityZone": zone,
                "EffectiveCapacityUnits": units / 2,
                "State": {"Code": state},
            }
            for zone in (f"{REGION}a", f"{REGION}b")
        ],
    }


def default_quotas(asked: dict[str, Any]) -> dict[str, Any]:
    """One quota a page."""
    names = list(_QUOTAS[asked["ServiceCode"]].items())
    page = int(asked.get("NextToken", "0"))
    name, (code, value) = names[page]
    return {
        "Quotas": [_quota(asked["ServiceCode"], name, code, value)],
        **({"NextToken": str(page + 1)} if page + 1 < len(names) else {}),
    }


def quotas(
    has: dict[str, dict[str, float]], *, is_adjustable: bool = True
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        service = asked["ServiceCode"]
        if service not in has:
            raise Refusal("NoSuchResourceException", "The request failed")
        return {
            "Quotas": [
                {
                    **_quota(service, name, _QUOTAS[service][name][0], value),
                    "Adjustable": is_adjustable,
                }
                for name, value in has[service].items()
            ]
        }

    return answer


def _quota(service: str, name: str, code: str, value: float) -> dict[str, Any]:
    return {
        "ServiceCode": service,
        "QuotaName": name,
        "QuotaCode": code,
        "Value": value,
        "Adjustable": True,
    }


def depths(**messages: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The depth of each queue, by the output that names it; 0 where it is not given."""
    by_url = {queue_url(output): count for output, count in messages.items()}

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        attributes = dict.fromkeys(asked["AttributeNames"], "0")
        attributes["ApproximateNumberOfMessages"] = str(by_url.get(asked["QueueUrl"], 0))
        return {"Attributes": attributes}

    return answer


async def asked_once_for_quotas(connection: Connection) -> None:
    """The emulator stands still for seconds when it first hears of a service that it lacks."""
    patiently = ClientOptions(read_timeout_s=60)
    async with open_client("service-quotas", connection, patiently) as client:
        with suppress(AwsError):
            await client.call("ListServiceQuotas", ServiceCode="events")
