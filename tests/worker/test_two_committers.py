"""Two workers over one table, whatever goes wrong and whenever: exactly N (domain §4)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schema.items import RequestItem
from schema.states import EventType, Status
from tests import virtual_time
from tests.worker.fakes import Clock, FakeTable, Fault, Requests, parts_of
from worker import retry
from worker.commit import Committer
from worker.decide import Candidate
from worker.results import BatchResult

WORKERS = ("w1", "w2")
faults = st.dictionaries(
    st.sampled_from(["load", "take_seats", "write"]),
    st.lists(st.sampled_from(Fault), max_size=4),
    max_size=3,
)
kinds = st.sampled_from([EventType.FIRST_COME] * 4 + [EventType.LOTTERY])
statuses = st.sampled_from([Status.QUEUED, Status.QUEUED, Status.RECEIVED, Status.PROCESSING])


class TwoCommitters(RuleBasedStateMachine):
    """Requests come, and their messages reach one worker, the other, or both, again and again.

    The table checks after every write that seats left are seats in total without the winners.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = FakeTable()
        self.clocks = {worker: Clock(step_ms=1) for worker in WORKERS}
        self.committers = {
            worker: Committer(parts_of(table=self.table, clock=clock, worker_id=worker))
            for worker, clock in self.clocks.items()
        }
        self.requests = {"e1": Requests("e1"), "e2": Requests("e2")}
        self.final: dict[str, RequestItem] = {}
        self.ours: dict[str, str] = {}

    @initialize(seats=st.tuples(st.integers(0, 5), st.integers(0, 3)))
    def open_events(self, seats: tuple[int, int]) -> None:
        """Two events, with few seats."""
        self.seats = dict(zip(self.requests, seats, strict=True))
        for event_id, count in self.seats.items():
            self.table.create(event_id, count)

    @rule(event_id=st.sampled_from(["e1", "e1", "e2"]), kind=kinds, status=statuses)
    def click(self, event_id: str, kind: EventType, status: Status) -> None:
        """One more request is stored."""
        queued_at = {"queued_at_ms": None} if status is Status.RECEIVED else {}
        item = self.requests[event_id].request(event_type=kind, status=status, **queued_at)
        self.table.requests[item.request_id] = item

    @rule(
        data=st.data(),
        faults=faults,
        late_s=st.sampled_from([0.0, 0.01, 0.05]),
        takes_s=st.sampled_from([0.0, 0.01, 0.04]),
        from_dlq=st.booleans(),
    )
    def deliver(
        self,
        data: st.DataObject,
        faults: dict[str, list[Fault]],
        late_s: float,
        takes_s: float,
        *,
        from_dlq: bool,
    ) -> None:
        """Messages reach both workers, some of them both, while AWS has its troubles."""
        if not self.table.requests:
            return
        ids = st.lists(st.sampled_from(sorted(self.table.requests)), max_size=6)
        one, other = data.draw(ids), data.draw(ids)
        self.table.faults = {name: list(some) for name, some in faults.items()}
        self.table.takes_s = takes_s
        found = virtual_time.run(
            partial(self._race, (one, other), late_s=late_s, from_dlq=from_dlq)
        )
        for worker, ids_, outcomes in zip(WORKERS, (one, other), found, strict=True):
            self._judge(worker, ids_, outcomes)

    @invariant()
    def what_is_final_stays_as_it_is(self) -> None:
        """Field by field, whoever delivers it again."""
        for request_id, item in self.final.items():
            assert self.table.requests[request_id] == item
        self.final = {
            request_id: item
            for request_id, item in self.table.requests.items()
            if item.status.is_final
        }

    @invariant()
    def times_are_in_order_and_index_keys_complete(self) -> None:
        """Of every decided request, a worker's final failure included."""
        for item in self.final.values():
            assert item.queued_at_ms is not None
            assert item.started_at_ms is not None
            assert item.finished_at_ms is not None
            assert item.queued_at_ms <= item.started_at_ms <= item.finished_at_ms
            assert item.worker_id in WORKERS

    def teardown(self) -> None:
        """In the end AWS works: every request is decided, and every seat that can be is taken."""
        self.table.faults = {}
        undecided = [n for n, item in self.table.requests.items() if not item.status.is_final]
        if undecided:
            virtual_time.run(self._race, (undecided, []))
        self.what_is_final_stays_as_it_is()
        assert len(self.final) == len(self.table.requests)
        for event_id, seats in getattr(self, "seats", {}).items():
            first_come = [
                item
                for item in self.final.values()
                if item.event_id == event_id and item.event_type == EventType.FIRST_COME
            ]
            winners = [item for item in first_come if item.status is Status.SUCCEEDED]
            given_up = [item for item in first_come if item.status is Status.FAILED_FINAL]
            assert len(winners) == min(seats, len(first_come) - len(given_up))
            assert self.table.seats_left(event_id) == seats - len(winners)

    async def _race(
        self,
        deliveries: tuple[Sequence[str], Sequence[str]],
        *,
        late_s: float = 0.0,
        from_dlq: bool = False,
    ) -> list[BatchResult]:
        found: dict[str, BatchResult] = {}

        async def decide(worker: str, ids: Sequence[str], after_s: float) -> None:
            await anyio.sleep(after_s)
            batch = self._candidates(ids, from_dlq=from_dlq)
            found[worker] = await retry.decide_batch(
                self.committers[worker], batch, self.clocks[worker]()
            )

        async with anyio.create_task_group() as tasks:
            for worker, ids, after_s in zip(WORKERS, deliveries, (0.0, late_s), strict=True):
                tasks.start_soon(decide, worker, ids, after_s)
        return [found[worker] for worker in WORKERS]

    def _candidates(self, ids: Sequence[str], **delivery: Any) -> list[Candidate]:
        candidates: dict[str, Candidate] = {}
        for request_id in ids:
            item = self.table.requests[request_id]
            new = self.requests[item.event_id].candidate(item, **delivery)
            known = candidates.setdefault(request_id, new)
            if known is not new:
                both = (*known.deliveries, *new.deliveries)
                candidates[request_id] = replace(known, deliveries=both)
        return list(candidates.values())

    def _judge(self, worker: str, ids: Sequence[str], outcomes: BatchResult) -> None:
        """Every delivery has one outcome; what is said to be decided is what the table holds."""
        settled = [d for entry in outcomes.decided for d in entry.deliveries]
        put_off = [d for entry in outcomes.undecided for d in entry.candidate.deliveries]
        assert len(settled) + len(put_off) == len(ids)
        assert len({d.receipt_handle for d in (*settled, *put_off)}) == len(ids)
        assert not outcomes.defective
        for decided in outcomes.decided:
            stored = self.table.requests[decided.item.request_id]
            assert decided.item == stored
            if decided.by_this_worker:
                assert stored.worker_id == worker
                assert self.ours.setdefault(stored.request_id, worker) == worker


TestTwoCommitters = TwoCommitters.TestCase
TestTwoCommitters.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
