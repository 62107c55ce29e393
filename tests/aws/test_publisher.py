"""The publisher: it never raises, counts each lost event once, and holds no caller too long."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import anyio
import pytest
import structlog

from aws.bus import BusEntry
from aws.errors import Fatal, Rejected, Transient
from aws.publisher import LossReason, Publisher, PublishPolicy
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
from tests.aws.fake_bus import FakeBus, raising
from tests.virtual_time import virtual_time

POLICY = PublishPolicy(concurrency=2, linger_s=0.02, timeout_s=5, max_attempts=1)
THROTTLED = Transient("events", "PutEvents", "ThrottlingException", "slow", {"Error": {}})
UNREACHABLE = Transient("events", "PutEvents", "EndpointConnectionError", "refused")
TIMED_OUT = Transient("events", "PutEvents", "ReadTimeoutError", "late")
BROKEN = Transient("events", "PutEvents", "InternalFailure", "500", {"Error": {}})
DENIED = Fatal("events", "PutEvents", "AccessDeniedException", "no")
REFUSED = Rejected("events", "PutEvents", "ValidationException", "no")


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

    def published(self, count: int) -> None:
        self.published_events += count

    def lost(self, reason: str, count: int) -> None:
        assert reason in LossReason.ALL
        self.lost_events[reason] += count


async def publish(
    bus: FakeBus, events: Sequence[AnalyticsEvent], policy: PublishPolicy = POLICY
) -> tuple[Counted, list[Any]]:
    """Publish events together; returns what was counted and the warnings logged."""
    counted = Counted()
    with structlog.testing.capture_logs() as logged:
        async with Publisher(bus, policy, random=Random(0), observer=counted) as publisher:
            await publisher.publish(events)
    return counted, [line for line in logged if line["log_level"] == "warning"]


@virtual_time
async def test_events_leave_in_calls_of_ten() -> None:
    bus = FakeBus()

    counted, warnings = await publish(bus, [event(n) for n in range(25)])

    assert [len(call) for call in bus.calls] == [10, 10, 5]
    assert [name for call in bus.calls for name in call] == [f"r{n}" for n in range(25)]
    assert counted == Counted(published_events=25)
    assert warnings == []


@virtual_time
async def test_events_of_several_callers_share_a_call() -> None:
    bus = FakeBus()
    async with (
        Publisher(bus, POLICY, random=Random(0), observer=Counted()) as publisher,
        anyio.create_task_group() as tasks,
    ):
        for number in range(3):
            tasks.start_soon(publisher.publish, [event(number)])

    assert bus.calls == [["r0", "r1", "r2"]]


@virtual_time
async def test_each_kind_of_event_has_its_source_type_and_time() -> None:
    bus = FakeBus()
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

    await publish(bus, [event(1), failed, requested])

    assert [(entry.source, entry.detail_type, entry.time_s) for entry in bus.accepted] == [
        ("kr.ac.dongduk.worker", "ParticipationProcessed", 0),
        ("kr.ac.dongduk.worker", "RequestFailed", 6),
        ("kr.ac.dongduk.ingest", "ParticipationRequested", 7),
    ]


@virtual_time
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UNREACHABLE, "connection"),
        (TIMED_OUT, "timeout"),
        (THROTTLED, "throttled"),
        (BROKEN, "server_error"),
        (DENIED, "denied"),
        (REFUSED, "rejected"),
        (RuntimeError("unforeseen"), "server_error"),
    ],
)
async def test_a_failed_call_is_swallowed_counted_by_its_reason_and_warned_of_once(
    error: Exception, reason: str
) -> None:
    counted, warnings = await publish(FakeBus(raising(error)), [event(1), event(2)])

    assert counted == Counted(0, Counter({reason: 2}))
    (warning,) = warnings
    assert warning["event"] == "publish_failed"
    assert warning["request_ids"] == ["r1", "r2"]
    assert warning["reasons"] == {reason: 2}


@virtual_time
async def test_one_rejected_entry_loses_that_event_alone() -> None:
    async def answer(entries: Sequence[BusEntry]) -> list[Exception | None]:
        return [None, THROTTLED, None]

    counted, warnings = await publish(FakeBus(answer), [event(n) for n in range(3)])

    assert counted == Counted(2, Counter(throttled=1))
    assert [warning["request_ids"] for warning in warnings] == [["r1"]]


@virtual_time
async def test_a_call_that_fails_for_several_reasons_is_warned_of_once() -> None:
    async def answer(entries: Sequence[BusEntry]) -> list[Exception | None]:
        return [REFUSED, THROTTLED, REFUSED]

    counted, warnings = await publish(FakeBus(answer), [event(n) for n in range(3)])

    assert counted == Counted(0, Counter(throttled=1, rejected=2))
    assert [warning["reasons"] for warning in warnings] == [{"rejected": 2, "throttled": 1}]


@virtual_time
async def test_by_default_nothing_is_tried_again() -> None:
    bus = FakeBus(raising(THROTTLED))

    await publish(bus, [event(1)])

    assert len(bus.calls) == 1


@virtual_time
async def test_with_more_attempts_only_transient_failures_are_tried_again() -> None:
    answers: list[list[Exception | None]] = [[REFUSED, THROTTLED, None], [THROTTLED], [None]]

    async def answer(entries: Sequence[BusEntry]) -> list[Exception | None]:
        return answers.pop(0)

    bus = FakeBus(answer)

    counted, warnings = await publish(
        bus, [event(n) for n in range(3)], replace(POLICY, max_attempts=3)
    )

    assert bus.calls == [["r0", "r1", "r2"], ["r1"], ["r1"]]
    assert counted == Counted(2, Counter(rejected=1))
    assert [warning["request_ids"] for warning in warnings] == [["r0"]]


@virtual_time
async def test_the_random_handed_in_decides_how_long_a_retry_waits() -> None:
    async def took_s(seed: int) -> float:
        began_s, policy = anyio.current_time(), replace(POLICY, max_attempts=4)
        bus = FakeBus(raising(BROKEN))
        async with Publisher(bus, policy, random=Random(seed), observer=Counted()) as publisher:
            await publisher.publish([event(1)])
        return round(anyio.current_time() - began_s, 6)

    assert await took_s(seed=1) == await took_s(seed=1)
    assert await took_s(seed=1) != await took_s(seed=2)


@virtual_time
async def test_an_event_lost_after_all_attempts_counts_once() -> None:
    bus = FakeBus(raising(BROKEN))

    counted, warnings = await publish(bus, [event(1)], replace(POLICY, max_attempts=4))

    assert len(bus.calls) == 4
    assert counted == Counted(0, Counter(server_error=1))
    assert len(warnings) == 1


@virtual_time
@pytest.mark.parametrize("max_attempts", [1, 10])
async def test_a_bus_that_never_answers_holds_its_caller_no_longer_than_the_timeout(
    max_attempts: int,
) -> None:
    async def answer(_entries: Sequence[BusEntry]) -> list[Exception | None]:
        await anyio.sleep_forever()
        raise AssertionError

    began_s = anyio.current_time()
    counted, warnings = await publish(
        FakeBus(answer), [event(1)], replace(POLICY, max_attempts=max_attempts)
    )

    assert anyio.current_time() - began_s <= POLICY.timeout_s + 0.01
    assert counted == Counted(0, Counter(timeout=1))
    assert len(warnings) == 1


@virtual_time
async def test_a_crowd_at_a_bus_that_never_answers_is_held_no_longer() -> None:
    """What waits for a free slot is as old as what occupies it."""

    async def answer(_entries: Sequence[BusEntry]) -> list[Exception | None]:
        await anyio.sleep_forever()
        raise AssertionError

    began_s = anyio.current_time()
    counted, _ = await publish(FakeBus(answer), [event(n) for n in range(200)])

    assert anyio.current_time() - began_s <= POLICY.timeout_s + 0.01
    assert counted == Counted(0, Counter(timeout=200))


@virtual_time
async def test_retries_end_with_the_timeout() -> None:
    async def answer(_entries: Sequence[BusEntry]) -> list[Exception | None]:
        await anyio.sleep(2)
        raise BROKEN

    bus = FakeBus(answer)
    began_s = anyio.current_time()

    counted, _ = await publish(bus, [event(1)], replace(POLICY, max_attempts=10))

    assert anyio.current_time() - began_s <= POLICY.timeout_s + 0.01
    assert len(bus.calls) in {2, 3}
    assert counted.published_events == 0
    assert counted.lost_events.total() == 1


@virtual_time
async def test_an_event_that_json_cannot_hold_is_lost_alone() -> None:
    bus = FakeBus()

    counted, warnings = await publish(bus, [event(1), event(2, env="\ud800"), event(3)])

    assert bus.calls == [["r1", "r3"]]
    assert counted == Counted(2, Counter(unencodable=1))
    assert [warning["request_ids"] for warning in warnings] == [["r2"]]


@virtual_time
async def test_an_event_of_an_impossible_time_is_lost_alone() -> None:
    bus = FakeBus()
    absurd = replace(event(2), timestamps=Timestamps(1, 2, 10**15))

    counted, warnings = await publish(bus, [event(1), absurd, event(3)])

    assert bus.calls == [["r1", "r3"]]
    assert counted == Counted(2, Counter(unencodable=1))
    assert [warning["request_ids"] for warning in warnings] == [["r2"]]


@virtual_time
async def test_an_oversize_event_is_lost_alone() -> None:
    bus = FakeBus()
    huge = event(2, meta=Meta("x" * EVENTBRIDGE_BATCH_BYTES))

    counted, warnings = await publish(bus, [event(1), huge, event(3)])

    assert bus.calls == [["r1", "r3"]]
    assert counted == Counted(2, Counter(oversize=1))
    assert [warning["request_ids"] for warning in warnings] == [["r2"]]


@virtual_time
async def test_no_call_holds_more_bytes_than_the_service_takes() -> None:
    bus = FakeBus()
    third = Meta("x" * (EVENTBRIDGE_BATCH_BYTES // 3))

    counted, _ = await publish(bus, [event(n, meta=third) for n in range(5)])

    assert [len(call) for call in bus.calls] == [2, 2, 1]
    assert counted.published_events == 5


@virtual_time
async def test_publishing_nothing_makes_no_call() -> None:
    bus = FakeBus()

    await publish(bus, [])

    assert bus.calls == []


@virtual_time
async def test_a_publisher_that_was_closed_loses_and_counts() -> None:
    counted = Counted()
    async with Publisher(FakeBus(), POLICY, random=Random(0), observer=counted) as publisher:
        pass

    await publisher.publish([event(1)])

    assert counted == Counted(0, Counter(closed=1))


@virtual_time
async def test_a_bus_that_disappears_is_noticed_and_so_is_its_return() -> None:
    """PutEvents to a missing bus succeeds and drops the events."""
    bus, counted = FakeBus(), Counted()
    missing = Fatal("events", "DescribeEventBus", "ResourceNotFoundException", "no")
    bus.checks = [missing, missing, None]
    policy = replace(POLICY, bus_check_interval_s=30)
    with structlog.testing.capture_logs() as logged:
        async with Publisher(bus, policy, random=Random(0), observer=counted) as publisher:
            await anyio.sleep(45)
            await publisher.publish([event(1), event(2)])
            await anyio.sleep(45)
            await publisher.publish([event(3)])

    assert counted == Counted(1, Counter(bus_missing=2))
    assert bus.calls == [["r3"]]
    assert [line["event"] for line in logged].count("bus_missing") == 1


@virtual_time
@pytest.mark.parametrize("error", [UNREACHABLE, DENIED, RuntimeError("unforeseen")])
async def test_a_check_that_fails_otherwise_does_not_make_the_bus_missing(
    error: Exception,
) -> None:
    bus, counted = FakeBus(), Counted()
    bus.checks = [error]
    policy = replace(POLICY, bus_check_interval_s=30)
    async with Publisher(bus, policy, random=Random(0), observer=counted) as publisher:
        await anyio.sleep(45)
        await publisher.publish([event(1)])

    assert counted == Counted(1)


@virtual_time
async def test_an_error_that_ends_the_worker_does_not_hang_or_hide() -> None:
    async def answer(_entries: Sequence[BusEntry]) -> list[Exception | None]:
        await anyio.sleep_forever()
        raise AssertionError

    counted = Counted()
    ended = False
    async with anyio.create_task_group() as callers:
        try:
            async with Publisher(
                FakeBus(answer), POLICY, random=Random(0), observer=counted
            ) as publisher:
                callers.start_soon(publisher.publish, [event(1)])
                await anyio.sleep(1)
                raise ZeroDivisionError  # noqa: TRY301 - what ends the block
        except* ZeroDivisionError:
            ended = True

    assert ended
    assert counted == Counted(0, Counter(closed=1))
