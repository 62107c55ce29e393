"""Turns of several workers: the last seats go in order, and who is gone is not waited for."""

from collections.abc import Sequence
from itertools import chain, count, repeat

import anyio
import pytest

from aws.errors import Fatal, Transient
from schema.attributes import encode
from schema.items import Capacity, RequestItem
from schema.states import Status
from tests.aws.model import NOW_MS, Aws
from tests.aws.wire import Call
from tests.virtual_time import virtual_time
from tests.worker.parts import Requests, parts_of, total
from worker import line, retry
from worker.commit import Committer
from worker.turn import Turn


class Workers:
    """Workers on one table."""

    def __init__(self, count: int, seats: int) -> None:
        self.aws = Aws()
        self.aws.create("e1", seats)
        calls = ("TransactWriteItems", "UpdateItem", "BatchGetItem")
        self.aws.wire.each_way_s = dict.fromkeys(calls, 0.003)
        self.requests = Requests()
        self.committers = [
            Committer(parts_of(self.aws, worker_id=f"w{number}")) for number in range(count)
        ]

    def stored(self, count: int) -> list[RequestItem]:
        """Store requests, the oldest first."""
        items = [self.requests.request() for _ in range(count)]
        self.aws.store(*items)
        return items

    async def decide(self, worker: int, items: Sequence[RequestItem], after_s: float = 0.0) -> None:
        """Have a worker decide a batch."""
        await anyio.sleep(after_s)
        batch = [self.requests.candidate(item) for item in items]
        with anyio.fail_after(60):
            await total(retry.decide_batch(self.committers[worker], batch, NOW_MS))
        self.aws.check()

    def winners(self, items: Sequence[RequestItem]) -> list[bool]:
        """Who of them has a seat."""
        stored = self.aws.requests
        return [stored[item.request_id].status is Status.SUCCEEDED for item in items]


@virtual_time
async def test_the_last_seats_go_to_the_oldest_whichever_worker_has_them() -> None:
    workers = Workers(3, seats=60)
    items = workers.stored(153)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workers.decide, 0, items[:3])
        for number in range(3):
            # While the first transaction is under way; mixed, so that each has every third.
            tasks.start_soon(workers.decide, number, items[3 + number :: 3], 0.01)

    assert workers.winners(items) == [True] * 60 + [False] * 93


@virtual_time
async def test_a_seller_that_is_gone_and_its_line_are_waited_for_once() -> None:
    workers = Workers(1, seats=5)
    gone = Capacity(event_id="e1", total=5, remaining=5, updated_at_ms=7, seller="gone")
    item = gone.to_item() | {"line_next": encode("5"), "line_last": encode("9 1")}
    workers.aws.cloud.table.seed(item)
    began_s = anyio.current_time()

    await workers.decide(0, workers.stored(2))

    assert 1 <= anyio.current_time() - began_s < 2
    left = await workers.aws.straight.capacity("e1")
    assert left is not None
    assert (left.remaining, left.seller, left.line) == (3, None, {})


@virtual_time
async def test_the_turn_goes_by_name_to_whoever_is_first_in_line() -> None:
    workers = Workers(1, seats=9)
    held = Capacity(event_id="e1", total=9, remaining=9)
    places = {"line_younger": encode("a"), "line_older": encode("9")}
    workers.aws.cloud.table.seed(held.to_item() | places)
    sellers: list[str | None] = []

    async def look() -> None:
        await anyio.sleep(0.5)
        capacity = await workers.aws.straight.capacity("e1")
        assert capacity is not None
        sellers.append(capacity.seller)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        tasks.start_soon(workers.decide, 0, workers.stored(1))

    assert sellers == ["older"]


@virtual_time
@pytest.mark.parametrize("first", [1, 2])
async def test_whoever_receives_older_requests_while_it_waits_shows_them(first: int) -> None:
    """Older than all that it has shown, or than some of them."""
    workers = Workers(2, seats=30)
    items = workers.stored(70)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workers.decide, 0, items[:1])
        tasks.start_soon(workers.decide, 0, items[11:60], 0.001)
        tasks.start_soon(workers.decide, 1, items[1:first] + items[60:], 0.002)
        tasks.start_soon(workers.decide, 1, items[first:11], 0.01)

    assert workers.winners(items) == [True] * 30 + [False] * 40


