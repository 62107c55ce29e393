"""The processors: full batches, nothing lost, nothing twice, one poison message alone."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import anyio
import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aws.errors import Fatal
from aws.queue import Delivery
from schema.message import DefectReason
from schema.states import Status
from tests import virtual_time as clock
from tests.aws.model import NOW_MS, Aws
from tests.aws.wire import INVALID
from tests.virtual_time import virtual_time
from tests.worker.parts import Requests, parts_of, sample, total
from worker.commit import Committer
from worker.decide import Candidate
from worker.inbox import Inbox
from worker.parts import Parts
from worker.process import Processing
from worker.results import BatchResult, Decided
from worker.settle import Settler

Deciding = Callable[[Sequence[Candidate]], Awaitable[None]]


class RecordingSettler(Settler):
    """Remembers what it is given."""

    def __init__(self) -> None:
        self.settled: list[BatchResult] = []
        self.returned: list[Delivery] = []

    async def settle(self, result: BatchResult) -> None:
        """Remember a batch."""
        self.settled.append(result)

    async def return_now(self, deliveries: Sequence[Delivery]) -> None:
        """Remember deliveries that go back."""
        self.returned += deliveries


class FakeCommitter(Committer):
    """Decides everybody: how deliveries become batches does not depend on what is decided."""

    def __init__(self, parts: Parts, deciding: Deciding | None = None) -> None:
        super().__init__(parts)
        self.batches: list[list[Candidate]] = []
        self.under_way = 0
        self.most_under_way = 0
        self._deciding = deciding

    async def attempt(
        self,
        batch: Sequence[Candidate],
        started_at_ms: int,  # noqa: ARG002
    ) -> AsyncIterator[BatchResult]:
        """Remember the batch, do as the test says, and call every candidate decided."""
        self.batches.append(list(batch))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self._deciding is not None:
                await self._deciding(batch)
        finally:
            self.under_way -= 1
        item = Requests().request(status=Status.SUCCEEDED)
        yield BatchResult([Decided(c.deliveries, item, by_this_worker=True) for c in batch])


@dataclass(slots=True)
class Scene:
    """Processors over an inbox that the test feeds."""

    parts: Parts
    deciding: Deciding | None = None
    settler: RecordingSettler = field(default_factory=RecordingSettler)
    requests: Requests = field(default_factory=Requests)
    committer: FakeCommitter = field(init=False)

    def __post_init__(self) -> None:
        self.committer = FakeCommitter(self.parts, self.deciding)

    @property
    def processing(self) -> Processing:
        """The processors."""
        return Processing(self.parts, self.committer, self.settler, self.parts.settings.processors)

    def deliveries(self, count: int) -> list[Delivery]:
        """Deliveries of requests of their own."""
        return [self.requests.delivery(self.requests.request()) for _ in range(count)]

    async def run(self, feed: Callable[[Inbox], Awaitable[None]]) -> None:
        """Run the processors while the test feeds them, until the inbox's end."""
        inbox = Inbox()
        async with anyio.create_task_group() as settling, anyio.create_task_group() as working:
            working.start_soon(self.processing.run, inbox, settling)
            await feed(inbox)
            inbox.close()
            # The parts' stop ends the task that waits for it.
            self.parts.stop.request()

    @property
    def processed(self) -> list[str]:
        """Receipts of all deliveries that were processed, in order."""
        return [
            delivery.receipt_handle
            for result in self.settler.settled
            for entry in result.decided
            for delivery in entry.deliveries
        ]


def receipts(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.receipt_handle for delivery in deliveries]


def scene(deciding: Deciding | None = None, **changes: Any) -> Scene:
    given: dict[str, Any] = {"processors": 1, "batch_max_messages": 10, "batch_linger_ms": 20}
    return Scene(parts_of(**given | changes), deciding)


async def slowly(_batch: Sequence[Candidate]) -> None:
    await anyio.sleep(1)


def sizes(scene: Scene) -> list[int]:
    return [len(batch) for batch in scene.committer.batches]


