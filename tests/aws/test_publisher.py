"""The publisher: it never raises, counts each lost event once, and holds no caller too long."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from math import inf
from random import Random
from typing import Any

import anyio
import orjson
import pytest
import structlog

from aws.losses import LossReason
from aws.publisher import Publisher, PublishPolicy
from config.limits import EVENTBRIDGE_BATCH_BYTES
from schema.events import (
    AnalyticsEvent,
    DeliveryInfo,
    Failure,
    Meta,
    ParticipationProcessed,
    ParticipationRequested,
    RequestFailed,
    Timestamps,
)
from simulation.aws import errors
from simulation.scenario import Kind
from tests.aws.model import Aws
from tests.aws.wire import DENIED, INVALID, THROTTLED, Fault
from tests.virtual_time import virtual_time

POLICY = PublishPolicy(concurrency=2, linger_s=0.02, timeout_s=5, max_attempts=3)
PUT, CHECK = "PutEvents", "DescribeEventBus"
BROKEN = errors.internal_failure()
MISSING = errors.no_resource("there is no such bus")


def event(number: int, **changes: Any) -> ParticipationProcessed:
    made = ParticipationProcessed(
        env="dev",
        eventId="e1",
        requestId=f"r{number}",
        eventType="FIRST_COME",
        finalStatus="SUCCEEDED",
        resultCode="SUCCESS",
        timestamps=Timestamps(1, 2, 3),
        delivery=DeliveryInfo(1, isDlq=False),
        meta=Meta("w1"),
    )
    return replace(made, **changes)


@dataclass(slots=True)
class Counted:
    """What the observer counted."""

    published_events: int = 0
    lost_events: Counter[str] = field(default_factory=Counter)
    kept_events: int = 0
    not_kept_events: int = 0

    def published(self, count: int) -> None:
        self.published_events += count

    def lost(self, reason: str, count: int) -> None:
        assert reason in LossReason.ALL
        self.lost_events[reason] += count

    def kept(self, count: int) -> None:
        self.kept_events += count

    def not_kept(self, count: int) -> None:
        self.not_kept_events += count


async def publish(
    aws: Aws, events: Sequence[AnalyticsEvent], policy: PublishPolicy = POLICY
) -> tuple[Counted, list[Any]]:
    """Publish events together; returns what was counted and the warnings logged."""
    counted = Counted()
    with structlog.testing.capture_logs() as logged:
        async with Publisher(aws.bus, policy, random=Random(0), observer=counted) as publisher:
            await publisher.publish(events)
    return counted, [line for line in logged if line["log_level"] == "warning"]


def calls(aws: Aws) -> list[list[str]]:
    """The requests of each call, whatever its answer."""
    return [
        [orjson.loads(entry["Detail"])["requestId"] for entry in call.parameters["Entries"]]
        for call in aws.wire.calls_of(PUT)
    ]


@virtual_time
async def test_events_leave_in_calls_of_ten() -> None:
    aws = Aws()

    counted, warnings = await publish(aws, [event(n) for n in range(25)])

    assert [len(call) for call in calls(aws)] == [10, 10, 5]
    assert [name for call in calls(aws) for name in call] == [f"r{n}" for n in range(25)]
    assert counted == Counted(published_events=25)
    assert warnings == []


@virtual_time
async def test_events_of_several_callers_share_a_call() -> None:
    aws = Aws()
    async with (
        Publisher(aws.bus, POLICY, random=Random(0), observer=Counted()) as publisher,
        anyio.create_task_group() as tasks,
    ):
        for number in range(3):
            tasks.start_soon(publisher.publish, [event(number)])

    assert calls(aws) == [["r0", "r1", "r2"]]


@virtual_time
async def test_each_kind_of_event_has_its_source_type_and_time() -> None:
    aws = Aws()
    failed = RequestFailed(
        env="dev",
        eventId=None,
        requestId=None,
        timestamps=Timestamps(4_000, 5_000, 6_999),
        delivery=DeliveryInfo(1, isDlq=False),
        failure=Failure("NON_RETRYABLE", "BODY_NOT_JSON", "no"),
        meta=Meta("w1"),
    )
    requested = ParticipationRequested(
        env="dev", eventId="e1", requestId="r2", userId="u1", queuedAt=7_000
    )

    await publish(aws, [event(1), failed, requested])

    assert [(entry["Source"], entry["DetailType"], entry["Time"]) for entry in aws.events] == [
        ("kr.ac.dongduk.worker", "ParticipationProcessed", 0),
        ("kr.ac.dongduk.worker", "RequestFailed", 6),
        ("kr.ac.dongduk.ingest", "ParticipationRequested", 7),
    ]


@virtual_time
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Kind.REFUSED, "connection"),
        (Kind.LOST, "timeout"),
        (THROTTLED, "throttled"),
        (BROKEN, "server_error"),
        (DENIED, "denied"),
        (INVALID, "rejected"),
        (RuntimeError("unforeseen"), "server_error"),
    ],
)
async def test_a_failed_call_is_swallowed_counted_by_its_reason_and_warned_of_once(
    error: Fault, reason: str
) -> None:
    aws = Aws()
    aws.wire.faults[PUT] = repeat(error)

    counted, warnings = await publish(aws, [event(1), event(2)])

    assert counted == Counted(0, Counter({reason: 2}))
    (warning,) = warnings
    assert warning["event"] == "publish_failed"
    assert warning["request_ids"] == ["r1", "r2"]
    assert warning["reasons"] == {reason: 2}


@virtual_time
async def test_one_rejected_entry_loses_that_event_alone() -> None:
    aws = Aws()
    aws.wire.entry_faults[PUT] = iter([None, "MalformedDetail"])

    counted, warnings = await publish(aws, [event(n) for n in range(3)])

    assert counted == Counted(2, Counter(rejected=1))
    assert [warning["request_ids"] for warning in warnings] == [["r1"]]


@virtual_time
async def test_a_call_that_fails_for_several_reasons_is_warned_of_once() -> None:
    aws = Aws()
    aws.wire.entry_faults[PUT] = iter(["MalformedDetail", "InternalFailure", "MalformedDetail"])

    counted, warnings = await publish(
        aws, [event(n) for n in range(3)], replace(POLICY, max_attempts=1)
    )

    assert counted == Counted(0, Counter(server_error=1, rejected=2))
    assert [warning["reasons"] for warning in warnings] == [{"rejected": 2, "server_error": 1}]


@virtual_time
@pytest.mark.parametrize("error", [Kind.REFUSED, Kind.UNANSWERED, BROKEN])
async def test_a_call_that_fails_for_the_moment_is_made_again(error: Fault) -> None:
    aws = Aws()
    aws.wire.faults[PUT] = iter([error, error])

    counted, warnings = await publish(aws, [event(1), event(2)])

    assert calls(aws) == [["r1", "r2"]] * 3
    assert counted == Counted(2)
    assert warnings == []


@virtual_time
@pytest.mark.parametrize("error", [DENIED, INVALID])
async def test_a_call_that_would_fail_again_is_not_repeated(error: Fault) -> None:
    aws = Aws()
    aws.wire.faults[PUT] = repeat(error)

    await publish(aws, [event(1)])

    assert len(calls(aws)) == 1


@virtual_time
async def test_only_the_entries_that_failed_for_the_moment_go_again() -> None:
    aws = Aws()
    entries = ["MalformedDetail", "InternalFailure", None, "InternalFailure"]
    aws.wire.entry_faults[PUT] = iter(entries)

    counted, warnings = await publish(aws, [event(n) for n in range(3)])

    assert calls(aws) == [["r0", "r1", "r2"], ["r1"], ["r1"]]
    assert counted == Counted(2, Counter(rejected=1))
    assert [warning["request_ids"] for warning in warnings] == [["r0"]]


@virtual_time
async def test_the_random_handed_in_decides_how_long_a_retry_waits() -> None:
    async def took_s(seed: int) -> float:
        began_s, policy = anyio.current_time(), replace(POLICY, max_attempts=4)
        aws = Aws()
        aws.wire.faults[PUT] = repeat(BROKEN)
        async with Publisher(aws.bus, policy, random=Random(seed), observer=Counted()) as publisher:
            await publisher.publish([event(1)])
        return round(anyio.current_time() - began_s, 6)

    assert await took_s(seed=1) == await took_s(seed=1)
    assert await took_s(seed=1) != await took_s(seed=2)


@virtual_time
async def test_an_event_lost_after_all_attempts_counts_once() -> None:
    aws = Aws()
    aws.wire.faults[PUT] = repeat(BROKEN)

    counted, warnings = await publish(aws, [event(1)], replace(POLICY, max_attempts=4))

    assert len(calls(aws)) == 4
    assert counted == Counted(0, Counter(server_error=1))
    assert len(warnings) == 1


@virtual_time
@pytest.mark.parametrize("throttles", [2, 8])
async def test_a_throttled_call_took_no_effect_and_counts_as_no_attempt(throttles: int) -> None:
    aws = Aws()
    aws.wire.faults[PUT] = iter([THROTTLED] * throttles + [BROKEN, BROKEN])

    counted, _ = await publish(aws, [event(1)], replace(POLICY, timeout_s=60))

    assert len(calls(aws)) == throttles + 3
    assert counted == Counted(1)


@virtual_time
async def test_throttles_alone_end_with_the_timeout() -> None:
    aws = Aws()
    aws.wire.faults[PUT] = repeat(THROTTLED)
    began_s = anyio.current_time()

    counted, _ = await publish(aws, [event(1)])

    assert anyio.current_time() - began_s <= POLICY.timeout_s + 0.01
    assert len(calls(aws)) > 3
    assert counted == Counted(0, Counter(throttled=1))


@virtual_time
async def test_repeats_do_not_hold_up_other_batches() -> None:
    """Else a bus that refuses would slow down decisions: nobody waits for another's back-off."""
    aws = Aws()
    aws.wire.faults[PUT] = repeat(Kind.REFUSED)
    began_s = anyio.current_time()

    counted, _ = await publish(
        aws, [event(n) for n in range(1_000)], replace(POLICY, concurrency=1)
    )

    assert counted == Counted(0, Counter(connection=1_000))
    assert anyio.current_time() - began_s <= 0.5


