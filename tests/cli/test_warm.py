"""`participation warm` and `cool`: what is shown before it is asked, and what then happens."""

import io
import json
import signal
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests import programs
from tests.aws.stand_in import StandIn, denied, standing_in
from tests.cli.conftest import Command
from tests.operations import account
from tests.operations.test_warming import RESTING, WARMED, updated

WARM = ["warm", "--stack", "event", "--rate", "2000"]


@pytest.fixture
def aws() -> Iterator[StandIn]:
    """A deployment at rest, with a table that is cold."""
    with standing_in() as stand_in:
        stand_in.answers = account.healthy() | {
            "cloudformation.DescribeStacks": account.stacks(
                parameters={"TableWarmWriteUnits": "0"}, service_parameters=RESTING
            ),
            "cloudformation.UpdateStack": updated,
            "dynamodb.DescribeTable": account.table(4_000),
        }
        yield stand_in


def warms_up(aws: StandIn) -> None:
    """The table is warm once a stack is updated."""

    def table(_asked: dict[str, Any]) -> dict[str, Any]:
        is_asked = aws.parameters_of("cloudformation.UpdateStack")
        return account.table() if is_asked else account.table(4_000)

    aws.answers["dynamodb.DescribeTable"] = table


def changed(aws: StandIn) -> dict[str, str]:
    return {
        parameter["ParameterKey"]: parameter["ParameterValue"]
        for asked in aws.parameters_of("cloudformation.UpdateStack")
        for parameter in asked["Parameters"]
        if "ParameterValue" in parameter
    }


def test_it_shows_what_it_will_change_and_what_it_costs_and_changes_nothing_on_a_dry_run(
    command: Command, aws: StandIn
) -> None:
    shown = command(*WARM, "--dry-run", **aws.variables)
    assert (shown.code, shown.err) == (0, "")
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows[0] == ["WHAT", "PARAMETER", "FROM", "TO", "USD", "ONCE", "USD/H"]
    assert rows[1][-5:] == ["TableWarmWriteUnits", "4000", "7040", "1.98", "-"]
    assert rows[2][-5:] == ["LoadBalancerUnits", "0", "100", "-", "+0.80"]
    assert shown.out.splitlines()[-1] == "1.98 USD once, +0.80 USD an hour (us-east-1)"
    assert changed(aws) == {}