@virtual_time
@pytest.mark.parametrize(
    ("mine", "other", "goes_on"),
    [
        pytest.param(200, [109] * 100, False, id="ten that are older wait for their seats"),
        pytest.param(200, [150] * 99 + [199], True, id="it can fill a transaction"),
        pytest.param(129, [150] * 100, True, id="it would be first in line"),
    ],
)
async def test_a_worker_goes_on_where_it_fills_a_transaction_or_would_be_first(
    mine: int, other: Sequence[int], *, goes_on: bool
) -> None:
    """After a full transaction; another's requests are as old as these of our items."""
    workers = Workers(1, seats=500)
    items = workers.stored(200)
    place = line.text([items[number].queued_at_ms or 0 for number in other])
    held = Capacity(event_id="e1", total=500, remaining=500).to_item()
    workers.aws.cloud.table.seed(held | {"line_other": encode(place)})

    await workers.decide(0, items[:mine])

    first, second = workers.aws.wire.calls_of("TransactWriteItems")[:2]
    # The other is gone, which takes a second to find out.
    assert (second.at_s - first.at_s < 1) is goes_on
    values = first.parameters["TransactItems"][0]["Update"]["ExpressionAttributeValues"]
    assert (values[":seller"] != encode("other")) is goes_on


@virtual_time
async def test_more_names_than_one_expression_holds_keep_no_seat_back() -> None:
    workers = Workers(1, seats=5)
    held = Capacity(event_id="e1", total=5, remaining=5)
    places = {f"line_{n:016x}": encode(f"{NOW_MS + 10**6:x}") for n in range(400)}
    workers.aws.cloud.table.seed(held.to_item() | places)

    items = workers.stored(12)
    await workers.decide(0, items)

    assert workers.winners(items) == [True] * 5 + [False] * 7


@virtual_time
async def test_a_look_that_hangs_does_not_hold_up_what_is_sold() -> None:
    workers = Workers(1, seats=500)
    workers.aws.wire.each_way_s["BatchGetItem"] = 2.0
    began_s = anyio.current_time()

    await workers.decide(0, workers.stored(150))

    # The requests are read in two calls, which take four seconds each.
    assert 8 <= anyio.current_time() - began_s < 9


@virtual_time
async def test_a_look_that_is_not_allowed_leaves_the_transaction_beside_it_alone() -> None:
    workers = Workers(1, seats=500)
    items = workers.stored(150)
    denied = Fatal("dynamodb", "BatchGetItem", "AccessDeniedException", "no")
    # The requests are read in two calls.
    workers.aws.wire.faults["BatchGetItem"] = chain([None, None], repeat(denied))

    await workers.decide(0, items)

    assert workers.aws.wire.asked["TransactWriteItems"] == 2


@virtual_time
async def test_a_seller_that_never_passes_the_turn_is_waited_for_once() -> None:
    workers = Workers(1, seats=500)
    is_over = anyio.Event()

    async def sell_on() -> None:
        """As a worker of an earlier version does, or one whose clock stands still."""
        left = 500
        while not is_over.is_set():
            left -= 1
            item = Capacity(
                event_id="e1",
                total=left,
                remaining=left,
                updated_at_ms=NOW_MS + 500 - left,
                seller="another",
            )
            workers.aws.cloud.table.seed(item.to_item())
            await anyio.sleep(0.3)

    began_s = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sell_on)
        items = workers.stored(2)
        batch = [workers.requests.candidate(item) for item in items]
        with anyio.fail_after(60):
            await total(retry.decide_batch(workers.committers[0], batch, NOW_MS))
        is_over.set()

    assert workers.winners(items) == [True, True]
    assert 5 <= anyio.current_time() - began_s < 8


class Others:
    """Workers that sell and stand in line, on a table of their own."""

    def __init__(self, in_line: int = 0, seats: int = 90_000, first_ms: int = 10**6) -> None:
        self.workers = Workers(1, seats=seats)
        self._seats = seats
        place = encode(f"{NOW_MS + first_ms:x}")
        self._places = {f"line_{n:016x}": place for n in range(in_line)}
        self._commits = count()

    def sell(self, seller: str | None) -> None:
        """Commit something; None passes the turn to nobody."""
        number = next(self._commits)
        item = Capacity(
            event_id="e1",
            total=self._seats - number,
            remaining=self._seats - number,
            updated_at_ms=NOW_MS + number,
            seller=seller,
        )
        self.workers.aws.cloud.table.seed(item.to_item() | self._places)

    async def sell_on(self, seller: str, seconds: float) -> None:
        """Sell so long, and never pass the turn."""
        for _ in range(round(seconds / 0.1)):
            self.sell(seller)
            await anyio.sleep(0.1)


