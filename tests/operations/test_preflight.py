"""A deployment beside a plan's needs, on a server that answers as AWS does."""

import json
import re
from collections.abc import Iterator

import anyio
import pytest

from operations.preflight.findings import Colour, Finding
from operations.preflight.run import made, preflight
from operations.stacks import StackError
from tests.aws.stand_in import ROLE, CutOff, Refusal, StandIn, denied, standing_in
from tests.operations import account
from tests.operations.account import NEEDS, RAISED, STACK

INCREASE = "aws service-quotas request-service-quota-increase --service-code"
REGION = "--region ap-northeast-2"
WARM = "participation warm --stack event --rate 2000 --seconds 10 --seats 1000"


@pytest.fixture
def aws() -> Iterator[StandIn]:
    """An account that is ready."""
    with standing_in() as stand_in:
        stand_in.answers = account.healthy()
        yield stand_in


async def lines(aws: StandIn) -> dict[str, Finding]:
    found = await preflight(aws.connection, STACK, NEEDS, token="t")
    assert len({finding.check for finding in found}) == len(found)
    return {finding.check: finding for finding in found}


async def test_an_account_that_is_ready_is_green_but_for_ingest_that_nobody_can_reach(
    aws: StandIn,
) -> None:
    found = await lines(aws)
    assert {name: f.colour for name, f in found.items() if f.colour is not Colour.GREEN} == {
        "tokens": Colour.YELLOW
    }
    assert not [f for f in found.values() if f.colour is Colour.GREEN and f.change]
    assert found["fargate quota"].found == "100 vCPU"
    assert found["stream records"].found == "100,000 records/s"
    assert found["put events quota"].found == "600 calls/s (AWS's default)"
    assert list(found) == [
        *("put events quota", "invocations quota", "table write quota", "table read quota"),
        *("fargate quota", "load balancer quota"),
        *("stream bytes", "stream records", "stream requests"),
        *("warm table writes", "warm table reads", "warm users' index writes"),
        *("warm winners' index writes", "messages in flight"),
        *("worker tasks", "worker greatest tasks", "ingest tasks", "ingest greatest tasks"),
        *("load balancer", "tokens", "alarm recipients", "alarms ringing", "requests waiting"),
        *("dead letters", "lost events", "undelivered events", "bus and rule", "clock"),
    ]


async def test_what_is_short_is_named_with_the_command_that_changes_it(aws: StandIn) -> None:
    has = {"events": {"Invocations throttle limit in transactions per second": 1_100.0}}
    queues = {"QueueUrl": 5, "DlqUrl": 2, "LostEventsQueueUrl": 1, "RuleDlqUrl": 7}
    ringing = account.alarms(recipients=(), ringing="event-dlq-not-empty")
    aws.date_ahead_s = 900
    aws.answers |= {
        "application-autoscaling.DescribeScalableTargets": account.scalable_targets(2, 3),
        "cloudwatch.DescribeAlarms": ringing,
        "cloudwatch.GetMetricData": account.metrics(500_000.0, None, 2_000.0),
        "dynamodb.DescribeTable": account.table(7_999, 12_000, 4_000),
        "ecs.DescribeServices": account.services(running=2),
        "ecs.DescribeTaskDefinition": account.task_definition(has_secret=False),
        "elbv2.DescribeCapacityReservation": {},
        "events.DescribeRule": {"Name": "rule", "State": "DISABLED"},
        "service-quotas.ListServiceQuotas": account.quotas(has),
        "sqs.GetQueueAttributes": account.depths(**queues),
    }
    by_name = await lines(aws)
    clock = by_name.pop("clock")
    assert (clock.colour, clock.change) == (Colour.RED, "sudo timedatectl set-ntp true")
    assert re.match(r"this machine is [89]\d\d s behind AWS's", clock.found)
    found = by_name.values()
    assert {f.check: (f.found, f.change) for f in found if f.colour is Colour.RED} == {
        "fargate quota": (
            "6 vCPU (AWS's default)",
            f"{INCREASE} fargate --quota-code L-3032A538 --desired-value 10 {REGION}",
        ),
        "load balancer quota": (
            "0 LCU (AWS's default)",
            f"{INCREASE} elasticloadbalancing --quota-code L-8A66D0E6 --desired-value 120 {REGION}",
        ),
        "warm table writes": ("7,999 write units/s", WARM),
        "warm table reads": ("12,000 read units/s", WARM),
        "warm users' index writes": ("4,000 write units/s", WARM),
        "worker tasks": ("2 running, at least 2", WARM),
        "ingest tasks": ("2 running, at least 2", WARM),
        "ingest greatest tasks": (
            "3 at most",
            "participation deploy --stack event --set IngestMaxTasks=4",
        ),
        "load balancer": ("0 LCU reserved", WARM),
        "tokens": (
            "ingest has neither JWT_SECRET nor JWKS_URL",
            "participation deploy --stack event --set JwtSecretArn=arn:aws:secretsmanager:…",
        ),
        "alarm recipients": (
            (
                "3 of 3 notify nobody: event-dlq-not-empty, event-oldest-message, "
                "event-service-no-worker"
            ),
            "participation deploy --stack event --set AlarmTopicArn=arn:aws:sns:…",
        ),
        "alarms ringing": (
            "event-dlq-not-empty",
            "participation status --stack event, and the runbooks",
        ),
        "dead letters": ("2 message(s)", "participation dlq list"),
        "lost events": ("1 message(s)", "participation lake republish"),
        "undelivered events": ("7 message(s)", "docs/operations.md, RuleFailed"),
        "bus and rule": (
            "bus default, rule rule-worker-to-firehose DISABLED",
            (
                "aws events enable-rule --name rule-worker-to-firehose --event-bus-name default "
                f"{REGION}"
            ),
        ),
    }
    # For these nobody waits.
    assert {f.check: (f.found, f.change) for f in found if f.colour is Colour.YELLOW} == {
        "invocations quota": (
            "1,100 deliveries/s",
            f"{INCREASE} events --quota-code L-5540C5E3 --desired-value 2000 {REGION}",
        ),
        "stream bytes": (
            "500,000 bytes/s",
            "ask AWS with the form that the Data Firehose Developer Guide, Quota, links",
        ),
        "requests waiting": ("5 message(s)", "participation status --stack event --watch"),
    }