@virtual_time
async def test_a_full_batch_is_processed_immediately() -> None:
    here = scene(batch_linger_ms=10_000)

    async def feed(inbox: Inbox) -> None:
        began_s = anyio.current_time()
        inbox.put(here.deliveries(4))
        inbox.put(here.deliveries(6))
        await anyio.wait_all_tasks_blocked()
        assert sizes(here) == [10]
        assert anyio.current_time() - began_s < 1

    await here.run(feed)


@virtual_time
async def test_a_lone_delivery_waits_for_nobody_and_others_no_longer_than_the_linger() -> None:
    here = scene(slowly, processors=2, batch_linger_ms=20)

    async def feed(inbox: Inbox) -> None:
        inbox.put(here.deliveries(1))
        await anyio.wait_all_tasks_blocked()
        assert sizes(here) == [1]
        inbox.put(here.deliveries(1))
        await anyio.sleep(0.015)
        inbox.put(here.deliveries(2))
        await anyio.sleep(0.004)
        assert sizes(here) == [1]
        await anyio.sleep(0.002)
        assert sizes(here) == [1, 3]

    await here.run(feed)

    linger = {"stage": "process", "trigger": "linger"}
    assert sample(here.parts, "worker_batch_flushes_total", **linger) == 2


@virtual_time
async def test_what_does_not_fit_comes_first_in_the_next_batch() -> None:
    here = scene(batch_max_messages=4)
    sent = here.deliveries(10)

    async def feed(inbox: Inbox) -> None:
        inbox.put(sent)
        await anyio.sleep(1)

    await here.run(feed)

    assert sizes(here) == [4, 4, 2]
    assert here.processed == receipts(sent)


@virtual_time
async def test_batches_are_processed_concurrently_by_as_many_processors_as_there_are() -> None:
    async def slowly(_batch: Sequence[Candidate]) -> None:
        await anyio.sleep(1)

    here = scene(slowly, processors=3, batch_max_messages=2)

    async def feed(inbox: Inbox) -> None:
        inbox.put(here.deliveries(10))
        await anyio.sleep(0.5)
        assert sample(here.parts, "worker_busy_processors") == 3
        await anyio.sleep(5)

    await here.run(feed)

    assert here.committer.most_under_way == 3
    assert len(here.processed) == 10
    assert sample(here.parts, "worker_busy_processors") == 0


@virtual_time
async def test_the_end_of_the_inbox_flushes_what_lingers() -> None:
    here = scene(slowly, processors=2, batch_linger_ms=10_000)

    async def feed(inbox: Inbox) -> None:
        inbox.put(here.deliveries(1))
        await anyio.wait_all_tasks_blocked()
        inbox.put(here.deliveries(3))
        await anyio.wait_all_tasks_blocked()
        assert sizes(here) == [1]
        inbox.close()
        await anyio.wait_all_tasks_blocked()

    await here.run(feed)

    assert sizes(here) == [1, 3]


@virtual_time
async def test_after_a_stop_a_started_batch_is_finished_and_the_rest_goes_back() -> None:
    async def slowly(_batch: Sequence[Candidate]) -> None:
        await anyio.sleep(1)

    here = scene(slowly, batch_max_messages=2)
    sent = here.deliveries(6)

    async def feed(inbox: Inbox) -> None:
        inbox.put(sent[:3])
        inbox.put(sent[3:])
        await anyio.sleep(0.5)
        here.parts.stop.request()
        await anyio.sleep(0.1)
        # Our own poll under way would take it again.
        assert here.settler.returned == []
        inbox.close()
        await anyio.sleep(0.1)
        # Though the only processor is busy, what waits has gone back with the end of the polls.
        assert sorted(receipts(here.settler.returned)) == sorted(receipts(sent[2:]))

    await here.run(feed)

    assert here.processed == receipts(sent[:2])
    assert sorted(receipts(here.settler.returned)) == sorted(receipts(sent[2:]))


