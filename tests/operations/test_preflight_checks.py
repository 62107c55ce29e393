"""What each check makes of what was read: pure functions from facts and needs to findings."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from operations.account.facts import (
    QueueDepth,
    Quota,
    Reservation,
    Scaling,
    ScheduledMinimum,
    StreamLimits,
    Tasks,
    TokenSource,
    TokenTrial,
)
from operations.account.quotas import key_of
from operations.preflight import capacity, health
from operations.preflight.capacity import PROGRAMS, Commands
from operations.preflight.findings import Colour, Finding, worst
from tests.operations.account import NEEDS

LOAD = "--rate 2000 --seconds 10 --seats 1000"
COMMANDS = Commands(stack="event", region="ap-northeast-2", load=LOAD)
NOW = datetime(2026, 1, 4, tzinfo=UTC)
WARM = f"participation warm --stack event {LOAD}"
WATCH = "participation status --stack event --watch"


def quota(value: float, *, is_adjustable: bool = True) -> dict[str, Quota]:
    name = "Fargate On-Demand vCPU resource count"
    return {
        key_of(name): Quota(
            service="fargate",
            code="L-3032A538",
            name=name,
            value=value,
            is_adjustable=is_adjustable,
            is_default=False,
        )
    }


@pytest.mark.parametrize(("value", "colour"), [(10.0, Colour.GREEN), (9.0, Colour.RED)])
def test_a_quota_is_enough_from_what_is_needed_on(value: float, colour: Colour) -> None:
    # 9.5 vCPUs are needed: AWS counts whole ones in a request for more.
    (finding,) = capacity.quotas("fargate", quota(value), NEEDS, COMMANDS)
    assert finding.colour is colour
    assert finding.needed == "10 vCPU"


def test_a_quota_that_aws_never_raises_asks_for_another_plan() -> None:
    (finding,) = capacity.quotas("fargate", quota(1, is_adjustable=False), NEEDS, COMMANDS)
    assert finding.change == "AWS does not raise it (L-3032A538): plan for a lower --rate"


def test_a_quota_by_another_name_is_yellow() -> None:
    (finding,) = capacity.quotas("fargate", {}, NEEDS, COMMANDS)
    assert finding.colour is Colour.YELLOW
    assert finding.found == 'Service Quotas lists no "Fargate On-Demand vCPU resource count"'


def test_a_quota_is_known_whatever_its_name_has_in_brackets() -> None:
    one = "Reserved Application Load Balancer Capacity Units (LCUs) per Region"
    other = " Reserved Application Load Balancer Capacity Units per region "
    assert key_of(one) == key_of(other)


def test_an_idle_stream_is_judged_by_the_regions_default_where_that_is_known() -> None:
    nothing = StreamLimits(byte_rate=None, record_rate=None, request_rate=None)
    default = StreamLimits(byte_rate=1_048_576, record_rate=1_999, request_rate=1_000)
    octets, records, requests = capacity.stream(nothing, default, NEEDS)
    assert octets.colour is requests.colour is Colour.GREEN
    assert (records.colour, records.found) == (Colour.YELLOW, "1,999 records/s (AWS's default)")
    assert {finding.colour for finding in capacity.stream(nothing, nothing, NEEDS)} == {
        Colour.YELLOW
    }


def test_a_streams_own_limit_counts_before_the_default() -> None:
    own = StreamLimits(byte_rate=1.0, record_rate=1.0, request_rate=1.0)
    default = StreamLimits(byte_rate=1e9, record_rate=1e9, request_rate=1e9)
    assert {finding.colour for finding in capacity.stream(own, default, NEEDS)} == {Colour.YELLOW}


def scheduled(schedule: str, minimum: int) -> ScheduledMinimum:
    return ScheduledMinimum(schedule=schedule, timezone="Asia/Seoul", minimum=minimum)


LATER = scheduled("at(2026-01-04T09:00:01)", 3)
BEGINS = "at(2026-01-04T09:00:01) Asia/Seoul"


@pytest.mark.parametrize(
    ("running", "scaling", "colour", "found", "change"),
    [
        (3, Scaling(minimum=3, maximum=9), Colour.GREEN, "3 running, at least 3", ""),
        (2, Scaling(minimum=2, maximum=9), Colour.RED, "2 running, at least 2", WARM),
        (2, Scaling(minimum=3, maximum=9), Colour.RED, "2 running, at least 3, 1 starting", WATCH),
        (
            3,
            Scaling(minimum=2, maximum=9),
            Colour.YELLOW,
            "3 running, at least 2: scaling may stop some before the event",
            WARM,
        ),
        (
            2,
            Scaling(minimum=2, maximum=9, scheduled=(LATER,)),
            Colour.YELLOW,
            f"2 running, at least 2, at least 3 from {BEGINS}",
            "look again once that has begun",
        ),
        (
            2,
            Scaling(minimum=2, maximum=9, scheduled=(scheduled("at(2026-01-04T09:00:00)", 3),)),
            Colour.RED,
            "2 running, at least 2",
            WARM,
        ),
        (
            2,
            Scaling(minimum=2, maximum=9, scheduled=(scheduled("cron(0 9 * * ? *)", 2),)),
            Colour.RED,
            "2 running, at least 2",
            WARM,
        ),
    ],
    ids=["enough", "few", "starting", "may-go", "later", "too-late", "too-few-later"],
)
def test_tasks_must_run_and_stay_or_be_scheduled(
    running: int, scaling: Scaling, colour: Colour, found: str, change: str
) -> None:
    state = Tasks(running=running, wanted=3, pending=3 - running, task_definition="arn")
    finding, greatest = capacity.tasks(PROGRAMS[0], state, scaling, NEEDS, COMMANDS, NOW)
    assert (finding.colour, finding.found, finding.change) == (colour, found, change)
    assert greatest.colour is Colour.GREEN


def test_a_service_that_does_not_scale_must_run_what_is_needed() -> None:
    state = Tasks(running=2, wanted=2, pending=0, task_definition="arn")
    (finding,) = capacity.tasks(PROGRAMS[0], state, None, NEEDS, COMMANDS, NOW)
    assert (finding.colour, finding.found) == (Colour.RED, "2 running")


@pytest.mark.parametrize(
    ("units", "pending", "colour"),
    [
        (120, (), Colour.GREEN),
        (119, (), Colour.RED),
        (120, ("pending", "pending"), Colour.YELLOW),
        (120, ("failed no capacity",), Colour.RED),
    ],
)
def test_a_reservation_counts_once_it_is_there(
    units: int, pending: tuple[str, ...], colour: Colour
) -> None:
    state = Reservation(units=units, pending=pending)
    assert capacity.load_balancer(state, NEEDS, COMMANDS).colour is colour


def test_more_messages_in_flight_than_a_queue_allows_are_red() -> None:
    assert capacity.in_flight(replace(NEEDS, in_flight_messages=120_000)).colour is Colour.GREEN
    assert capacity.in_flight(replace(NEEDS, in_flight_messages=120_001)).colour is Colour.RED


SECRET = TokenSource(has_secret=True, jwks_url=None)
KEYS = TokenSource(has_secret=False, jwks_url="https://issuer/keys")


@pytest.mark.parametrize(
    ("source", "has_token", "status", "key_set_error", "colour", "found"),
    [
        (SECRET, True, 200, None, Colour.GREEN, "ingest accepts one"),
        (SECRET, True, 401, None, Colour.RED, "ingest refuses the one given"),
        (SECRET, True, 503, None, Colour.RED, "ingest answers 503"),
        (SECRET, True, 404, None, Colour.RED, "ingest answers 404"),
        (SECRET, True, None, None, Colour.YELLOW, "from here, it is away"),
        (SECRET, False, 401, None, Colour.YELLOW, "ingest asks for one, and there was none to try"),
        (SECRET, False, 200, None, Colour.RED, "ingest answers 200"),
        (
            KEYS,
            False,
            401,
            None,
            Colour.GREEN,
            "the key set is usable, and ingest asks for a token",
        ),
        (KEYS, True, 200, "it is empty", Colour.YELLOW, "from here, no key set: it is empty"),
    ],
)
def test_tokens_are_judged_by_what_ingest_answers(
    source: TokenSource,
    has_token: bool,  # noqa: FBT001 - a parameter of the test
    status: int | None,
    key_set_error: str | None,
    colour: Colour,
    found: str,
) -> None:
    trial = TokenTrial(
        source=source,
        has_token=has_token,
        key_set_error=key_set_error,
        status=status,
        ingest_error=None if status else "it is away",
    )
    finding = health.tokens(trial, COMMANDS)
    assert (finding.colour, finding.found) == (colour, found)
    assert bool(finding.change) is (colour is not Colour.GREEN)


@pytest.mark.parametrize(
    ("ahead_s", "colour", "found"),
    [
        (1.9, Colour.GREEN, "this machine is right by AWS's"),
        (30, Colour.YELLOW, "this machine is 30 s ahead of AWS's"),
        (-30, Colour.YELLOW, "this machine is 30 s behind AWS's"),
        (60, Colour.RED, "this machine is 60 s ahead of AWS's"),
    ],
)
def test_a_clock_that_is_off_is_named_with_its_direction(
    ahead_s: float, colour: Colour, found: str
) -> None:
    finding = health.clock(ahead_s)
    assert finding.colour is colour
    assert finding.found.startswith(found)


@pytest.mark.parametrize("where", ["waiting", "in_flight", "delayed"])
def test_a_message_counts_wherever_it_is_on_the_queue(where: str) -> None:
    depth = QueueDepth(**({"waiting": 0, "in_flight": 0, "delayed": 0} | {where: 1}))
    assert health.queue_empty("dead letters", depth, "dlq list").colour is Colour.RED
    assert health.requests_waiting(depth, COMMANDS).colour is Colour.YELLOW


def test_without_alarms_nobody_would_hear() -> None:
    (finding,) = health.alarms((), COMMANDS)
    assert finding.colour is Colour.RED


def test_the_worst_colour_counts() -> None:
    green = Finding(check="a", colour=Colour.GREEN, found="")
    yellow = Finding(check="b", colour=Colour.YELLOW, found="")
    red = Finding(check="c", colour=Colour.RED, found="")
    assert worst([green, red, yellow]) is Colour.RED
    assert worst([green, yellow]) is Colour.YELLOW
    assert worst([]) is Colour.GREEN
