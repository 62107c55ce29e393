"""Visibility changes in batches: bounded in time, and of two on one message the later counts."""

import anyio
import pytest

from aws.errors import Rejected, Transient
from aws.queue import VisibilityChange
from tests.virtual_time import virtual_time
from tests.worker.fakes import FakeQueue
from worker.channel import change_visibility

LOST = Rejected("sqs", "ChangeMessageVisibilityBatch", "ReceiptHandleIsInvalid", "gone")


def change(number: int, timeout_s: int = 60) -> VisibilityChange:
    return VisibilityChange(f"h{number}", timeout_s)


@virtual_time
async def test_each_change_gets_its_own_answer() -> None:
    queue = FakeQueue()
    queue.errors["change_visibility"] = [None, LOST, None]

    answers = await change_visibility(queue, 60, [change(1), change(2), change(3)])

    assert answers == [None, LOST, None]


@virtual_time
async def test_of_an_extension_and_a_hand_back_of_one_message_the_later_is_sent() -> None:
    """AWS promises no order within a batch."""
    queue = FakeQueue()
    queue.errors["change_visibility"] = [LOST]

    answers = await change_visibility(queue, 60, [change(1, 60), change(2), change(1, 0)])

    assert queue.visibility == [change(2)]
    assert answers == [LOST, None, LOST]
    assert await change_visibility(queue, 60, [change(1, 60), change(1, 0)]) == [None, None]
    assert queue.visibility[1:] == [change(1, 0)]


@virtual_time
@pytest.mark.parametrize(("timeout_s", "limit_s"), [(1, 0.25), (8, 1), (60, 5), (43_200, 5)])
async def test_a_call_that_hangs_is_given_up_long_before_the_leases_behind_it_run_out(
    timeout_s: int, limit_s: float
) -> None:
    queue = FakeQueue()
    queue.changes_take_s = 3_600
    began_s = anyio.current_time()

    with pytest.raises(Transient, match="ReadTimeoutError"):
        await change_visibility(queue, timeout_s, [change(1)])

    assert anyio.current_time() - began_s == pytest.approx(limit_s)