@virtual_time
async def test_a_stop_while_a_rest_lingers_gives_it_back_once() -> None:
    here = scene(slowly, processors=2, batch_max_messages=2, batch_linger_ms=10_000)
    sent = here.deliveries(3)

    async def feed(inbox: Inbox) -> None:
        inbox.put(sent)
        await anyio.wait_all_tasks_blocked()
        assert sizes(here) == [2]
        here.parts.stop.request()
        await anyio.wait_all_tasks_blocked()

    await here.run(feed)

    assert receipts(here.settler.returned) == receipts(sent[2:])


@virtual_time
async def test_a_delivery_that_arrives_in_the_turn_in_which_the_linger_ends_is_kept() -> None:
    here = scene(batch_linger_ms=20)
    first, second = here.deliveries(1), here.deliveries(1)

    async def keep_the_loop_busy(until_s: float) -> None:
        await anyio.sleep_until(until_s)
        clock.block(0.1)

    async def feed(inbox: Inbox) -> None:
        inbox.put(first)
        meeting_s = anyio.current_time() + 0.01
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_the_loop_busy, meeting_s)
            await anyio.sleep_until(meeting_s)
            # One turn later the linger's timer and this task are due, in the other order.
            await anyio.lowlevel.checkpoint()
            inbox.put(second)
        await anyio.sleep(1)

    await here.run(feed)

    assert here.processed == receipts([*first, *second])


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[float, int]]:
    """Gaps and sizes of receives; many gaps are exactly the linger, or just miss it."""
    gaps_s = st.sampled_from([0.0, 0.005, 0.0199999, 0.02, 0.0200001, 0.04, 0.5])
    return draw(st.lists(st.tuples(gaps_s, st.integers(1, 10)), min_size=1, max_size=12))


@settings(deadline=None, max_examples=100)
@example([(0.0, 3)], 2, 1, 0.0, 0.01)
@example([(0.0, 4), (0.005, 1)], 3, 1, 0.0, 0.01)
@given(
    arrivals(),
    st.integers(1, 12),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.01, 0.02, 0.3]),
    st.none() | st.sampled_from([0.0, 0.004, 0.01, 0.015, 0.02, 0.1, 0.7]),
)
def test_whatever_cuts_the_linger_no_delivery_is_lost_or_taken_twice(
    arrivals: list[tuple[float, int]],
    most: int,
    processors: int,
    takes_s: float,
    stop_after_s: float | None,
) -> None:
    async def deciding(_batch: Sequence[Candidate]) -> None:
        await anyio.sleep(takes_s)

    here = scene(deciding, processors=processors, batch_max_messages=most)
    sent: list[Delivery] = []

    async def stop() -> None:
        if stop_after_s is not None:
            await anyio.sleep(stop_after_s)
            here.parts.stop.request()

    async def feed(inbox: Inbox) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            for gap_s, count in arrivals:
                await anyio.sleep(gap_s)
                deliveries = here.deliveries(count)
                sent.extend(deliveries)
                inbox.put(deliveries)
        inbox.close()
        await anyio.sleep(60)

    clock.run(here.run, feed)

    came_back = receipts(here.settler.returned)
    assert sorted([*here.processed, *came_back]) == sorted(receipts(sent))
    assert all(1 <= size <= most for size in sizes(here))
    if stop_after_s is None:
        assert came_back == []
        started = [r for batch in here.committer.batches for c in batch for r in [c.deliveries[0]]]
        assert receipts(started) == receipts(sent)


@pytest.mark.parametrize("use_uvloop", [False, True])
def test_lingering_cut_by_the_real_clock_loses_no_delivery(*, use_uvloop: bool) -> None:
    """On a real loop a delivery may arrive in the very turn in which the deadline fires."""
    here = scene(batch_max_messages=50, batch_linger_ms=1, processors=2)
    sent: list[Delivery] = []

    async def feed(inbox: Inbox) -> None:
        for number in range(600):
            deliveries = here.deliveries(1)
            sent.extend(deliveries)
            inbox.put(deliveries)
            # Around the linger of 1 ms, a little earlier and later each time.
            await anyio.sleep(0.0009 + (number % 20) * 0.00001)
        inbox.close()
        with anyio.fail_after(10):
            while len(here.processed) < len(sent):
                await anyio.lowlevel.checkpoint()

    anyio.run(here.run, feed, backend_options={"use_uvloop": use_uvloop})

    assert here.processed == receipts(sent)
    assert len(here.committer.batches) > 100