def test_it_asks_first(command: Command, aws: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    shown = command(*WARM, **aws.variables)
    assert shown.code == 1
    assert "Change this for 1.98 USD once, +0.80 USD an hour? [y/N]" in shown.err
    assert changed(aws) == {}


def test_it_changes_the_stacks_waits_and_leaves_one_line_for_the_audit(
    command: Command, aws: StandIn
) -> None:
    warms_up(aws)
    shown = command(*WARM, "--yes", **aws.variables)
    assert shown.code == 0, shown.err
    assert changed(aws) == {"TableWarmWriteUnits": "7040", "LoadBalancerUnits": "100"}
    audit, *lines = shown.err.splitlines()
    assert '"event":"warming"' in audit
    assert '"LoadBalancerUnits":"0 -> 100"' in audit
    assert lines[0] == "event: updating"
    assert lines[-1].startswith("event is ready; `participation cool --stack event` gives back")


def rested(aws: StandIn) -> None:
    """Nothing is to be raised any more."""
    aws.answers["dynamodb.DescribeTable"] = account.table()
    services = RESTING | {"LoadBalancerUnits": "120"}
    aws.answers["cloudformation.DescribeStacks"] = account.stacks(service_parameters=services)


def test_what_is_warm_already_is_not_asked_for(command: Command, aws: StandIn) -> None:
    rested(aws)
    shown = command(*WARM, **aws.variables)
    assert (shown.code, shown.out) == (0, "nothing to change\n")
    assert shown.err.startswith("event is ready; ")
    assert changed(aws) == {}


def test_what_an_earlier_run_asked_for_is_waited_for(command: Command, aws: StandIn) -> None:
    rested(aws)
    aws.answers["elbv2.DescribeCapacityReservation"] = account.reservation(state="pending")
    shown = command(*WARM, "--within", "1s", **aws.variables)
    assert (shown.code, shown.out) == (1, "nothing to change\n")
    assert "not there within 1 s: the load balancer's reservation" in shown.err


def test_what_is_not_there_in_time_is_named_with_where_to_look(
    command: Command, aws: StandIn
) -> None:
    shown = command(*WARM, "--yes", "--within", "1s", **aws.variables)
    assert shown.code == 1
    assert shown.err.splitlines()[-1] == (
        "participation: not there within 1 s: table writes (4,000 of 7,040 units/s); AWS goes on, "
        "and `participation preflight --stack event --rate 2000` shows how far it is"
    )


async def test_ctrl_c_says_what_is_under_way(aws: StandIn) -> None:
    waits = threading.Event()

    def table(_asked: dict[str, Any]) -> dict[str, Any]:
        if aws.parameters_of("cloudformation.UpdateStack"):
            waits.set()
        return account.table(4_000)

    aws.answers["dynamodb.DescribeTable"] = table
    async with programs.participation(*WARM, "--yes", environment=aws.variables) as program:
        assert await anyio.to_thread.run_sync(partial(waits.wait, 30))
        program.send(signal.SIGINT)
        ended = await program.ended()
    assert ended.exit_code == 130
    assert (
        "interrupted; AWS goes on with what it was asked for: `participation pref" in ended.output
    )
    assert "Traceback" not in ended.output


def test_a_permission_that_cloudformation_misses_is_named_with_its_statement(
    command: Command, aws: StandIn
) -> None:
    aws.answers["cloudformation.UpdateStack"] = denied("dynamodb:UpdateTable", "arn:aws:dynamodb:t")
    shown = command(*WARM, "--yes", **aws.variables)
    assert shown.code == 1
    assert '"Action":"dynamodb:UpdateTable","Resource":"arn:aws:dynamodb:t"' in shown.err


def test_cool_gives_back_what_is_paid_by_the_hour_and_says_what_stays(
    command: Command, aws: StandIn
) -> None:
    aws.answers |= {
        "cloudformation.DescribeStacks": account.stacks(service_parameters=WARMED),
        "elbv2.ModifyCapacityReservation": {},
    }
    shown = command("cool", "--stack", "event", "--ingest-tasks", "3", "--yes", **aws.variables)
    assert shown.code == 0, shown.err
    assert changed(aws) == {"WorkerMinTasks": "2", "IngestMinTasks": "3", "LoadBalancerUnits": "0"}
    assert "0.00 USD once, -3.63 USD an hour" in shown.out
    assert shown.err.splitlines()[-1] == (
        "event is at rest; its warm throughput stays, and costs nothing"
    )


def test_cool_with_nothing_to_give_back_says_so(command: Command, aws: StandIn) -> None:
    shown = command("cool", "--stack", "event", **aws.variables)
    assert (shown.code, shown.out) == (0, "nothing to change\n")


@pytest.mark.parametrize("name", ["warm", "cool"])
def test_a_pipeline_that_is_not_deployed_is_an_error(
    command: Command, aws: StandIn, name: str
) -> None:
    more = ["--rate", "1"] if name == "warm" else []
    shown = command(name, "--stack", "elsewhere", *more, **aws.variables)
    assert shown.code == 1
    assert "there is no stack elsewhere" in shown.err


@pytest.mark.parametrize("is_dry", [True, False])
def test_its_json_is_one_document_with_stable_keys(
    command: Command,
    aws: StandIn,
    is_dry: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    warms_up(aws)
    shown = command(*WARM, "--json", "--dry-run" if is_dry else "--yes", **aws.variables)
    assert shown.code == 0
    document = json.loads(shown.out)
    table, _ = document.pop("changes")
    assert table == {
        "parameter": "TableWarmWriteUnits",
        "what": "table writes, units/s",
        "before": "4000",
        "after": "7040",
        "dollarsOnce": pytest.approx(3_040 * 0.00065),
        "dollarsAnHour": 0.0,
    }
    assert document == {
        "stack": "event",
        "dollarsOnce": pytest.approx(3_040 * 0.00065),
        "dollarsAnHour": pytest.approx(0.8),
        "isChanged": not is_dry,
        "missing": [],
    }
