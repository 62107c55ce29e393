"""CloudWatch's alarms watch what exists, fire when they must, and are explained."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from local import templates
from operations.templates import PIPELINE, SERVICE
from tests.infra.operations import called_operations
from tests.infra.runbooks import runbooks

SQS, DYNAMODB, EVENTS, FIREHOSE = "AWS/SQS", "AWS/DynamoDB", "AWS/Events", "AWS/Firehose"
ELB, ECS, WAF = "AWS/ApplicationELB", "ECS/ContainerInsights", "AWS/WAFV2"

ALARMS: Final[dict[str, dict[str, set[tuple[str, str]]]]] = {
    PIPELINE: {
        "OldestMessageAlarm": {(SQS, "ApproximateAgeOfOldestMessage")},
        "QueueStuckAlarm": {
            (SQS, "ApproximateNumberOfMessagesVisible"),
            (SQS, "ApproximateNumberOfMessagesNotVisible"),
            (SQS, "NumberOfMessagesDeleted"),
        },
        "DlqNotEmptyAlarm": {(SQS, "ApproximateNumberOfMessagesVisible")},
        "TableThrottledAlarm": {
            (DYNAMODB, "WriteThrottleEvents"),
            (DYNAMODB, "ReadThrottleEvents"),
        },
        "Gsi1ThrottledAlarm": {
            (DYNAMODB, "WriteThrottleEvents"),
            (DYNAMODB, "ReadThrottleEvents"),
        },
        "Gsi2ThrottledAlarm": {
            (DYNAMODB, "WriteThrottleEvents"),
            (DYNAMODB, "ReadThrottleEvents"),
        },
        "TableErrorsAlarm": {(DYNAMODB, "SystemErrors")},
        "SeatContentionAlarm": {(DYNAMODB, "TransactionConflict")},
        "PutEventsThrottledAlarm": {(EVENTS, "PutEventsApproximateThrottledCount")},
        "RuleFailedAlarm": {
            (EVENTS, "FailedInvocations"),
            (EVENTS, "InvocationsFailedToBeSentToDlq"),
        },
        "RuleLateAlarm": {(EVENTS, "RetryInvocationAttempts"), (EVENTS, "ThrottledRules")},
        "RuleDlqNotEmptyAlarm": {(SQS, "ApproximateNumberOfMessagesVisible")},
        "LostEventsKeptAlarm": {(SQS, "ApproximateNumberOfMessagesVisible")},
        "StreamThrottledAlarm": {(FIREHOSE, "ThrottledRecords")},
        "DeliveryFailedAlarm": {(FIREHOSE, "DeliveryToS3.Success")},
        "DeliveryLateAlarm": {(FIREHOSE, "DeliveryToS3.DataFreshness")},
    },
    SERVICE: {
        "PublishFailuresAlarm": {("Participation/${AWS::StackName}", "PublishFailures")},
        "ServerErrorsAlarm": {
            (ELB, "RequestCount"),
            (ELB, "HTTPCode_Target_5XX_Count"),
            (ELB, "HTTPCode_ELB_5XX_Count"),
        },
        "NoWorkerAlarm": {(ECS, "RunningTaskCount")},
        "NoIngestAlarm": {(ELB, "HealthyHostCount")},
        "AddressLimitedAlarm": {(WAF, "BlockedRequests")},
    },
}
"""Each template's alarms with the metrics that they watch.

AWS: "Available CloudWatch metrics for Amazon SQS", "DynamoDB metrics and dimensions", "Monitoring
Amazon EventBridge", "Monitor Amazon Data Firehose with CloudWatch metrics", "AWS WAF metrics and
dimensions".
"""
EVERY: Final = [(template, name) for template, alarms in ALARMS.items() for name in alarms]
ROOT: Final = Path(__file__).parents[2]


RESOURCES: Final = {template: templates.load(template)["Resources"] for template in ALARMS}


def alarms(template: str) -> dict[str, dict[str, Any]]:
    resources = RESOURCES[template].items()
    return {n: r["Properties"] for n, r in resources if r["Type"].endswith("::Alarm")}


def alarm(name: str) -> dict[str, Any]:
    return alarms(PIPELINE if name in ALARMS[PIPELINE] else SERVICE)[name]


def metrics(name: str) -> dict[str, dict[str, Any]]:
    """An alarm's metrics by id; one that is no arithmetic has a single metric without an id."""
    found = alarm(name)
    if "Metrics" not in found:
        return {"": found}
    return {m["Id"]: m["MetricStat"]["Metric"] for m in found["Metrics"] if "MetricStat" in m}