@virtual_time
async def test_a_body_that_cannot_be_read_is_defective_and_its_neighbours_are_decided() -> None:
    here = scene()
    good, bad = here.deliveries(2)
    bad = replace(bad, body="nonsense")

    result = await total(here.processing.results([bad, good]))

    assert [(d.delivery, d.defect.reason) for d in result.defective] == [
        (bad, DefectReason.BODY_NOT_JSON)
    ]
    assert [d.deliveries for d in result.decided] == [(good,)]


@virtual_time
async def test_a_batch_of_unreadable_bodies_asks_nothing_of_the_table() -> None:
    here = scene()
    bad = [replace(delivery, body="[]") for delivery in here.deliveries(3)]

    result = await total(here.processing.results(bad))

    assert len(result.defective) == 3
    assert here.committer.batches == []


@virtual_time
@pytest.mark.parametrize("poison", [0, 3, 6])
async def test_one_message_that_breaks_the_code_does_not_drag_its_neighbours_along(
    poison: int,
) -> None:
    sent: list[Delivery] = []

    async def deciding(batch: Sequence[Candidate]) -> None:
        if any(sent[poison] in candidate.deliveries for candidate in batch):
            raise ZeroDivisionError("nobody foresaw")

    here = scene(deciding)
    sent += here.deliveries(7)

    with structlog.testing.capture_logs() as logged:
        result = await total(here.processing.results(sent))

    assert [line["event"] for line in logged].count("decision_failed") == 1

    (undecided,) = result.undecided
    assert undecided.candidate.deliveries == (sent[poison],)
    assert undecided.reason == "nobody foresaw"
    decided = [delivery for entry in result.decided for delivery in entry.deliveries]
    assert decided == [delivery for delivery in sent if delivery is not sent[poison]]


@virtual_time
@pytest.mark.parametrize("grouped", [False, True])
async def test_what_only_an_operator_can_resolve_ends_the_processors(*, grouped: bool) -> None:
    denied = Fatal("dynamodb", "BatchGetItem", "AccessDenied", "no")

    async def deciding(_batch: Sequence[Candidate]) -> None:
        raise ExceptionGroup("together", [ValueError(), denied]) if grouped else denied

    here = scene(deciding)

    with pytest.raises(Fatal):
        await total(here.processing.results(here.deliveries(4)))
    assert len(here.committer.batches) == 1


@virtual_time
async def test_times_begin_with_the_processing_and_delays_are_observed_of_own_decisions() -> None:
    aws = Aws()
    aws.create("e1", 10)
    parts = parts_of(aws)
    requests = Requests()
    fresh = requests.request(queued_at_ms=NOW_MS - 4_000)
    done = requests.request(
        status=Status.REJECTED, result_code="X", started_at_ms=1, finished_at_ms=1
    )
    aws.store(fresh, done)
    processing = Processing(parts, Committer(parts), RecordingSettler(), 1)

    result = await total(processing.results([requests.delivery(item) for item in (fresh, done)]))

    assert {d.item.request_id: d.by_this_worker for d in result.decided} == {
        fresh.request_id: True,
        done.request_id: False,
    }
    assert aws.requests[fresh.request_id].started_at_ms == NOW_MS
    assert sample(parts, "worker_queue_delay_seconds_count") == 1
    assert sample(parts, "worker_queue_delay_seconds_sum") == 4
    assert sample(parts, "worker_e2e_delay_seconds_sum") == 4
    assert sample(parts, "worker_message_age_seconds_count") == 1
    assert sample(parts, "worker_message_age_seconds_sum") == pytest.approx(0.9)
    assert sample(parts, "worker_clock_corrections_total") == 0