@virtual_time
async def test_an_event_that_was_published_does_not_wait_for_its_neighbours_repeat() -> None:
    aws = Aws()
    aws.wire.entry_faults[PUT] = iter([None, "InternalFailure"])
    ended: list[str] = []
    async with (
        Publisher(aws.bus, POLICY, random=Random(1), observer=Counted()) as publisher,
        anyio.create_task_group() as callers,
    ):

        async def publish_one(number: int) -> None:
            await publisher.publish([event(number)])
            ended.append(f"r{number} after {len(calls(aws))} call(s)")

        for number in (1, 2):
            callers.start_soon(publish_one, number)

    assert ended == ["r1 after 1 call(s)", "r2 after 2 call(s)"]


@virtual_time
@pytest.mark.parametrize("max_attempts", [1, 10])
async def test_a_bus_that_never_answers_holds_its_caller_no_longer_than_the_timeout(
    max_attempts: int,
) -> None:
    aws = Aws()
    aws.wire.each_way_s[PUT] = inf
    began_s = anyio.current_time()
    counted, warnings = await publish(aws, [event(1)], replace(POLICY, max_attempts=max_attempts))

    assert anyio.current_time() - began_s <= POLICY.timeout_s + 0.01
    assert counted == Counted(0, Counter(timeout=1))
    assert len(warnings) == 1


