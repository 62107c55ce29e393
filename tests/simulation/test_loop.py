"""Nodes' processors on the virtual loop: paused, killed, busy; and time that has to move on."""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from simulation.loop import START_S, Processor, VirtualLoop, running
from tests.virtual_time import DeadlockError, run, virtual_time


class Node:
    """A processor, and a note of when its callbacks ran, in seconds from the start."""

    def __init__(self) -> None:
        self.loop: VirtualLoop = running()
        self.processor = Processor(self.loop)
        self.ran: list[tuple[str, float]] = []

    def later(
        self, delay_s: float, name: str, then: Callable[[], object] = lambda: None
    ) -> asyncio.TimerHandle:
        def callback() -> None:
            self.ran.append((name, round(self.loop.time() - START_S, 6)))
            then()

        return self.loop.call_later(delay_s, callback, context=self.processor.context())


@virtual_time
async def test_a_paused_node_runs_nothing_and_then_everything_in_order() -> None:
    node = Node()
    node.processor.pause(1)
    node.later(0.1, "first")
    node.later(0.2, "second")
    node.later(0.3, "third")
    await anyio.sleep(0.99)
    assert node.ran == []
    await anyio.sleep(0.01)
    node.later(0.0, "fourth")
    await anyio.sleep(1)
    assert node.ran == [("first", 1.0), ("second", 1.0), ("third", 1.0), ("fourth", 1.0)]


@virtual_time
async def test_a_killed_node_runs_nothing_even_when_its_pause_is_over() -> None:
    node = Node()
    node.later(0.1, "before")
    node.later(0.3, "after")
    await anyio.sleep(0.2)
    node.processor.pause(1)
    node.processor.kill()
    await anyio.sleep(10)
    assert node.ran == [("before", 0.1)]


@virtual_time
async def test_what_a_killed_node_leaves_ends_by_its_cancellation_once_it_is_buried() -> None:
    node = Node()
    seen: list[str] = []

    async def work() -> None:
        try:
            await anyio.sleep(0.1)
            seen.append("worked")
            await anyio.sleep(1)
        finally:
            seen.append("ended")

    async with anyio.create_task_group() as tasks:
        node.processor.context().run(tasks.start_soon, work)
        await anyio.sleep(0.5)
        node.processor.kill()
        await anyio.sleep(5)
        assert seen == ["worked"]
        tasks.cancel_scope.cancel()
        node.processor.bury()
    assert seen == ["worked", "ended"]


@virtual_time
async def test_busy_time_delays_the_rest_and_adds_up() -> None:
    node = Node()
    node.later(0.1, "busy", lambda: node.processor.spend(0.5))
    node.later(0.2, "second", lambda: node.processor.spend(0.25))
    node.later(0.3, "third")
    node.later(2.0, "idle again")
    await anyio.sleep(3)
    assert node.ran == [("busy", 0.1), ("second", 0.6), ("third", 0.85), ("idle again", 2.0)]
    assert node.processor.busy_s == 0.75


@virtual_time
async def test_one_nodes_busy_time_delays_no_other_node() -> None:
    busy, other = Node(), Node()
    busy.later(0.1, "busy", lambda: busy.processor.spend(5))
    other.later(0.2, "other")
    await anyio.sleep(1)
    assert other.ran == [("other", 0.2)]


@virtual_time
async def test_a_cancelled_timer_that_was_held_does_not_run() -> None:
    node = Node()
    node.processor.pause(0.2)
    cancelled = node.later(0.1, "cancelled")
    node.later(0.1, "kept")
    await anyio.sleep(0.15)
    cancelled.cancel()
    await anyio.sleep(1)
    assert node.ran == [("kept", 0.2)]


@virtual_time
async def test_tasks_that_a_node_starts_stand_still_with_it() -> None:
    node = Node()
    woke_at_s: list[float] = []

    async def work() -> None:
        async with anyio.create_task_group() as inner:
            inner.start_soon(nap)

    async def nap() -> None:
        await anyio.sleep(1)
        woke_at_s.append(node.loop.time() - START_S)

    async with anyio.create_task_group() as tasks:
        node.processor.context().run(tasks.start_soon, work)
        await anyio.sleep(0.5)
        node.processor.pause(3)
    assert woke_at_s == [3.5]


@virtual_time
async def test_what_belongs_to_the_world_happens_though_its_caller_is_paused() -> None:
    node = Node()
    seen: list[float] = []
    node.later(
        0.1,
        "calls",
        lambda: node.loop.call_in_the_world(0.5, lambda: seen.append(node.loop.time() - START_S)),
    )
    await anyio.sleep(0.2)
    node.processor.pause(1)
    await anyio.sleep(1)
    assert [round(at_s, 6) for at_s in seen] == [0.6]


@virtual_time
async def test_an_error_in_a_callback_that_was_held_is_reported() -> None:
    node = Node()
    reported: list[BaseException | None] = []

    def report(_loop: object, context: dict[str, Any]) -> None:
        reported.append(context.get("exception"))

    def fail() -> None:
        raise ValueError("wrong")

    node.loop.set_exception_handler(report)
    node.processor.pause(0.2)
    node.later(0.1, "fails", fail)
    node.later(0.1, "runs on")
    await anyio.sleep(0.3)
    assert [name for name, _ in node.ran] == ["fails", "runs on"]
    assert isinstance(reported[0], ValueError)


def test_a_task_that_nothing_will_ever_wake_is_a_deadlock() -> None:
    async def main() -> None:
        await anyio.sleep(5)
        await anyio.Event().wait()

    with pytest.raises(DeadlockError):
        run(main)


@virtual_time
async def test_time_moves_on_while_a_cancelled_scope_waits_for_a_shielded_one() -> None:
    loop = running()
    with anyio.CancelScope() as cut_off:
        cut_off.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.25)
    assert 0.25 <= loop.time() - START_S < 0.3


@virtual_time
async def test_of_pauses_that_overlap_the_longest_counts() -> None:
    node = Node()
    node.later(0.5, "step")
    node.processor.pause(3)
    node.processor.pause(1)
    await anyio.sleep(5)
    assert node.ran == [("step", 3.0)]


def order_of_cancellation() -> list[int]:
    ended: list[int] = []

    async def wait(number: int) -> None:
        with anyio.move_on_after(60):
            try:
                await anyio.sleep(60)
            finally:
                ended.append(number)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(wait, number)
            await anyio.sleep(1)
            tasks.cancel_scope.cancel()

    run(main)
    return ended


def test_scopes_are_cancelled_in_the_same_order_in_every_run() -> None:
    first = order_of_cancellation()
    kept = [bytearray(number) for number in range(1, 5_000, 7)]
    assert order_of_cancellation() == first
    assert kept