def dimensions(metric: dict[str, Any]) -> dict[str, Any]:
    return {d["Name"]: d["Value"] for d in metric.get("Dimensions", ())}


def expression(name: str) -> str:
    (found,) = [m for m in alarm(name)["Metrics"] if m.get("ReturnData")]
    text: str = found["Expression"]
    return text


@pytest.mark.parametrize("template", ALARMS)
def test_the_alarms_are_these(template: str) -> None:
    assert alarms(template).keys() == ALARMS[template].keys()


@pytest.mark.parametrize(("template", "name"), EVERY)
def test_an_alarm_watches_these_metrics_and_notifies_the_operator(template: str, name: str) -> None:
    watched = set[tuple[str, str]]()
    for metric in metrics(name).values():
        space = metric["Namespace"]
        text = space["Fn::Sub"] if isinstance(space, dict) else space
        watched.add((text, metric["MetricName"]))
    assert watched == ALARMS[template][name]
    found = alarm(name)
    assert found["AlarmActions"]["Fn::If"][0] == "HasAlarmTopic"
    assert found["OKActions"] == found["AlarmActions"]
    gone = name.startswith("No")
    assert found["TreatMissingData"] == ("breaching" if gone else "notBreaching")


@pytest.mark.parametrize(("template", "name"), EVERY)
def test_every_alarm_links_to_the_runbook_that_names_it(template: str, name: str) -> None:
    found = alarms(template)[name]
    address, _, anchor = found["AlarmDescription"]["Fn::Sub"].partition("#")
    assert address.endswith(". Runbook: ${RunbookBaseUrl}")
    shown = found["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
    assert f"`{shown}`" in runbooks()[anchor]


def test_runbooks_are_where_an_operator_says_that_they_can_be_read() -> None:
    for template in ALARMS:
        parameter = templates.load(template)["Parameters"]["RunbookBaseUrl"]
        assert (ROOT / parameter["Default"]).is_file()
        url = "https://github.com/example/participation/blob/main/docs/operations.md"
        assert re.fullmatch(parameter["AllowedPattern"], url)
        assert not re.fullmatch(parameter["AllowedPattern"], f"{url}#alarms")


@pytest.mark.parametrize(
    ("name", "watched"),
    [
        ("OldestMessageAlarm", {"QueueName": {"Fn::GetAtt": ["RequestQueue", "QueueName"]}}),
        ("QueueStuckAlarm", {"QueueName": {"Fn::GetAtt": ["RequestQueue", "QueueName"]}}),
        ("DlqNotEmptyAlarm", {"QueueName": {"Fn::GetAtt": ["RequestDlq", "QueueName"]}}),
        ("RuleDlqNotEmptyAlarm", {"QueueName": {"Fn::GetAtt": ["RuleDlq", "QueueName"]}}),
        ("LostEventsKeptAlarm", {"QueueName": {"Fn::GetAtt": ["LostEventsQueue", "QueueName"]}}),
        ("TableThrottledAlarm", {"TableName": {"Ref": "RequestTable"}}),
        (
            "Gsi1ThrottledAlarm",
            {"TableName": {"Ref": "RequestTable"}, "GlobalSecondaryIndexName": "GSI1"},
        ),
        (
            "Gsi2ThrottledAlarm",
            {"TableName": {"Ref": "RequestTable"}, "GlobalSecondaryIndexName": "GSI2"},
        ),
        ("SeatContentionAlarm", {"TableName": {"Ref": "RequestTable"}}),
        # Of the whole account: PutEvents' metrics have no dimension.
        ("PutEventsThrottledAlarm", {}),
        ("StreamThrottledAlarm", {"DeliveryStreamName": {"Ref": "DeliveryStream"}}),
        ("DeliveryFailedAlarm", {"DeliveryStreamName": {"Ref": "DeliveryStream"}}),
        ("DeliveryLateAlarm", {"DeliveryStreamName": {"Ref": "DeliveryStream"}}),
    ],
)
def test_an_alarm_watches_the_pipelines_own(name: str, watched: dict[str, Any]) -> None:
    for metric in metrics(name).values():
        assert dimensions(metric) == watched


@pytest.mark.parametrize("name", ["RuleFailedAlarm", "RuleLateAlarm"])
def test_a_rules_metrics_carry_the_bus_unless_it_is_the_default_one(name: str) -> None:
    rule = RESOURCES[PIPELINE]["WorkerToFirehoseRule"]["Properties"]["Name"]
    for metric in metrics(name).values():
        condition, on_own_bus, on_default = metric["Dimensions"]["Fn::If"]
        assert condition == "MakesEventBus"
        assert dimensions({"Dimensions": on_default}) == {"RuleName": rule}
        assert dimensions({"Dimensions": on_own_bus}) == {
            "RuleName": rule,
            "EventBusName": {"Ref": "EventBusName"},
        }


def test_the_alarm_of_limited_addresses_watches_the_rule_that_limits_them() -> None:
    acl = RESOURCES[SERVICE]["WebAcl"]
    assert RESOURCES[SERVICE]["AddressLimitedAlarm"]["Condition"] == acl["Condition"]
    (rule,) = acl["Properties"]["Rules"]
    assert dimensions(alarm("AddressLimitedAlarm")) == {
        "WebACL": acl["Properties"]["VisibilityConfig"]["MetricName"],
        "Rule": rule["VisibilityConfig"]["MetricName"],
        "Region": {"Ref": "AWS::Region"},
    }


def test_errors_of_the_table_are_added_up_over_all_that_the_programs_call() -> None:
    # AWS sends SystemErrors by operation only.
    operations = called_operations("aws", "worker", "ingest")
    watched = [dimensions(metric) for metric in metrics("TableErrorsAlarm").values()]
    assert all(found["TableName"] == {"Ref": "RequestTable"} for found in watched)
    assert {found["Operation"] for found in watched} == operations & {
        "BatchExecuteStatement",
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "TransactGetItems",
        "TransactWriteItems",
        "UpdateItem",
    }
    assert expression("TableErrorsAlarm") == "SUM(METRICS())"


@pytest.mark.parametrize(
    ("waiting", "in_flight", "deleted", "is_stuck"),
    [
        (0, 0, 0, False),
        (0, 0, None, False),
        (5, 0, 0, True),
        (0, 5, 0, True),
        (0, 5, None, True),
        (5_000, 500, 1, False),
    ],
)
def test_a_queue_is_stuck_while_it_holds_requests_and_none_is_finished(
    waiting: int,
    in_flight: int,
    deleted: int | None,
    is_stuck: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    functions = {
        "IF": lambda condition, then, otherwise: then if condition else otherwise,
        "FILL": lambda value, instead: instead if value is None else value,
    }
    figures = {"waiting": waiting, "in_flight": in_flight, "deleted": deleted}
    stated = re.sub(r"\bAND\b", "and", expression("QueueStuckAlarm"))
    found = eval(stated, {**functions, **figures})  # noqa: S307 - our own template's arithmetic
    assert (found > alarm("QueueStuckAlarm")["Threshold"]) is is_stuck


def test_a_program_that_is_gone_raises_its_alarm() -> None:
    for name in ("NoWorkerAlarm", "NoIngestAlarm"):
        found = alarm(name)
        assert (found["ComparisonOperator"], found["Threshold"]) == ("LessThanThreshold", 1)