@virtual_time
async def test_a_crowd_at_a_bus_that_never_answers_is_held_no_longer() -> None:
    """What waits for a free slot is as old as what occupies it."""
    aws = Aws()
    aws.wire.each_way_s[PUT] = inf
    began_s = anyio.current_time()
    counted, _ = await publish(aws, [event(n) for n in range(200)])

    assert anyio.current_time() - began_s <= POLICY.timeout_s + 0.01
    assert counted == Counted(0, Counter(timeout=200))


@virtual_time
async def test_retries_end_with_the_timeout() -> None:
    aws = Aws()
    aws.wire.faults[PUT], aws.wire.each_way_s[PUT] = repeat(BROKEN), 2
    began_s = anyio.current_time()

    counted, _ = await publish(aws, [event(1)], replace(POLICY, max_attempts=10))

    assert anyio.current_time() - began_s <= POLICY.timeout_s + 0.01
    assert len(calls(aws)) in {2, 3}
    assert counted.published_events == 0
    assert counted.lost_events.total() == 1


@virtual_time
async def test_an_event_that_json_cannot_hold_is_lost_alone() -> None:
    aws = Aws()

    counted, warnings = await publish(aws, [event(1), event(2, env="\ud800"), event(3)])

    assert calls(aws) == [["r1", "r3"]]
    assert counted == Counted(2, Counter(unencodable=1))
    assert [warning["request_ids"] for warning in warnings] == [["r2"]]


