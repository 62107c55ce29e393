"""`participation preflight`: its lines, its JSON, its exit codes."""

import json
import re
from collections.abc import Iterator

import anyio
import jwt
import pytest

from aws.client import Connection
from local.emulator.stack import StackOutputs
from tests.aws.stand_in import CutOff, Refusal, StandIn, denied, standing_in
from tests.cli.conftest import Command
from tests.operations import account

SECRET = "a secret of more than thirty-two bytes"  # pragma: allowlist secret
EVENT = ["--stack", "event", "--rate", "2000"]


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with standing_in() as stand_in:
        stand_in.answers = account.healthy()
        yield stand_in


def test_an_account_that_is_ready_is_exit_code_0(command: Command, aws: StandIn) -> None:
    shown = command("preflight", *EVENT, **aws.variables)
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    quota = r"green {2}put events quota +600 calls/s \(AWS's default\) \(needed: 226 calls/s\)"
    assert re.fullmatch(quota, lines[0])
    assert lines[-1] == "0 red, 1 yellow, 27 green"


def test_a_red_line_is_exit_code_1_and_its_command_stands_below_it_on_one_line(
    command: Command, aws: StandIn
) -> None:
    aws.answers["dynamodb.DescribeTable"] = account.table(4_000)
    shown = command("preflight", *EVENT, "--seconds", "20", "--seats", "50", **aws.variables)
    assert shown.code == 1
    lines = shown.out.splitlines()
    (number,) = [n for n, line in enumerate(lines) if line.startswith("red")]
    assert " warm table writes " in lines[number]
    assert "4,000 write units/s (needed: " in lines[number]
    again = "participation warm --stack event --rate 2000 --seconds 20 --seats 50"
    assert lines[number + 1].strip() == again
    assert lines[-1].startswith("1 red, ")


def test_its_json_has_stable_keys(command: Command, aws: StandIn) -> None:
    aws.answers["elbv2.DescribeCapacityReservation"] = {}
    shown = command("preflight", *EVENT, "--json", **aws.variables)
    assert shown.code == 1
    document = json.loads(shown.out)
    findings = {finding.pop("check"): finding for finding in document.pop("findings")}
    assert document == {"stack": "event", "rate": 2_000.0, "seconds": 10.0, "seats": 1_000}
    assert findings["load balancer"] == {
        "colour": "red",
        "found": "0 LCU reserved",
        "needed": "100 LCU reserved",
        "change": "participation warm --stack event --rate 2000 --seconds 10 --seats 1000",
    }
    assert findings["clock"]["change"] is None


def test_the_secret_makes_the_token_that_is_tried_where_users_reach_ingest(
    command: Command, aws: StandIn
) -> None:
    shown = command(
        "preflight", *EVENT, "--json", "--ingest-url", aws.url, JWT_SECRET=SECRET, **aws.variables
    )
    (tokens,) = [f for f in json.loads(shown.out)["findings"] if f["check"] == "tokens"]
    assert tokens["found"] == "ingest answers 403"
    ((path, authorization),) = aws.asked_over_http
    assert path == "/me/participations"
    claims = jwt.decode(authorization.removeprefix("Bearer "), SECRET, algorithms=["HS256"])
    assert claims["sub"].startswith("smoke-")


def test_a_token_that_is_given_is_tried_as_it_is(command: Command, aws: StandIn) -> None:
    where = ["--ingest-url", aws.url]
    command("preflight", *EVENT, *where, SMOKE_TOKEN="mine", JWT_SECRET=SECRET, **aws.variables)
    assert aws.asked_over_http == [("/me/participations", "Bearer mine")]


def test_a_secret_that_is_none_is_a_wrong_setting(command: Command, aws: StandIn) -> None:
    shown = command("preflight", *EVENT, JWT_SECRET="short", **aws.variables)
    assert shown.code == 2
    assert "JWT_SECRET=**********: must be at least 32 bytes long" in shown.err


@pytest.mark.parametrize("rate", ["0", "fast", "nan"])
def test_a_rate_that_is_none_is_wrong_usage(command: Command, aws: StandIn, rate: str) -> None:
    shown = command("preflight", "--stack", "event", "--rate", rate, **aws.variables)
    assert shown.code == 2
    assert "--rate" in shown.err


def test_a_pipeline_that_is_not_deployed_is_an_error(command: Command, aws: StandIn) -> None:
    shown = command("preflight", "--stack", "elsewhere", "--rate", "1", **aws.variables)
    assert (shown.code, shown.out) == (1, "")
    assert shown.err == (
        "participation: there is no stack elsewhere in this account and region: is AWS_REGION "
        "right? `participation deploy` makes one\n"
    )


def test_a_role_that_may_not_even_find_the_stack_gets_the_statement_to_add(
    command: Command, aws: StandIn
) -> None:
    aws.answers["cloudformation.DescribeStacks"] = denied("cloudformation:DescribeStacks")
    shown = command("preflight", *EVENT, **aws.variables)
    assert shown.code == 1
    assert shown.err.count("\n") == 1
    assert '"Action":"cloudformation:DescribeStacks"' in shown.err


@pytest.mark.parametrize("failure", [CutOff(), Refusal("ServiceUnavailable", "later", 503)])
def test_an_aws_that_does_not_answer_is_one_sentence(
    command: Command, aws: StandIn, failure: Exception
) -> None:
    aws.answers["cloudformation.DescribeStacks"] = failure
    shown = command("preflight", *EVENT, **aws.variables)
    assert shown.code == 1
    assert shown.err.startswith("participation: cloudformation.DescribeStacks: ")


def test_the_embedded_aws_answers_what_it_can_and_the_rest_is_not_known(
    command: Command, deployed: dict[str, str], stack: StackOutputs, connection: Connection
) -> None:
    anyio.run(account.asked_once_for_quotas, connection)
    shown = command("preflight", "--stack", stack.work_group, "--rate", "100", "--json", **deployed)
    assert shown.code == 1  # it has no services
    findings = {f["check"]: f for f in json.loads(shown.out)["findings"]}
    assert findings["services"]["colour"] == "red"
    assert findings["quotas of events"]["colour"] == "yellow"
    for check in ("dead letters", "lost events", "undelivered events", "bus and rule", "clock"):
        assert findings[check]["colour"] == "green", findings[check]
