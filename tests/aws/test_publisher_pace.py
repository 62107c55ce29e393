"""The publisher under throttling: what exceeds the quota waits, and only outages cost events."""

from collections import Counter
from dataclasses import replace
from itertools import chain, pairwise, repeat
from math import inf
from random import Random

import anyio
import pytest

from aws.publisher import Publisher
from config.quotas import Limits
from simulation.scenario import Kind
from tests.aws.model import Aws
from tests.aws.test_publisher import BROKEN, POLICY, PUT, Counted, calls, event, publish
from tests.aws.wire import THROTTLED, Fault
from tests.virtual_time import virtual_time


@virtual_time
async def test_events_beyond_the_quota_are_late_and_not_lost() -> None:
    aws = Aws(Limits(put_events_per_s=2))
    began_s = anyio.current_time()

    counted, warnings = await publish(aws, [event(n) for n in range(1_000)])

    # A hundred calls, two a second.
    assert anyio.current_time() - began_s > 9 * POLICY.timeout_s
    assert counted == Counted(1_000)
    assert warnings == []


@virtual_time
async def test_publishers_that_share_a_quota_lose_nothing() -> None:
    aws, counted = Aws(Limits(put_events_per_s=5)), Counted()
    aws.wire.each_way_s[PUT] = 0.01

    async def publish_many(number: int) -> None:
        async with Publisher(aws.bus, POLICY, random=Random(number), observer=counted) as publisher:
            for _ in range(5):
                await publisher.publish([event(n) for n in range(50)])

    async with anyio.create_task_group() as publishers:
        for number in range(4):
            publishers.start_soon(publish_many, number)

    assert counted == Counted(1_000)


@virtual_time
async def test_before_the_first_throttle_nothing_waits() -> None:
    aws = Aws()
    began_s = anyio.current_time()

    await publish(aws, [event(n) for n in range(10_000)])

    assert anyio.current_time() - began_s < 0.1


@virtual_time
@pytest.mark.parametrize("of_an_entry", [False, True])
async def test_a_throttle_slows_the_calls_down(*, of_an_entry: bool) -> None:
    aws = Aws()
    aws.wire.faults[PUT] = iter([None if of_an_entry else THROTTLED])
    aws.wire.entry_faults[PUT] = iter(["ThrottlingException"] if of_an_entry else [])
    began_s = anyio.current_time()

    counted, _ = await publish(aws, [event(n) for n in range(100)])

    assert anyio.current_time() - began_s > 1
    assert counted == Counted(100)


@virtual_time
async def test_a_repeated_call_goes_before_new_ones() -> None:
    aws = Aws()
    aws.wire.faults[PUT] = iter([None, THROTTLED])
    policy = replace(POLICY, concurrency=1)

    await publish(aws, [event(n) for n in range(100)], policy)

    made = [call[0] for call in calls(aws)]
    assert made[:4] == ["r0", "r10", "r10", "r20"]


@virtual_time
async def test_a_repeated_call_waits_for_its_turn_no_longer_than_half_a_second() -> None:
    """Its time runs already: at a very low rate it would never come to its third call."""
    aws = Aws()
    aws.wire.faults[PUT] = repeat(THROTTLED, 20)

    await publish(aws, [event(1)])

    made_s = [call.at_s for call in aws.wire.calls_of(PUT)]
    assert max(b - a for a, b in pairwise(made_s)) <= 1.0


@virtual_time
async def test_a_service_that_hangs_after_a_throttle_holds_nobody_longer_than_ever() -> None:
    """Calls that nobody answers say nothing about a quota: they are not waited for in turn."""
    aws, counted = Aws(), Counted()
    aws.wire.faults[PUT] = repeat(THROTTLED, 3)
    async with Publisher(aws.bus, POLICY, random=Random(0), observer=counted) as publisher:
        await publisher.publish([event(0)])
        aws.wire.each_way_s[PUT] = inf
        began_s = anyio.current_time()
        async with anyio.create_task_group() as callers:
            for number in range(40):
                some = [event(10 * number + n) for n in range(10)]
                callers.start_soon(publisher.publish, some)

    # A turn and a timeout until the hang is noticed, and that of those who waited until then.
    assert anyio.current_time() - began_s <= 3 * POLICY.timeout_s
    assert counted == Counted(1, Counter(timeout=400))