@virtual_time
async def test_an_event_of_an_impossible_time_is_lost_alone() -> None:
    aws = Aws()
    absurd = replace(event(2), timestamps=Timestamps(1, 2, 10**15))

    counted, warnings = await publish(aws, [event(1), absurd, event(3)])

    assert calls(aws) == [["r1", "r3"]]
    assert counted == Counted(2, Counter(unencodable=1))
    assert [warning["request_ids"] for warning in warnings] == [["r2"]]


@virtual_time
async def test_an_oversize_event_is_lost_alone() -> None:
    aws = Aws()
    huge = event(2, meta=Meta("x" * EVENTBRIDGE_BATCH_BYTES))

    counted, warnings = await publish(aws, [event(1), huge, event(3)])

    assert calls(aws) == [["r1", "r3"]]
    assert counted == Counted(2, Counter(oversize=1))
    assert [warning["request_ids"] for warning in warnings] == [["r2"]]


@virtual_time
async def test_no_call_holds_more_bytes_than_the_service_takes() -> None:
    aws = Aws()
    third = Meta("x" * (EVENTBRIDGE_BATCH_BYTES // 3))

    counted, _ = await publish(aws, [event(n, meta=third) for n in range(5)])

    assert [len(call) for call in calls(aws)] == [2, 2, 1]
    assert counted.published_events == 5


@virtual_time
async def test_publishing_nothing_makes_no_call() -> None:
    aws = Aws()

    await publish(aws, [])

    assert calls(aws) == []


@virtual_time
async def test_a_publisher_that_was_closed_loses_and_counts() -> None:
    counted = Counted()
    async with Publisher(Aws().bus, POLICY, random=Random(0), observer=counted) as publisher:
        pass

    await publisher.publish([event(1)])

    assert counted == Counted(0, Counter(closed=1))


@virtual_time
async def test_a_bus_that_disappears_is_noticed_and_so_is_its_return() -> None:
    """PutEvents to a missing bus succeeds and drops the events."""
    aws, counted = Aws(), Counted()
    aws.wire.faults[CHECK] = iter([MISSING, MISSING])
    policy = replace(POLICY, bus_check_interval_s=30)
    with structlog.testing.capture_logs() as logged:
        async with Publisher(aws.bus, policy, random=Random(0), observer=counted) as publisher:
            await anyio.sleep(45)
            await publisher.publish([event(1), event(2)])
            await anyio.sleep(50)
            await publisher.publish([event(3)])

    assert counted == Counted(1, Counter(bus_missing=2))
    assert calls(aws) == [["r3"]]
    assert [line["event"] for line in logged].count("bus_missing") == 1


@virtual_time
@pytest.mark.parametrize("error", [Kind.REFUSED, DENIED, RuntimeError("unforeseen")])
async def test_a_check_that_fails_otherwise_does_not_make_the_bus_missing(
    error: Fault,
) -> None:
    aws, counted = Aws(), Counted()
    aws.wire.faults[CHECK] = iter([error])
    policy = replace(POLICY, bus_check_interval_s=30)
    async with Publisher(aws.bus, policy, random=Random(0), observer=counted) as publisher:
        await anyio.sleep(45)
        await publisher.publish([event(1)])

    assert counted == Counted(1)


@virtual_time
async def test_an_error_that_ends_the_worker_does_not_hang_or_hide() -> None:
    aws = Aws()
    aws.wire.each_way_s[PUT] = inf
    counted = Counted()
    ended = False
    async with anyio.create_task_group() as callers:
        try:
            async with Publisher(aws.bus, POLICY, random=Random(0), observer=counted) as publisher:
                callers.start_soon(publisher.publish, [event(1)])
                await anyio.sleep(1)
                raise ZeroDivisionError  # noqa: TRY301 - what ends the block
        except* ZeroDivisionError:
            ended = True

    assert ended
    assert counted == Counted(0, Counter(closed=1))
