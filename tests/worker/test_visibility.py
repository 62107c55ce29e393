"""Visibility changes in batches: bounded in time, and of two on one message the later counts."""

import anyio
import pytest

from aws.errors import Transient
from aws.queue import VisibilityChange, is_lost_handle
from simulation.settings import QUEUE
from tests.aws.model import Aws
from tests.virtual_time import virtual_time
from worker.channel import change_visibility

LOST = "ReceiptHandleIsInvalid"
OPERATION = "ChangeMessageVisibilityBatch"


async def in_flight(aws: Aws, count: int) -> list[str]:
    """Receipts of messages in flight."""
    aws.put(*(f"message {number}" for number in range(count)))
    return [delivery.receipt_handle for delivery in await aws.queue.receive(count, 0, 600)]


@virtual_time
async def test_each_change_gets_its_own_answer() -> None:
    aws = Aws()
    changes = [VisibilityChange(handle, 60) for handle in await in_flight(aws, 3)]
    aws.wire.entry_faults[OPERATION] = iter([None, LOST])

    first, second, third = await change_visibility(aws.queue, 60, changes)

    assert (first, third) == (None, None)
    assert second is not None
    assert is_lost_handle(second)


@virtual_time
async def test_of_an_extension_and_a_hand_back_of_one_message_the_later_is_sent() -> None:
    """AWS promises no order within a batch."""
    aws = Aws()
    one, two = await in_flight(aws, 2)
    changes = [VisibilityChange(one, 60), VisibilityChange(two, 60), VisibilityChange(one, 0)]
    aws.wire.entry_faults[OPERATION] = iter([LOST])

    first, second, third = await change_visibility(aws.queue, 60, changes)

    assert aws.hides[QUEUE] == [(two, 60)]
    assert first is not None
    assert (first, second) == (third, None)
    assert await change_visibility(aws.queue, 60, [changes[0], changes[2]]) == [None, None]
    assert aws.hides[QUEUE][1:] == [(one, 0)]


@virtual_time
@pytest.mark.parametrize(("timeout_s", "limit_s"), [(1, 0.25), (8, 1), (60, 5), (43_200, 5)])
async def test_a_call_that_hangs_is_given_up_long_before_the_leases_behind_it_run_out(
    timeout_s: int, limit_s: float
) -> None:
    aws = Aws()
    aws.wire.each_way_s[OPERATION] = 3_600
    began_s = anyio.current_time()

    with pytest.raises(Transient, match="ReadTimeoutError"):
        await change_visibility(aws.queue, timeout_s, [VisibilityChange("h1", timeout_s)])

    assert anyio.current_time() - began_s == pytest.approx(limit_s)
