"""What is raised for an event and lowered after it, and how AWS is asked and waited for."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from operations.account.facts import TableState, Warmth
from operations.stacks import StackError
from operations.warming.changes import Deployed, cooler, warmer
from operations.warming.run import opened, until_there
from schema.names import USER_INDEX, WINNERS_INDEX
from tests.aws.stand_in import Refusal, StandIn, standing_in
from tests.operations import account
from tests.operations.account import BALANCER, NEEDS, STACK

NOW = datetime(2026, 1, 4, tzinfo=UTC)
NEW = Warmth(write_units=4_000, read_units=12_000)
COLD = TableState(name="table", parts={None: NEW, USER_INDEX: NEW, WINNERS_INDEX: NEW})
RESTING = {
    "WorkerMinTasks": "2",
    "WorkerMaxTasks": "20",
    "WorkerScheduledMinTasks": "2",
    "WorkerCpu": "2048",
    "IngestMinTasks": "2",
    "IngestMaxTasks": "3",
    "IngestScheduledMinTasks": "2",
    "IngestCpu": "1024",
    "LoadBalancerUnits": "0",
    "ScheduledStart": "",
    "ScheduledEnd": "",
    "ScheduledTimezone": "UTC",
}
WARMED = RESTING | {"WorkerMinTasks": "12", "IngestMinTasks": "8", "LoadBalancerUnits": "300"}


def deployed(
    services: dict[str, str], table: TableState = COLD, pipeline: dict[str, str] | None = None
) -> Deployed:
    return Deployed(table=table, pipeline=pipeline or {}, services=services)


def raised(services: dict[str, str], table: TableState = COLD) -> dict[str, tuple[str, str]]:
    changes = warmer(deployed(services, table), NEEDS, NOW)
    return {change.parameter: (change.before, change.after) for change in changes}


def lowered(services: dict[str, str]) -> dict[str, tuple[str, str]]:
    changes = cooler(deployed(services, COLD), 2, 3, NOW)
    return {change.parameter: (change.before, change.after) for change in changes}


def test_what_is_too_little_is_raised_to_what_is_needed_and_the_rest_stays() -> None:
    assert raised(RESTING) == {
        "TableWarmWriteUnits": ("4000", "8000"),
        "TableWarmReadUnits": ("12000", "13000"),
        "Gsi1WarmWriteUnits": ("4000", "4500"),
        "WorkerMinTasks": ("2", "3"),
        "IngestMaxTasks": ("3", "4"),
        "IngestMinTasks": ("2", "4"),
        "LoadBalancerUnits": ("0", "120"),
    }


def test_what_is_enough_already_is_neither_raised_nor_lowered() -> None:
    warm = Warmth(write_units=50_000, read_units=50_000)
    parts = dict.fromkeys((None, USER_INDEX, WINNERS_INDEX), warm)
    assert raised(WARMED | {"IngestMaxTasks": "8"}, TableState(name="t", parts=parts)) == {}


def test_what_traffic_has_raised_meanwhile_does_not_fall_with_an_update_of_its_neighbour() -> None:
    busy = Warmth(write_units=25_000, read_units=12_000)
    table = TableState(name="table", parts=dict(COLD.parts) | {None: busy})
    given = {"TableWarmWriteUnits": "9000", "TableWarmReadUnits": "0", "Gsi2WarmWriteUnits": "100"}
    changes = {c.parameter: c for c in warmer(deployed({}, table, given), NEEDS, NOW)}
    assert {name: change.after for name, change in changes.items()} == {
        "TableWarmReadUnits": "13000",
        "TableWarmWriteUnits": "25000",
        "Gsi1WarmWriteUnits": "4500",
    }
    assert changes["TableWarmWriteUnits"].dollars_once == 0.0


def test_it_costs_units_once_and_tasks_and_reservation_by_the_hour() -> None:
    changes = {c.parameter: c for c in warmer(deployed(RESTING, COLD), NEEDS, NOW)}
    assert changes["TableWarmWriteUnits"].dollars_once == pytest.approx(4_000 * 0.00065)
    assert changes["TableWarmReadUnits"].dollars_once == pytest.approx(1_000 * 0.00013)
    # A task of two vCPUs costs twice as much.
    assert changes["WorkerMinTasks"].dollars_an_hour == pytest.approx(2 * 0.0494)
    assert changes["IngestMinTasks"].dollars_an_hour == pytest.approx(2 * 0.0494)
    assert changes["IngestMaxTasks"].dollars_an_hour == 0
    assert changes["LoadBalancerUnits"].dollars_an_hour == pytest.approx(120 * 0.008)


@pytest.mark.parametrize(
    ("needed", "reserved"), [(0, None), (1, "100"), (100, "100"), (101, "101")]
)
def test_aws_reserves_a_hundred_units_at_least(needed: int, reserved: str | None) -> None:
    needs = replace(NEEDS, load_balancer_units=needed)
    changes = {c.parameter: c for c in warmer(deployed(RESTING, COLD), needs, NOW)}
    found = changes.get("LoadBalancerUnits")
    assert (None if found is None else found.after) == reserved


def test_a_schedule_to_come_raises_the_tasks_and_not_this_command() -> None:
    start = {"ScheduledStart": "at(2026-01-04T00:00:01)", "ScheduledEnd": "at(2026-01-04T02:00:00)"}
    found = raised(RESTING | start)
    assert found["WorkerScheduledMinTasks"] == ("2", "3")
    assert found["IngestScheduledMinTasks"] == ("2", "4")
    assert not found.keys() & {"WorkerMinTasks", "IngestMinTasks", "ScheduledStart"}


def test_a_schedule_that_has_begun_is_taken_out_as_aws_refuses_times_that_have_passed() -> None:
    start = {"ScheduledStart": "at(2026-01-04T00:00:00)", "ScheduledEnd": "at(2026-01-04T02:00:00)"}
    found = raised(RESTING | start)
    assert found["WorkerMinTasks"] == ("2", "3")
    assert found["ScheduledStart"] == ("at(2026-01-04T00:00:00)", "")
    assert found["ScheduledEnd"] == ("at(2026-01-04T02:00:00)", "")
    assert lowered(WARMED | start).keys() >= {"ScheduledStart", "ScheduledEnd"}
    assert lowered(RESTING | start) == {}


def test_afterwards_tasks_and_reservation_go_and_warm_throughput_stays() -> None:
    assert lowered(WARMED) == {
        "WorkerMinTasks": ("12", "2"),
        "IngestMinTasks": ("8", "3"),
        "LoadBalancerUnits": ("300", "0"),
    }
    changes = cooler(deployed(WARMED, COLD), 2, 3, NOW)
    assert sum(c.dollars_an_hour for c in changes) == pytest.approx(
        -(10 * 2 * 0.0494 + 5 * 0.0494 + 300 * 0.008)
    )


def test_cooling_never_raises_anything() -> None:
    assert lowered(RESTING) == {}


def test_without_services_the_table_alone_is_warmed() -> None:
    found = raised({})
    assert found.keys() == {"TableWarmWriteUnits", "TableWarmReadUnits", "Gsi1WarmWriteUnits"}
    assert lowered({}) == {}


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with standing_in() as stand_in:
        stand_in.answers = account.healthy() | {
            "cloudformation.DescribeStacks": account.stacks(
                parameters={"TableWarmWriteUnits": "0", "MaxReceiveCount": "20"},
                service_parameters=RESTING,
            ),
            "cloudformation.UpdateStack": updated,
        }
        yield stand_in


def updated(asked: dict[str, Any]) -> dict[str, Any]:
    return {"StackId": f"arn:stack/{asked['StackName']}"}


async def test_each_stack_is_updated_once_with_its_own_template(aws: StandIn) -> None:
    lines: list[str] = []
    table = account.table(4_000)
    aws.answers["dynamodb.DescribeTable"] = table
    async with opened(aws.connection, STACK, lines.append) as pipeline:
        await pipeline.apply(warmer(pipeline.deployed, NEEDS, NOW))
    asked = aws.parameters_of("cloudformation.UpdateStack")
    assert [a["StackName"] for a in asked] == ["event", "event-service"]
    assert all(a["UsePreviousTemplate"] and "TemplateBody" not in a for a in asked)
    given = [{p["ParameterKey"]: p.get("ParameterValue") for p in a["Parameters"]} for a in asked]
    assert given[0] == {"TableWarmWriteUnits": "8000", "MaxReceiveCount": None}
    assert given[1]["WorkerMinTasks"] == "3"
    assert given[1]["LoadBalancerUnits"] == "120"
    assert given[1]["WorkerCpu"] is None  # as it was
    assert lines[0] == "event: updating"


async def test_a_stack_of_an_older_template_is_to_be_deployed_first(aws: StandIn) -> None:
    older = {name: value for name, value in RESTING.items() if name != "LoadBalancerUnits"}
    aws.answers["cloudformation.DescribeStacks"] = account.stacks(service_parameters=older)
    async with opened(aws.connection, STACK, print) as pipeline:
        with pytest.raises(StackError, match="without LoadBalancerUnits: run `participation dep"):
            await pipeline.apply(warmer(pipeline.deployed, NEEDS, NOW))
    assert aws.parameters_of("cloudformation.UpdateStack") == []


async def test_it_waits_until_nothing_is_missing_and_says_what_is(aws: StandIn) -> None:
    rounds = 0

    def reserved(_asked: dict[str, Any]) -> dict[str, Any]:
        nonlocal rounds
        rounds += 1
        return account.reservation(state="provisioned" if rounds > 3 else "pending")

    def running(asked: dict[str, Any]) -> dict[str, Any]:
        return account.services(2 if rounds < 2 else 4)(asked)

    cold, warm = account.table(4_000, status="UPDATING"), account.table()
    aws.answers |= {
        "dynamodb.DescribeTable": lambda _: cold if rounds < 2 else warm,
        "ecs.DescribeServices": running,
        "elbv2.DescribeCapacityReservation": reserved,
    }
    lines: list[str] = []
    async with opened(aws.connection, STACK, lines.append) as pipeline:
        await until_there(pipeline, NEEDS, lines.append, poll_s=0)
    first, second = (line.removeprefix("waiting for ").split("; ") for line in lines)
    assert first == [
        "table writes (4,000 of 8,000 units/s)",
        "table reads (13,000 of 13,000 units/s)",  # DynamoDB is still at it
        "users' index writes (4,500 of 4,500 units/s)",
        "winners' index writes (4,000 of 400 units/s)",
        "worker tasks (2 of 4 running)",
        "ingest tasks (2 of 4 running)",
        "the load balancer's reservation",
    ]
    assert second == ["the load balancer's reservation"]


async def test_a_call_that_fails_for_the_moment_does_not_end_the_wait(aws: StandIn) -> None:
    refused = iter([Refusal("ServiceUnavailable", "later", 503)])

    def running(asked: dict[str, Any]) -> dict[str, Any]:
        if (refusal := next(refused, None)) is not None:
            raise refusal
        return account.services()(asked)

    aws.answers["ecs.DescribeServices"] = running
    lines: list[str] = []
    async with opened(aws.connection, STACK, lines.append) as pipeline:
        await until_there(pipeline, NEEDS, lines.append, poll_s=0)
    assert lines == ["waiting for an answer of ecs (ServiceUnavailable)"]


async def test_a_reservation_that_aws_cannot_give_ends_the_wait(aws: StandIn) -> None:
    aws.answers["elbv2.DescribeCapacityReservation"] = account.reservation(state="failed")
    async with opened(aws.connection, STACK, print) as pipeline:
        with pytest.raises(StackError, match="the load balancer's reservation was not provision"):
            await until_there(pipeline, NEEDS, print, poll_s=0)


@pytest.mark.parametrize(("units", "calls"), [(120, 1), (0, 0)])
async def test_a_reservation_that_the_update_left_is_given_back(
    aws: StandIn, units: int, calls: int
) -> None:
    aws.answers |= {
        "elbv2.DescribeCapacityReservation": account.reservation(units),
        "elbv2.ModifyCapacityReservation": {},
    }
    async with opened(aws.connection, STACK, print) as pipeline:
        await pipeline.release()
    expected = {"LoadBalancerArn": BALANCER, "ResetCapacityReservation": True}
    assert aws.parameters_of("elbv2.ModifyCapacityReservation") == [expected] * calls


async def test_a_pipeline_that_is_not_deployed_is_an_error(aws: StandIn) -> None:
    with pytest.raises(StackError, match="there is no stack elsewhere"):
        async with opened(aws.connection, "elsewhere", print):
            pass