@virtual_time
async def test_a_clock_correction_is_counted_with_its_size() -> None:
    aws = Aws()
    aws.create("e1", 10)
    parts = parts_of(aws)
    requests = Requests()
    item = requests.request(queued_at_ms=NOW_MS + 250)
    aws.store(item)
    processing = Processing(parts, Committer(parts), RecordingSettler(), 1)

    await total(processing.results([requests.delivery(item)]))

    assert sample(parts, "worker_clock_corrections_total") == 1
    assert sample(parts, "worker_clock_correction_seconds_sum") == 0.25
    assert sample(parts, "worker_queue_delay_seconds_sum") == 0


@virtual_time
async def test_a_young_request_comes_again_a_moment_later_and_then_is_decided_as_it_is() -> None:
    aws, here = Aws(), Requests()
    aws.create("e1", 10)
    young = here.request(status=Status.RECEIVED, queued_at_ms=None)
    other = here.request()
    aws.store(young, other)
    parts = parts_of(aws, batch_linger_ms=0)
    settler = RecordingSettler()
    inbox = Inbox()
    batches: list[int] = []

    async with anyio.create_task_group() as settling, anyio.create_task_group() as working:
        processing = Processing(parts, Committer(parts), settler, 1)
        working.start_soon(processing.run, inbox, settling)
        began_s = anyio.current_time()
        inbox.put([here.delivery(young), here.delivery(other)])
        while len(settler.settled) < 2:
            batches.append(len(settler.settled))
            await anyio.sleep(0.01)
        took_s = anyio.current_time() - began_s
        inbox.close()
        parts.stop.request()

    first, second = settler.settled
    assert [entry.item.request_id for entry in first.decided] == [other.request_id]
    assert [entry.item.request_id for entry in second.decided] == [young.request_id]
    # 20, 40 and 80 ms for ingest to write QUEUED.
    assert took_s == pytest.approx(0.14, abs=0.02)
    assert aws.wire.asked["BatchGetItem"] == 4


@virtual_time
async def test_the_young_wait_for_no_seats_of_their_batch_and_for_no_processor() -> None:
    aws, here = Aws(), Requests()
    aws.create("e1", 10)
    young = here.request(status=Status.RECEIVED, queued_at_ms=None)
    other = here.request()
    aws.store(young, other)
    aws.wire.each_way_s = {"TransactWriteItems": 1.0}
    parts = parts_of(aws, batch_linger_ms=0)
    settler = RecordingSettler()
    inbox = Inbox()

    async with anyio.create_task_group() as settling, anyio.create_task_group() as working:
        processing = Processing(parts, Committer(parts), settler, 1)
        working.start_soon(processing.run, inbox, settling)
        inbox.put([here.delivery(young), here.delivery(other)])
        # The only processor waits for the other's seat meanwhile.
        await anyio.sleep(0.5)
        reads = aws.wire.asked["BatchGetItem"]
        await anyio.sleep(10)
        inbox.close()
        parts.stop.request()

    assert reads == 4
    assert len(settler.settled) == 2


@virtual_time
async def test_a_stop_returns_the_young() -> None:
    aws, here = Aws(), Requests()
    aws.create("e1", 10)
    young = here.request(status=Status.RECEIVED, queued_at_ms=None)
    aws.store(young)
    parts = parts_of(aws, batch_linger_ms=0)
    settler = RecordingSettler()
    inbox = Inbox()
    delivery = here.delivery(young)

    async with anyio.create_task_group() as settling, anyio.create_task_group() as working:
        working.start_soon(Processing(parts, Committer(parts), settler, 1).run, inbox, settling)
        inbox.put([delivery])
        await anyio.sleep(0.01)
        parts.stop.request()
        inbox.close()

    assert settler.returned == [delivery]


@virtual_time
async def test_the_dlq_has_the_last_word_on_a_request_that_dynamodb_refuses() -> None:
    aws, made = Aws(), Requests()
    aws.create("e1", 3)
    item = made.request()
    aws.store(item)
    aws.wire.faults["TransactWriteItems"] = repeat(INVALID)
    parts = parts_of(aws)
    processing = Processing(parts, Committer(parts), RecordingSettler(), 1)

    result = await total(processing.results([made.delivery(item, from_dlq=True)]))

    (decided,) = result.decided
    assert decided.item.status is Status.FAILED_FINAL
    assert aws.requests[item.request_id] == decided.item