PERMISSIONS = {
    "service-quotas.ListAWSDefaultServiceQuotas": [
        f"quotas of {s}" for s in ("events", "dynamodb", "fargate", "elasticloadbalancing")
    ],
    "cloudwatch.GetMetricData": ["stream"],
    "dynamodb.DescribeTable": ["warm throughput"],
    "application-autoscaling.DescribeScalableTargets": ["worker tasks", "ingest tasks"],
    "elbv2.DescribeCapacityReservation": ["load balancer"],
    "ecs.DescribeTaskDefinition": ["tokens"],
    "cloudwatch.DescribeAlarms": ["alarms"],
    "sqs.GetQueueAttributes": [
        *("requests waiting", "dead letters", "lost events", "undelivered events")
    ],
    "events.DescribeRule": ["bus and rule"],
}


async def test_each_permission_that_is_missing_is_a_line_of_its_own_with_its_statement(
    aws: StandIn,
) -> None:
    actions = {
        name: name.replace("elbv2.", "elasticloadbalancing.")
        .replace("service-quotas.", "servicequotas.")
        .replace(".", ":")
        for name in PERMISSIONS
    }
    aws.answers |= {name: denied(action) for name, action in actions.items()}
    found = await lines(aws)
    for name, checks in PERMISSIONS.items():
        for check in checks:
            assert found[check].colour is Colour.YELLOW
            assert found[check].found == f"not known: {ROLE} may not do {actions[name]} on *"
            statement = found[check].change.removeprefix("add to its policy: ")
            added = {"Effect": "Allow", "Action": actions[name], "Resource": "*"}
            assert json.loads(statement) == added
    # The rest is as it was.
    assert found["messages in flight"].colour is found["clock"].colour is Colour.GREEN


@pytest.mark.parametrize(
    "failure",
    [
        CutOff(),
        Refusal("UnrecognizedClientException", "The security token is invalid.", 403),
        Refusal("ServiceUnavailable", "later", 503),
    ],
    ids=["cut-off", "token", "away"],
)
async def test_a_service_that_does_not_answer_is_a_yellow_line(
    aws: StandIn, failure: Exception
) -> None:
    aws.answers["elbv2.DescribeCapacityReservation"] = failure
    found = await lines(aws)
    assert found["load balancer"].colour is Colour.YELLOW
    assert found["load balancer"].found.startswith("not known: elbv2.DescribeCapacityReservation")
    assert found["ingest tasks"].colour is Colour.GREEN


