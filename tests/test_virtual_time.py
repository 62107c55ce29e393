"""The virtual clock of the tests itself."""

from time import perf_counter

import anyio
import pytest

from tests import virtual_time as clock
from tests.virtual_time import virtual_time


@virtual_time
async def test_a_long_sleep_ends_immediately_and_on_time() -> None:
    began_s, began_virtually_s = perf_counter(), anyio.current_time()

    await anyio.sleep(3_600)

    assert anyio.current_time() - began_virtually_s == pytest.approx(3_600, abs=1e-6)
    assert perf_counter() - began_s < 5


@virtual_time
async def test_timers_fire_in_the_order_of_their_times() -> None:
    fired: list[int] = []

    async def fire(after_s: int) -> None:
        await anyio.sleep(after_s)
        fired.append(after_s)

    async with anyio.create_task_group() as tasks:
        for after_s in (30, 10, 20):
            tasks.start_soon(fire, after_s)

    assert fired == [10, 20, 30]


@virtual_time
async def test_while_the_loop_is_busy_time_passes_and_nothing_runs() -> None:
    fired: list[str] = []

    async def fire() -> None:
        await anyio.sleep(1)
        fired.append("late")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fire)
        await anyio.sleep(0.5)
        began_s = anyio.current_time()
        clock.block(10)
        assert fired == []
        assert anyio.current_time() - began_s == pytest.approx(10)

    assert fired == ["late"]


def test_a_deadlock_is_an_error_instead_of_a_hang() -> None:
    async def wait_forever() -> None:
        await anyio.Event().wait()

    with pytest.raises(clock.DeadlockError):
        clock.run(wait_forever)
