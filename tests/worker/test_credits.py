"""The bound on deliveries in flight."""

import anyio
import pytest

from tests.virtual_time import virtual_time
from worker.credits import Credits


@virtual_time
async def test_takes_what_is_free_and_never_waits_for_the_full_number() -> None:
    credits = Credits(12)

    assert await credits.take(10) == 10
    assert await credits.take(10) == 2
    assert credits.used == 12


@virtual_time
async def test_waits_while_nothing_is_free_and_takes_what_comes_back() -> None:
    credits = Credits(5)
    await credits.take(5)
    taken: list[int] = []

    async def take() -> None:
        taken.append(await credits.take(10))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        assert taken == []
        credits.give_back(3)

    assert taken == [3]


@virtual_time
async def test_every_waiter_is_served_once_enough_comes_back() -> None:
    credits = Credits(4)
    await credits.take(4)
    taken: list[int] = []

    async def take() -> None:
        taken.append(await credits.take(1))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        credits.give_back(4)

    assert taken == [1, 1, 1, 1]


@virtual_time
async def test_a_waiter_that_found_nothing_left_is_woken_again() -> None:
    credits = Credits(1)
    await credits.take(1)
    served: list[str] = []

    async def take(name: str) -> None:
        await credits.take(1)
        served.append(name)

    async with anyio.create_task_group() as tasks:
        for name in ("first", "second", "third"):
            tasks.start_soon(take, name)
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()
            credits.give_back(1)

    assert sorted(served) == ["first", "second", "third"]


@virtual_time
async def test_a_cancelled_waiter_takes_nothing() -> None:
    credits = Credits(1)
    await credits.take(1)

    with anyio.move_on_after(5) as scope:
        await credits.take(1)
    credits.give_back(1)

    assert scope.cancelled_caught
    assert credits.used == 0


def test_giving_back_more_than_was_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="1 credits given back, only 0 were taken"):
        Credits(10).give_back(1)


@virtual_time
async def test_once_closed_nothing_is_taken_and_nobody_waits() -> None:
    credits = Credits(1)
    await credits.take(1)
    taken: list[int] = []

    async def take() -> None:
        taken.append(await credits.take(1))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        assert taken == []
        credits.close()

    credits.give_back(1)
    assert await credits.take(1) == 0
    assert taken == [0, 0]
    assert credits.used == 0