@virtual_time
@pytest.mark.parametrize("error", [Kind.REFUSED, BROKEN])
async def test_a_service_that_refuses_slows_nothing_down_after_a_throttle(error: Fault) -> None:
    aws, counted = Aws(), Counted()
    aws.wire.faults[PUT] = chain(repeat(THROTTLED, 5), repeat(error))
    began_s = anyio.current_time()

    counted, _ = await publish(aws, [event(n) for n in range(1_000)])

    assert counted.lost_events.total() == 1_000
    assert anyio.current_time() - began_s < 2 * POLICY.timeout_s


@virtual_time
async def test_a_service_that_throttles_everything_does_not_hold_up_its_callers() -> None:
    aws = Aws()
    aws.wire.faults[PUT] = repeat(THROTTLED)
    began_s = anyio.current_time()

    counted, _ = await publish(aws, [event(n) for n in range(2_000)])

    # Six timeouts without a single accepted call, and then the timeout of whoever waits.
    assert anyio.current_time() - began_s <= 9 * POLICY.timeout_s
    assert counted.published_events == 0
    assert set(counted.lost_events) == {"throttled"}
    assert counted.lost_events.total() == 2_000


@virtual_time
async def test_more_than_may_wait_is_lost_immediately() -> None:
    """Where nothing slows down the callers, as in ingest, what waits must be bounded."""
    aws, counted = Aws(Limits(put_events_per_s=1)), Counted()
    policy = replace(POLICY, max_pending=100)
    async with (
        Publisher(aws.bus, policy, random=Random(0), observer=counted) as publisher,
        anyio.create_task_group() as callers,
    ):
        for number in range(20):
            callers.start_soon(publisher.publish, [event(10 * number + n) for n in range(10)])

    assert counted.published_events + counted.lost_events["throttled"] == 200
    assert counted.published_events == 100


@virtual_time
async def test_an_error_that_ends_the_program_ends_repeats() -> None:
    aws, counted = Aws(), Counted()
    aws.wire.faults[PUT] = repeat(THROTTLED)
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


@virtual_time
async def test_closing_waits_for_repeats() -> None:
    aws, counted = Aws(), Counted()
    aws.wire.faults[PUT] = repeat(BROKEN, 2)
    async with (
        anyio.create_task_group() as callers,
        Publisher(aws.bus, POLICY, random=Random(0), observer=counted) as publisher,
    ):
        callers.start_soon(publisher.publish, [event(1)])
        await anyio.lowlevel.checkpoint()

    assert counted == Counted(1)


@virtual_time
async def test_a_caller_that_is_cancelled_takes_nothing_from_the_others_of_its_call() -> None:
    aws, counted = Aws(), Counted()
    aws.wire.faults[PUT] = repeat(BROKEN, 1)
    aws.wire.each_way_s[PUT] = 0.1

    async def leave_early() -> None:
        with anyio.move_on_after(0.3) as scope:
            await publisher.publish([event(2)])
        assert scope.cancelled_caught

    async with (
        Publisher(aws.bus, POLICY, random=Random(0), observer=counted) as publisher,
        anyio.create_task_group() as callers,
    ):
        callers.start_soon(publisher.publish, [event(1)])
        callers.start_soon(leave_early)

    assert [len(call) for call in calls(aws)] == [2, 2]
    assert counted == Counted(2)


@virtual_time
async def test_at_the_end_of_the_program_what_waits_for_its_turn_is_lost_and_counted() -> None:
    aws, counted = Aws(Limits(put_events_per_s=1)), Counted()
    async with Publisher(aws.bus, POLICY, random=Random(0), observer=counted) as publisher:
        async with anyio.create_task_group() as callers:
            for number in range(1_000):
                callers.start_soon(publisher.publish, [event(number)])
            await anyio.sleep(30)
            publisher.hurry(2)
            hurried_s = anyio.current_time()
        took_s = anyio.current_time() - hurried_s

    assert took_s < 2 + 0.5
    assert 0 < counted.published_events < 1_000
    assert counted.published_events + sum(counted.lost_events.values()) == 1_000


@virtual_time
async def test_at_the_end_of_the_program_a_call_that_hangs_is_not_waited_for() -> None:
    aws, counted = Aws(), Counted()
    aws.wire.each_way_s[PUT] = 20
    policy = replace(POLICY, timeout_s=30)
    async with Publisher(aws.bus, policy, random=Random(0), observer=counted) as publisher:
        async with anyio.create_task_group() as callers:
            callers.start_soon(publisher.publish, [event(1)])
            await anyio.sleep(1)
            publisher.hurry(2)
            hurried_s = anyio.current_time()
        took_s = anyio.current_time() - hurried_s

    assert took_s == pytest.approx(2, abs=0.01)
    assert counted.lost_events == {"timeout": 1}
