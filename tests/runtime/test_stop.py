"""The request to stop: it ends waiting, never work."""

import anyio
import anyio.lowlevel

from runtime.stop import Stop
from tests.virtual_time import virtual_time


@virtual_time
async def test_it_is_requested_once_and_for_all() -> None:
    stop = Stop()
    before = stop.requested

    stop.request()
    stop.request()

    assert (before, stop.requested) == (False, True)
    await stop.wait()


@virtual_time
async def test_whoever_waits_for_it_goes_on_with_it() -> None:
    stop = Stop()
    went_on: list[str] = []

    async def wait() -> None:
        await stop.wait()
        went_on.append("on")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert went_on == []
        stop.request()

    assert went_on == ["on", "on"]


@virtual_time
async def test_waits_end_in_the_order_in_which_they_began() -> None:
    stop = Stop()
    ended: list[int] = []

    async def wait(number: int) -> None:
        with stop.interrupts():
            await anyio.sleep(3_600)
        ended.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(wait, number)
        await anyio.wait_all_tasks_blocked()
        stop.request()

    assert ended == list(range(50))


@virtual_time
async def test_it_ends_every_pure_wait_under_way_immediately() -> None:
    stop = Stop()
    ended_at_s: list[float] = []

    async def wait() -> None:
        with stop.interrupts():
            await anyio.sleep(3_600)
        ended_at_s.append(anyio.current_time())

    began_s = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        tasks.start_soon(wait)
        await anyio.sleep(1)
        stop.request()

    assert len(ended_at_s) == 2
    assert max(ended_at_s) - began_s < 1.001


@virtual_time
async def test_it_ends_a_wait_that_begins_after_it() -> None:
    stop = Stop()
    stop.request()
    began_s = anyio.current_time()

    with stop.interrupts():
        await anyio.sleep(3_600)

    assert anyio.current_time() - began_s < 1


@virtual_time
async def test_what_runs_outside_the_block_is_not_cut_off() -> None:
    stop = Stop()
    finished = False

    async def work() -> None:
        nonlocal finished
        with stop.interrupts():
            await anyio.lowlevel.checkpoint()
        await anyio.sleep(10)
        finished = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await anyio.sleep(5)
        stop.request()

    assert finished


@virtual_time
async def test_a_block_that_does_not_wait_is_finished_though_the_stop_was_requested() -> None:
    stop = Stop()
    stop.request()
    taken = 0

    with stop.interrupts():
        taken = 10

    assert taken == 10


@virtual_time
async def test_an_error_in_the_block_leaves_it() -> None:
    stop = Stop()
    caught = False
    try:
        with stop.interrupts():
            raise ZeroDivisionError  # noqa: TRY301 - what leaves the block
    except ZeroDivisionError:
        caught = True

    assert caught
    stop.request()


def test_it_calls_its_followers_once_and_late_ones_immediately() -> None:
    stop = Stop()
    called: list[str] = []
    stop.calls(lambda: called.append("early"))
    assert called == []

    stop.request()
    stop.request()
    stop.calls(lambda: called.append("late"))

    assert called == ["early", "late"]