@virtual_time
@pytest.mark.parametrize(("in_line", "looks"), [(0, 4), (30, 3), (120, 1)])
async def test_the_first_in_line_has_looks_under_way_and_fewer_in_a_long_line(
    in_line: int, looks: int
) -> None:
    others = Others(in_line)
    others.sell("another")
    aws = others.workers.aws

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others.workers.decide, 0, others.workers.stored(2))
        await others.sell_on("another", 1.0)
        most = aws.wire.most_under_way["BatchGetItem"]
        others.sell(None)

    assert most == looks


@virtual_time
@pytest.mark.parametrize(("seats", "shown"), [(90_000, 1), (20_000, 3), (500, 3)])
async def test_a_place_shows_in_time_what_the_order_of_the_last_seats_needs(
    seats: int, shown: int
) -> None:
    others = Others(seats=seats)
    others.sell("another")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others.workers.decide, 0, others.workers.stored(3))
        await anyio.sleep(0.1)
        others.sell(None)

    (lined_up,) = filter(_shows, others.workers.aws.wire.calls_of("UpdateItem"))
    place = lined_up.parameters["ExpressionAttributeValues"][":place"]["S"]
    assert len(place.split()) == shown


@virtual_time
async def test_older_requests_are_shown_soon_in_a_long_line_beside_transactions() -> None:
    others = Others(in_line=20, seats=500, first_ms=-(10**6))
    others.sell("another")
    workers, wire = others.workers, others.workers.aws.wire
    items = workers.stored(3)
    conflict = Transient("dynamodb", "UpdateItem", "TransactionConflictException", "under way")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workers.decide, 0, items[2:])
        await anyio.sleep(0.1)
        wire.faults["UpdateItem"] = chain([conflict] * 4, repeat(None))
        tasks.start_soon(workers.decide, 0, items[:2])
        await anyio.sleep(0.4)
        others.sell(None)

    _, *again = [call.at_s for call in wire.calls_of("UpdateItem") if _shows(call)]
    assert again[4] - again[0] < 0.2


@virtual_time
async def test_an_older_request_is_shown_where_most_of_the_place_has_been_sold_meanwhile() -> None:
    others = Others(seats=500)
    others.sell("another")
    aws = others.workers.aws
    mine = [*range(NOW_MS, NOW_MS + 100)]

    async def wait() -> None:
        async with Turn(parts_of(aws), "e1").taken(lambda: mine):
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.sleep(0.1)
        mine[:] = [NOW_MS - 5, NOW_MS + 99]
        await anyio.sleep(0.1)
        others.sell(None)

    _, again = filter(_shows, aws.wire.calls_of("UpdateItem"))
    place = again.parameters["ExpressionAttributeValues"][":place"]["S"]
    assert place == line.text([NOW_MS - 5, NOW_MS + 99])


def _shows(call: Call) -> bool:
    return ":place" in call.parameters["ExpressionAttributeValues"]


@virtual_time
async def test_looks_that_hang_do_not_hold_up_who_has_the_turn() -> None:
    others = Others()
    others.sell("another")
    wire = others.workers.aws.wire
    began_s = anyio.current_time()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others.workers.decide, 0, others.workers.stored(2))
        while wire.under_way["BatchGetItem"] < 4:  # noqa: ASYNC110 - the wire has no event for it
            await anyio.sleep(0.0001)
        # The looks that begin from now on hang; one that has not arrived sees the turn free.
        wire.each_way_s["BatchGetItem"] = 20.0
        others.sell(None)

    assert wire.asked["TransactWriteItems"] == 1
    assert anyio.current_time() - began_s < 1


@virtual_time
async def test_patience_begins_anew_with_each_seller() -> None:
    others = Others()
    others.sell("first")
    began_s = anyio.current_time()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others.workers.decide, 0, others.workers.stored(2))
        for seller in ("first", "second", "third"):
            await others.sell_on(seller, 3.0)
        others.sell(None)

    (sold,) = others.workers.aws.wire.calls_of("TransactWriteItems")
    assert 9 <= sold.at_s - began_s < 10


@virtual_time
async def test_what_fails_in_a_turn_fails_as_it_is() -> None:
    workers = Workers(1, seats=5)

    with pytest.raises(ValueError, match="in its turn"):
        async with Turn(parts_of(workers.aws), "e1").taken(lambda: [NOW_MS]):
            raise ValueError("in its turn")
