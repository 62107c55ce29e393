"""Keeps received messages invisible to others from their receive until their confirmed delete."""

import heapq
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import anyio
import structlog

from aws.queue import Delivery, VisibilityChange, is_lost_handle
from worker.metrics import WorkerMetrics

ChangeVisibility = Callable[[Sequence[VisibilityChange]], Awaitable[Sequence[Exception | None]]]

log = structlog.get_logger("leases")


@dataclass(order=True, slots=True)
class _Lease:
    """The deliveries of one receive: they run out together and are extended together."""

    due: float
    number: int
    runs_out: float = field(compare=False)
    live: dict[str, Delivery] = field(compare=False)


class Leases:
    """Extends visibility at half of the time left, ordered by deadline, in one task.

    Deliveries are kept by receive, as they share their deadline: a message that is settled in
    time costs one dictionary entry and no call.
    """

    def __init__(
        self,
        change_visibility: ChangeVisibility,
        timeout_s: int,
        metrics: WorkerMetrics,
    ) -> None:
        self._change_visibility = change_visibility
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._heap: list[_Lease] = []
        self._by_handle: dict[str, _Lease] = {}
        self._numbers = count()
        self._changed = anyio.Event()

    def hold(self, deliveries: Sequence[Delivery], since: float) -> None:
        """Keep deliveries whose visibility timeout began at `since` (event loop time)."""
        lease = _Lease(
            due=since + self._timeout_s / 2,
            number=next(self._numbers),
            runs_out=since + self._timeout_s,
            live={delivery.receipt_handle: delivery for delivery in deliveries},
        )
        for handle in lease.live:
            self._by_handle[handle] = lease
        heapq.heappush(self._heap, lease)
        if self._heap[0] is lease:
            self._changed.set()

    def release(self, delivery: Delivery) -> None:
        """Let go of a delivery: it is deleted, or its visibility was set for the last time."""
        handle = delivery.receipt_handle
        lease = self._by_handle.pop(handle, None)
        if lease is not None:
            lease.live.pop(handle, None)

    def holds(self, delivery: Delivery) -> bool:
        """Whether a delivery is kept."""
        return delivery.receipt_handle in self._by_handle

    @property
    def held(self) -> list[Delivery]:
        """All deliveries that are kept at the moment."""
        return [lease.live[handle] for handle, lease in self._by_handle.items()]

    async def run(self) -> None:
        """Extend what is about to run out; to be cancelled once nothing is held."""
        async with anyio.create_task_group() as tasks:
            while True:
                while self._heap and not self._heap[0].live:
                    heapq.heappop(self._heap)
                self._changed = anyio.Event()
                deadline = self._heap[0].due if self._heap else float("inf")
                if anyio.current_time() < deadline:
                    with anyio.CancelScope(deadline=deadline):
                        await self._changed.wait()
                    continue
                # A hanging call must not keep the next lease from being extended.
                tasks.start_soon(self._extend, heapq.heappop(self._heap))

    async def _extend(self, lease: _Lease) -> None:
        deliveries = list(lease.live.values())
        since = anyio.current_time()
        results: Sequence[Exception | None]
        try:
            results = await self._change_visibility(
                [VisibilityChange(d.receipt_handle, self._timeout_s) for d in deliveries]
            )
        except Exception as unforeseen:  # noqa: BLE001 - a lease that can't be extended is tried again
            results = [unforeseen] * len(deliveries)
        extended: dict[str, Delivery] = {}
        failed: dict[str, Delivery] = {}
        for delivery, error in zip(deliveries, results, strict=True):
            if delivery.receipt_handle not in lease.live:
                continue
            if error is None:
                extended[delivery.receipt_handle] = delivery
            elif is_lost_handle(error):
                self._lost(delivery)
            else:
                failed[delivery.receipt_handle] = delivery
                log.warning(
                    "lease_extension_failed", message_id=delivery.message_id, error=str(error)
                )
        self._metrics.lease_extensions.inc(len(extended))
        now = anyio.current_time()
        self._renew(extended, since + self._timeout_s / 2, since + self._timeout_s)
        # What could not be extended is tried again at half of what is left, but not in a rush.
        self._renew(failed, now + max(0.5, (lease.runs_out - now) / 2), lease.runs_out)

    def _renew(self, deliveries: dict[str, Delivery], due: float, runs_out: float) -> None:
        if not deliveries:
            return
        lease = _Lease(due, next(self._numbers), runs_out, deliveries)
        for handle in deliveries:
            self._by_handle[handle] = lease
        heapq.heappush(self._heap, lease)
        self._changed.set()

    def _lost(self, delivery: Delivery) -> None:
        """No longer extended, but kept until it is settled: its place is still taken."""
        self._metrics.lost_leases.inc()
        log.warning("lease_lost", message_id=delivery.message_id, attempt=delivery.attempt)