async def test_what_is_set_and_not_in_force_does_not_count(aws: StandIn) -> None:
    aws.answers |= {
        "cloudwatch.DescribeAlarms": account.alarms(is_on=False),
        "elbv2.DescribeCapacityReservation": account.reservation(state="pending"),
        "dynamodb.DescribeTable": account.table(4_000, status="UPDATING"),
    }
    found = await lines(aws)
    assert found["alarm recipients"].found.startswith("3 of 3 notify nobody: ")
    assert found["load balancer"].colour is Colour.YELLOW
    assert found["load balancer"].found == "120 LCU reserved (not there yet: pending; pending)"
    assert found["warm table writes"].found == "4,000 write units/s (being warmed)"


async def test_a_load_balancer_without_a_reservation_waits_for_none(aws: StandIn) -> None:
    aws.answers["elbv2.DescribeCapacityReservation"] = account.reservation(0, "pending")
    assert (await lines(aws))["load balancer"].found == "0 LCU reserved"


async def test_an_answer_of_another_form_is_a_yellow_line(aws: StandIn) -> None:
    aws.answers["ecs.DescribeTaskDefinition"] = {"taskDefinition": {"containerDefinitions": []}}
    found = await lines(aws)
    assert found["tokens"].colour is Colour.YELLOW
    assert found["tokens"].found == "not known: an answer is not as documented: KeyError('ingest')"
    assert found["ingest tasks"].colour is Colour.GREEN


async def test_what_does_not_exist_is_red(aws: StandIn) -> None:
    no_queue = "The specified queue does not exist."
    no_bus = "Event bus default does not exist."
    gone = {"failures": [{"arn": "arn:aws:ecs:x", "reason": "MISSING"}]}
    aws.answers |= {
        "ecs.DescribeServices": gone,
        "events.DescribeEventBus": Refusal("ResourceNotFoundException", no_bus),
        "sqs.GetQueueAttributes": Refusal("AWS.SimpleQueueService.NonExistentQueue", no_queue),
    }
    found = (await lines(aws)).values()
    assert {f.check: f.found for f in found if f.colour is Colour.RED} == {
        "worker tasks": "arn:aws:ecs:x: MISSING",
        "ingest tasks": "arn:aws:ecs:x: MISSING",
        "tokens": "arn:aws:ecs:x: MISSING",
        **dict.fromkeys(PERMISSIONS["sqs.GetQueueAttributes"], no_queue),
        "bus and rule": no_bus,
    }


async def test_quotas_that_are_asked_for_too_often_are_asked_for_again(aws: StandIn) -> None:
    refused = iter([Refusal("TooManyRequestsException", "slow down", 429)])

    def answer(asked: dict[str, object]) -> dict[str, object]:
        if asked["ServiceCode"] == "fargate" and (refusal := next(refused, None)) is not None:
            raise refusal
        return account.quotas(RAISED)(asked)

    aws.answers["service-quotas.ListServiceQuotas"] = answer
    assert (await lines(aws))["fargate quota"].colour is Colour.GREEN
    assert next(refused, None) is None


async def test_a_look_that_takes_too_long_hides_no_other() -> None:
    async def quick() -> list[Finding]:
        return [Finding(check="quick", colour=Colour.GREEN, found="")]

    async def hanging() -> list[Finding]:
        await anyio.sleep_forever()
        return []

    slow, after = await made({"slow": hanging, "quick": quick}, within_s=0.01)
    assert (slow.check, slow.colour) == ("slow", Colour.YELLOW)
    assert slow.found == "not known: no answer within 0.01 s"
    assert after.check == "quick"


async def test_a_pipeline_without_services_says_how_to_get_them(aws: StandIn) -> None:
    aws.answers["cloudformation.DescribeStacks"] = account.stacks(has_services=False)
    found = await lines(aws)
    assert found["services"].colour is Colour.RED
    assert found["services"].change == "participation deploy --stack event --image …"
    assert found["alarm recipients"].found == "all 2 notify somebody"


async def test_a_pipeline_that_is_not_deployed_is_an_error(aws: StandIn) -> None:
    with pytest.raises(StackError, match="there is no stack elsewhere"):
        await preflight(aws.connection, "elsewhere", NEEDS)
