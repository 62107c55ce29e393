"""Watching an event's seats: a change is seen by whichever look comes first."""

import anyio
import pytest

from aws.errors import Transient
from schema.items import Capacity
from tests.aws.model import Aws
from tests.aws.wire import THROTTLED
from tests.virtual_time import virtual_time
from worker.watch import Watch


class Seats:
    """An event's seats, read in 40 ms."""

    def __init__(self) -> None:
        self.aws = Aws()
        self.aws.create("e1", 9)
        self.aws.wire.each_way_s = {"BatchGetItem": 0.02}

    async def sell_after(self, seconds: float) -> None:
        """Let somebody take a seat."""
        await anyio.sleep(seconds)
        item = Capacity(event_id="e1", total=9, remaining=8).to_item()
        self.aws.cloud.table.seed(item)

    async def change(self, sold_after_s: float, looks_under_way: int) -> tuple[Capacity, float]:
        """What is found, and when."""
        seen = await self.aws.straight.capacity("e1")
        began_s = anyio.current_time()
        async with anyio.create_task_group() as tasks, anyio.create_task_group() as looks:
            tasks.start_soon(self.sell_after, sold_after_s)
            found = await Watch(self.aws.table, "e1", seen).change(looks, looks_under_way)
            took_s = anyio.current_time() - began_s
        assert found is not None
        return found, took_s


@virtual_time
@pytest.mark.parametrize(("looks_under_way", "seen_after_s"), [(1, 0.080), (4, 0.041)])
async def test_of_several_looks_the_first_that_comes_after_the_change_finds_it(
    looks_under_way: int, seen_after_s: float
) -> None:
    # The first look reads after 20 ms, the second one a millisecond later.
    found, took_s = await Seats().change(0.0205, looks_under_way)

    assert found.remaining == 8
    assert took_s == pytest.approx(seen_after_s, abs=1e-6)


@virtual_time
async def test_what_does_not_change_is_returned_as_it_is_after_a_moment() -> None:
    seats = Seats()

    found, took_s = await seats.change(9.0, 4)

    assert found.remaining == 9
    assert took_s == pytest.approx(0.080, abs=1e-6)
    assert seats.aws.wire.under_way["BatchGetItem"] == 0


@virtual_time
async def test_a_look_that_the_table_has_no_units_for_is_reported() -> None:
    seats = Seats()
    seats.aws.wire.faults["BatchGetItem"] = iter([None, THROTTLED])

    seen = await seats.aws.straight.capacity("e1")
    async with anyio.create_task_group() as looks:
        with pytest.raises(Transient, match="slow down"):
            await Watch(seats.aws.table, "e1", seen).change(looks, 2)
