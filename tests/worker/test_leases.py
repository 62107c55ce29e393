"""The leases: extended at half time, in order of their deadlines, until they are let go."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import anyio
import pytest
from prometheus_client import CollectorRegistry

from aws.errors import Rejected, Transient
from aws.queue import Delivery, VisibilityChange
from tests.virtual_time import virtual_time
from tests.worker.parts import Requests
from worker.leases import Leases
from worker.metrics import WorkerMetrics

LOST = Rejected("sqs", "ChangeMessageVisibilityBatch", "ReceiptHandleIsInvalid", "gone")
AWAY = Transient("sqs", "ChangeMessageVisibilityBatch", "ReadTimeoutError", "no answer")
TIMEOUT_S = 60


@dataclass(slots=True)
class Scene:
    """Leases over a queue that answers as a test says."""

    answer: Callable[[VisibilityChange], Exception | None] = lambda _change: None
    takes_s: float = 0.0
    raises: list[Exception] = field(default_factory=list)
    calls: list[tuple[float, list[str]]] = field(default_factory=list)
    changes: list[VisibilityChange] = field(default_factory=list)
    requests: Requests = field(default_factory=Requests)
    metrics: WorkerMetrics = field(
        default_factory=lambda: WorkerMetrics(CollectorRegistry(), lambda: 0)
    )
    began_s: float = 0.0

    async def change_visibility(
        self, changes: Sequence[VisibilityChange]
    ) -> Sequence[Exception | None]:
        at_s = round(anyio.current_time() - self.began_s, 3)
        self.calls.append((at_s, [change.receipt_handle for change in changes]))
        self.changes += changes
        await anyio.sleep(self.takes_s)
        if self.raises:
            raise self.raises.pop(0)
        return [self.answer(change) for change in changes]

    @asynccontextmanager
    async def running(self, timeout_s: int = TIMEOUT_S) -> AsyncIterator[Leases]:
        self.began_s = anyio.current_time()
        leases = Leases(self.change_visibility, timeout_s, self.metrics)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leases.run)
            yield leases
            tasks.cancel_scope.cancel()

    def deliveries(self, count: int) -> list[Delivery]:
        return [self.requests.delivery(self.requests.request()) for _ in range(count)]

    @property
    def at_s(self) -> list[float]:
        return [at_s for at_s, _ in self.calls]

    def figure(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(name)
        assert value is not None
        return value


def handles(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.receipt_handle for delivery in deliveries]


@virtual_time
async def test_a_lease_is_extended_at_half_time_to_the_full_timeout_again_and_again() -> None:
    scene = Scene()
    async with scene.running() as leases:
        leases.hold(scene.deliveries(1), anyio.current_time())
        await anyio.sleep(29.9)
        assert scene.calls == []
        await anyio.sleep(70.2)

    assert scene.at_s == pytest.approx([30, 60, 90])
    assert {change.timeout_s for change in scene.changes} == {TIMEOUT_S}
    assert scene.figure("worker_lease_extensions_total") == 3


@virtual_time
async def test_the_time_since_the_receive_counts() -> None:
    scene = Scene()
    async with scene.running() as leases:
        leases.hold(scene.deliveries(1), anyio.current_time() - 20)
        await anyio.sleep(11)

    assert scene.at_s == pytest.approx([10])


@virtual_time
async def test_deliveries_of_one_receive_are_extended_together() -> None:
    scene = Scene()
    received = scene.deliveries(10)
    async with scene.running() as leases:
        leases.hold(received, anyio.current_time())
        await anyio.sleep(31)

    assert scene.calls == [(30, handles(received))]
    assert scene.figure("worker_lease_extensions_total") == 10


@virtual_time
async def test_leases_are_extended_in_the_order_of_their_deadlines() -> None:
    scene = Scene()
    early, middle, late = (scene.deliveries(1) for _ in range(3))
    async with scene.running() as leases:
        now = anyio.current_time()
        leases.hold(late, now)
        leases.hold(early, now - 25)
        leases.hold(middle, now - 10)
        await anyio.sleep(31)

    assert scene.calls == [
        (5, handles(early)),
        (20, handles(middle)),
        (30, handles(late)),
    ]


@virtual_time
async def test_a_lease_that_comes_while_a_later_one_is_awaited_is_not_overslept() -> None:
    scene = Scene()
    first, second = scene.deliveries(1), scene.deliveries(1)
    async with scene.running() as leases:
        leases.hold(first, anyio.current_time())
        await anyio.sleep(1)
        leases.hold(second, anyio.current_time() - 29)
        await anyio.sleep(1.5)

    assert scene.calls == [(2, handles(second))]


@virtual_time
async def test_what_is_settled_in_time_costs_no_call() -> None:
    scene = Scene()
    received = scene.deliveries(3)
    async with scene.running() as leases:
        leases.hold(received, anyio.current_time())
        await anyio.sleep(10)
        for delivery in received:
            leases.release(delivery)
        assert leases.held == []
        await anyio.sleep(600)

    assert scene.calls == []


@virtual_time
async def test_only_what_is_still_held_is_extended() -> None:
    scene = Scene()
    kept, settled = scene.deliveries(2)
    async with scene.running() as leases:
        leases.hold([kept, settled], anyio.current_time())
        leases.release(settled)
        assert leases.held == [kept]
        assert (leases.holds(kept), leases.holds(settled)) == (True, False)
        await anyio.sleep(31)

    assert scene.calls == [(30, [kept.receipt_handle])]


@virtual_time
async def test_what_is_let_go_while_its_extension_is_under_way_stays_let_go() -> None:
    """A hand-back lets go first; no later extension may undo its timeout."""
    scene = Scene(takes_s=2)
    (delivery,) = scene.deliveries(1)
    async with scene.running() as leases:
        leases.hold([delivery], anyio.current_time())
        await anyio.sleep(31)
        assert scene.at_s == [30]
        leases.release(delivery)
        await anyio.sleep(600)
        assert leases.held == []

    assert scene.at_s == [30]
    assert scene.figure("worker_lease_extensions_total") == 0


@virtual_time
async def test_a_receipt_that_sqs_no_longer_knows_is_noted_and_extended_no_more() -> None:
    scene = Scene()
    kept, lost = scene.deliveries(2)
    scene.answer = lambda change: LOST if change.receipt_handle == lost.receipt_handle else None
    async with scene.running() as leases:
        leases.hold([kept, lost], anyio.current_time())
        await anyio.sleep(31)
        await anyio.sleep(30)
        # Its place is taken until it is settled, lost or not.
        assert leases.held == [kept, lost]

    assert scene.calls == [(30, handles([kept, lost])), (60, handles([kept]))]
    assert scene.figure("worker_lost_leases_total") == 1
    assert scene.figure("worker_lease_extensions_total") == 2


@virtual_time
async def test_letting_go_of_what_is_not_held_does_nothing() -> None:
    scene = Scene()
    async with scene.running() as leases:
        leases.release(scene.deliveries(1)[0])
        assert leases.held == []


@virtual_time
async def test_a_failed_extension_is_tried_again_at_half_of_what_is_left() -> None:
    scene = Scene(answer=lambda _change: AWAY)
    async with scene.running() as leases:
        leases.hold(scene.deliveries(1), anyio.current_time())
        await anyio.sleep(59)
        scene.answer = lambda _change: None
        await anyio.sleep(0.9)

    # 30 s left, then 15, 7.5, 3.75, …; but not in a rush.
    assert scene.at_s[:5] == pytest.approx([30, 45, 52.5, 56.25, 58.125])
    assert scene.at_s[-1] < 60
    assert scene.figure("worker_lease_extensions_total") == 1


@virtual_time
async def test_a_queue_that_stays_down_is_not_asked_in_a_rush() -> None:
    scene = Scene(answer=lambda _change: AWAY)
    async with scene.running() as leases:
        leases.hold(scene.deliveries(1), anyio.current_time())
        await anyio.sleep(70)

    assert all(later - earlier >= 0.499 for earlier, later in pairwise(scene.at_s))
    assert 25 <= len(scene.calls) <= 30


@virtual_time
async def test_an_unforeseen_error_ends_no_lease() -> None:
    scene = Scene(raises=[RuntimeError("nobody foresaw")])
    (delivery,) = scene.deliveries(1)
    async with scene.running() as leases:
        leases.hold([delivery], anyio.current_time())
        await anyio.sleep(46)
        assert leases.held == [delivery]

    assert scene.at_s == pytest.approx([30, 45])
    assert scene.figure("worker_lease_extensions_total") == 1


@virtual_time
async def test_a_call_that_hangs_keeps_no_other_lease_from_being_extended() -> None:
    scene = Scene(takes_s=3_600)
    first, second = scene.deliveries(1), scene.deliveries(1)
    async with scene.running() as leases:
        leases.hold(first, anyio.current_time())
        leases.hold(second, anyio.current_time() + 1)
        await anyio.sleep(32)

    assert scene.calls == [(30, handles(first)), (31, handles(second))]


@virtual_time
async def test_a_slow_extension_counts_from_when_it_was_asked_for() -> None:
    scene = Scene(takes_s=5)
    async with scene.running() as leases:
        leases.hold(scene.deliveries(1), anyio.current_time())
        await anyio.sleep(91)

    assert scene.at_s == pytest.approx([30, 60, 90])


@virtual_time
async def test_a_timeout_of_a_second_is_still_extended_in_time() -> None:
    scene = Scene()
    async with scene.running(timeout_s=1) as leases:
        leases.hold(scene.deliveries(1), anyio.current_time())
        await anyio.sleep(2.1)

    assert scene.at_s == pytest.approx([0.5, 1.0, 1.5, 2.0])
