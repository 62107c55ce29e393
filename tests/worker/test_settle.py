"""Settling: publish before acknowledging, acknowledge whatever the publish did, credits last."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest
import structlog

from aws.errors import Fatal, Rejected, Transient
from aws.publisher import Publisher, PublishPolicy
from aws.queue import Delivery, OutgoingMessage
from config.limits import SQS_BATCH_BYTES
from runtime.batcher import Batcher, BatchLimits
from schema.items import RequestItem
from schema.message import DefectReason, MessageDefect, ParticipationMessage
from schema.states import Status
from tests.aws.fake_bus import FakeBus, hanging, raising
from tests.virtual_time import virtual_time
from tests.worker.fakes import NOW_MS, FakeQueue, FakeTable, Requests, parts_of, sample
from worker.channel import Channel
from worker.credits import Credits
from worker.decide import Candidate
from worker.parts import Parts
from worker.results import BatchResult, Decided, Defective, Undecided
from worker.settle import Settler

AWAY = Transient("sqs", "DeleteMessageBatch", "InternalError", "later")
LOST = Rejected("sqs", "DeleteMessageBatch", "ReceiptHandleIsInvalid", "gone")
DEFECT = MessageDefect(DefectReason.FIELD_MISSING, "userId is missing", "r1", None)


@dataclass(slots=True)
class Scene:
    """A settler over stand-ins, and deliveries that are held and counted as in flight."""

    settings: dict[str, Any] = field(default_factory=dict)
    max_receive_count: int | None = 5
    journal: list[str] = field(default_factory=list)
    table: FakeTable = field(default_factory=FakeTable)
    credits: Credits = field(default_factory=lambda: Credits(100))
    requests: Requests = field(default_factory=Requests)
    queue: FakeQueue = field(init=False)
    dlq: FakeQueue = field(init=False)
    bus: FakeBus = field(init=False)
    parts: Parts = field(init=False)
    main: Channel = field(init=False)
    dead: Channel = field(init=False)

    def __post_init__(self) -> None:
        self.queue = FakeQueue(self.journal)
        self.dlq = FakeQueue(self.journal, is_dlq=True)
        self.bus = FakeBus(journal=self.journal)
        self.parts = parts_of(
            table=self.table,
            queue=self.queue,
            dlq=self.dlq,
            bus=self.bus,
            max_receive_count=self.max_receive_count,
            **self.settings,
        )

    @asynccontextmanager
    async def settler(self, *, is_dlq: bool = False) -> AsyncIterator[Settler]:
        """A settler of one queue; everything is flushed at the end of the block."""
        async with (
            Batcher(
                self.dlq.send,
                BatchLimits(max_items=10, max_bytes=SQS_BATCH_BYTES),
                size_of=lambda message: message.size,
            ) as quarantine,
            self._channel(self.queue) as self.main,
            self._channel(self.dlq) as self.dead,
            Publisher(
                self.bus,
                PublishPolicy.of(self.parts.settings),
                random=self.parts.random,
                observer=self.parts.metrics,
            ) as publisher,
        ):
            channel = self.dead if is_dlq else self.main
            yield Settler(self.parts, channel, quarantine, publisher)

    @asynccontextmanager
    async def _channel(self, queue: FakeQueue) -> AsyncIterator[Channel]:
        async with (
            Batcher(queue.delete, BatchLimits(max_items=10)) as deletes,
            Batcher(queue.change_visibility, BatchLimits(max_items=10)) as visibility,
        ):
            yield Channel(self.parts, queue, self.credits, deletes, visibility)

    async def received(self, *deliveries: Delivery) -> None:
        """Hold deliveries and take their credits, as the receiver does."""
        assert await self.credits.take(len(deliveries)) == len(deliveries)
        self.parts.metrics.in_flight.inc(len(deliveries))
        for delivery in deliveries:
            channel = self.dead if delivery.from_dlq else self.main
            channel.leases.hold([delivery], anyio.current_time())

    def decided(self, status: Status = Status.SUCCEEDED, **delivery: Any) -> Decided:
        """A decision of this worker, and its delivery."""
        item = self.requests.request(
            status=status,
            result_code="SUCCESS",
            started_at_ms=NOW_MS,
            finished_at_ms=NOW_MS,
            attempt=1,
            is_dlq=False,
            worker_id="w1",
        )
        return Decided((self.requests.delivery(item, **delivery),), item, by_this_worker=True)

    def delivery(self, **changes: Any) -> Delivery:
        """A delivery of a request of its own."""
        return self.requests.delivery(self.requests.request(), **changes)

    def settled(self, outcome: str, queue: str = "main") -> float:
        """How many deliveries were settled with an outcome."""
        return sample(self.parts, "worker_messages_settled_total", queue=queue, outcome=outcome)

    def nothing_is_left(self) -> bool:
        """Whether every credit and every lease is back."""
        return (
            self.credits.used == 0
            and sample(self.parts, "worker_in_flight_messages") == 0
            and not self.main.leases.held
            and not self.dead.leases.held
        )


def result(
    decided: Sequence[Decided] = (),
    defective: Sequence[Defective] = (),
    undecided: Sequence[Undecided] = (),
) -> BatchResult:
    return BatchResult(decided, defective, undecided)


def defective(delivery: Delivery) -> Defective:
    return Defective(delivery, DEFECT, NOW_MS, NOW_MS + 150)


def undecided(delivery: Delivery, request_id: str = "r1") -> Undecided:
    message = ParticipationMessage(request_id, "e1", "u1")
    return Undecided(Candidate(message, (delivery,)), "why")


def receipts(*entries: Decided) -> list[str]:
    return [delivery.receipt_handle for entry in entries for delivery in entry.deliveries]


@virtual_time
async def test_every_decision_is_published_and_only_then_acknowledged() -> None:
    scene = Scene()
    entries = [scene.decided(), scene.decided(Status.REJECTED)]
    async with scene.settler() as settler:
        await scene.received(*(d for e in entries for d in e.deliveries))
        await settler.settle(result(entries))
        assert scene.nothing_is_left()

    ids = [entry.item.request_id for entry in entries]
    assert scene.journal == [
        *(f"publish {request_id}" for request_id in ids),
        *(f"delete {handle}" for handle in receipts(*entries)),
    ]
    assert set(scene.bus.types) == {"ParticipationProcessed"}
    assert (scene.settled("succeeded"), scene.settled("rejected")) == (1, 1)
    assert scene.parts.state.tally.settled == 2


@virtual_time
async def test_a_failing_bus_changes_no_acknowledgement() -> None:
    scene = Scene()
    refused = Transient("events", "PutEvents", "EndpointConnectionError", "refused")
    scene.bus.answer = raising(refused)
    entry = scene.decided()
    async with scene.settler() as settler:
        await scene.received(*entry.deliveries)
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert scene.queue.deleted == receipts(entry)
    assert sample(scene.parts, "worker_publish_failures_total", reason="connection") == 1
    assert scene.settled("succeeded") == 1


@virtual_time
async def test_a_hanging_bus_holds_the_acknowledgement_no_longer_than_the_publish_timeout() -> None:
    scene = Scene(settings={"publish_timeout_s": 3})
    scene.bus.answer = hanging
    entry = scene.decided()
    async with scene.settler() as settler:
        await scene.received(*entry.deliveries)
        began_s = anyio.current_time()
        await settler.settle(result([entry]))
        assert anyio.current_time() - began_s <= 3.01

    assert scene.queue.deleted == receipts(entry)


@virtual_time
async def test_a_decided_item_without_times_has_no_event_and_is_still_acknowledged() -> None:
    scene = Scene()
    sound, bare = scene.decided(), scene.decided()
    bare = replace(bare, item=replace(bare.item, finished_at_ms=None))
    async with scene.settler() as settler:
        await scene.received(*sound.deliveries, *bare.deliveries)
        await settler.settle(result([sound, bare]))
        assert scene.nothing_is_left()

    assert sorted(scene.queue.deleted) == sorted(receipts(sound, bare))
    assert [detail["requestId"] for detail in scene.bus.details] == [sound.item.request_id]
    assert sample(scene.parts, "worker_publish_failures_total", reason="unencodable") == 1


@virtual_time
async def test_all_deliveries_of_a_request_are_acknowledged_and_the_event_published_once() -> None:
    scene = Scene()
    entry = scene.decided()
    (first,) = entry.deliveries
    second = replace(first, receipt_handle="h-second", attempt=2)
    async with scene.settler() as settler:
        await scene.received(first, second)
        await settler.settle(result([replace(entry, deliveries=(first, second))]))
        assert scene.nothing_is_left()

    assert scene.queue.deleted == [first.receipt_handle, "h-second"]
    assert len(scene.bus.details) == 1
    assert (scene.settled("succeeded"), scene.settled("duplicate")) == (1, 1)


@virtual_time
async def test_a_redelivery_is_published_again_and_counted_as_a_duplicate() -> None:
    scene = Scene()
    entry = replace(scene.decided(), by_this_worker=False)
    async with scene.settler() as settler:
        await scene.received(*entry.deliveries)
        await settler.settle(result([entry]))

    assert len(scene.bus.details) == 1
    assert (scene.settled("succeeded"), scene.settled("duplicate")) == (0, 1)


@virtual_time
async def test_a_delivery_from_the_dlq_is_deleted_there() -> None:
    scene = Scene()
    entry = scene.decided(from_dlq=True)
    async with scene.settler(is_dlq=True) as settler:
        await scene.received(*entry.deliveries)
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert (scene.dlq.deleted, scene.queue.deleted) == (receipts(entry), [])
    assert scene.settled("succeeded", "dlq") == 1


@virtual_time
async def test_lease_and_credit_end_with_the_confirmed_delete_and_not_before() -> None:
    scene = Scene()
    confirmed, failing = scene.decided(), scene.decided()
    scene.queue.errors["delete"] = [None, AWAY]
    async with scene.settler() as settler, anyio.create_task_group() as tasks:
        await scene.received(*confirmed.deliveries, *failing.deliveries)
        tasks.start_soon(settler.settle, result([confirmed, failing]))
        await anyio.sleep(0.045)
        assert scene.queue.deleted == receipts(confirmed)
        assert scene.main.leases.held == list(failing.deliveries)
        assert scene.credits.used == 1
        await anyio.sleep(1)
        assert scene.nothing_is_left()

    assert scene.queue.deleted == receipts(confirmed, failing)
    assert sample(scene.parts, "worker_delete_failures_total") == 0


@virtual_time
async def test_deletes_that_never_succeed_end_after_a_bounded_number_of_tries() -> None:
    scene = Scene()
    entry = scene.decided()
    scene.queue.errors["delete"] = [AWAY] * 100
    async with scene.settler() as settler:
        await scene.received(*entry.deliveries)
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert len(scene.queue.errors["delete"]) == 96
    assert sample(scene.parts, "worker_delete_failures_total") == 1


@virtual_time
async def test_a_message_already_gone_counts_as_deleted() -> None:
    scene = Scene()
    entry = scene.decided()
    scene.queue.errors["delete"] = [LOST] * 100
    async with scene.settler() as settler:
        await scene.received(*entry.deliveries)
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert len(scene.queue.errors["delete"]) == 99
    assert sample(scene.parts, "worker_delete_failures_total") == 0


@virtual_time
async def test_an_undecided_delivery_is_not_deleted_and_comes_again_after_a_backoff() -> None:
    scene = Scene(settings={"retry_backoff_base_s": 4, "retry_backoff_max_s": 100})
    deliveries = [scene.delivery(attempt=attempt) for attempt in (1, 2, 3)]
    async with scene.settler() as settler:
        await scene.received(*deliveries)
        await settler.settle(result(undecided=[undecided(d, f"r{d.attempt}") for d in deliveries]))
        assert scene.nothing_is_left()

    waits = {change.receipt_handle: change.timeout_s for change in scene.queue.visibility}
    first, second, third = (waits[delivery.receipt_handle] for delivery in deliveries)
    assert 2 <= first <= 4
    assert 4 <= second <= 8
    assert 8 <= third <= 16
    assert scene.queue.deleted == []
    assert scene.bus.details == []
    assert scene.settled("retried") == 3
    assert scene.table.stamped == []


@virtual_time
async def test_no_backoff_is_longer_than_sqs_allows() -> None:
    scene = Scene(settings={"retry_backoff_base_s": 3_600, "retry_backoff_max_s": 43_200})
    delivery = scene.delivery(attempt=50)
    async with scene.settler() as settler:
        await scene.received(delivery)
        await settler.settle(result(undecided=[undecided(delivery)]))

    (change,) = scene.queue.visibility
    assert 21_600 <= change.timeout_s <= 43_200


@virtual_time
@pytest.mark.parametrize(
    ("attempt", "limit", "from_dlq", "stamped"),
    [
        (4, 5, False, False),
        (5, 5, False, True),
        (6, 5, False, True),
        (9, None, False, False),
        (9, 5, True, False),
    ],
)
async def test_only_the_last_try_before_the_dlq_is_stamped(
    attempt: int, limit: int | None, *, from_dlq: bool, stamped: bool
) -> None:
    scene = Scene(max_receive_count=limit)
    delivery = scene.delivery(attempt=attempt, from_dlq=from_dlq)
    async with scene.settler(is_dlq=from_dlq) as settler:
        await scene.received(delivery)
        await settler.settle(result(undecided=[undecided(delivery)]))

    assert scene.table.stamped == ([("r1", NOW_MS)] if stamped else [])


@virtual_time
async def test_a_stamp_that_fails_does_not_hold_the_message() -> None:
    scene = Scene(max_receive_count=1)
    scene.table.faults["stamp_dlq"] = [RuntimeError("nobody foresaw")]
    delivery = scene.delivery()
    async with scene.settler() as settler:
        await scene.received(delivery)
        await settler.settle(result(undecided=[undecided(delivery)]))
        assert scene.nothing_is_left()

    assert [change.receipt_handle for change in scene.queue.visibility] == [delivery.receipt_handle]


@virtual_time
@pytest.mark.parametrize("is_dlq", [False, True])
async def test_what_was_not_started_is_visible_again_immediately(*, is_dlq: bool) -> None:
    scene = Scene()
    deliveries = [scene.delivery(from_dlq=is_dlq) for _ in range(3)]
    async with scene.settler(is_dlq=is_dlq) as settler:
        await scene.received(*deliveries)
        await settler.return_now(deliveries)
        assert scene.nothing_is_left()

    queues = {True: scene.dlq, False: scene.queue}
    assert [change.timeout_s for change in queues[is_dlq].visibility] == [0, 0, 0]
    assert queues[not is_dlq].visibility == []
    assert scene.settled("returned", "dlq" if is_dlq else "main") == 3
    assert scene.parts.state.tally.returned == 3


@virtual_time
async def test_a_hand_back_that_fails_still_frees_its_place() -> None:
    scene = Scene()
    scene.queue.errors["change_visibility"] = [AWAY]
    delivery = scene.delivery()
    async with scene.settler() as settler:
        await scene.received(delivery)
        with structlog.testing.capture_logs() as logged:
            await settler.return_now([delivery])
        assert scene.nothing_is_left()

    assert [line["event"] for line in logged] == ["hand_back_failed"]


@virtual_time
async def test_a_defective_message_is_copied_to_the_dlq_then_published_then_deleted() -> None:
    scene = Scene()
    delivery = scene.delivery(
        body='{"requestId": "r1"  }', attempt=3, attributes={"redrivenAt": "1"}
    )
    async with scene.settler() as settler:
        await scene.received(delivery)
        await settler.settle(result(defective=[defective(delivery)]))
        assert scene.nothing_is_left()

    assert scene.journal == ["send", "publish r1", f"delete {delivery.receipt_handle}"]
    assert scene.dlq.sent == [
        OutgoingMessage(
            '{"requestId": "r1"  }',
            {
                "reasonCode": "FIELD_MISSING",
                "sourceMessageId": delivery.message_id,
                "attempt": "3",
            },
        )
    ]
    (detail,) = scene.bus.details
    assert scene.bus.types == ["RequestFailed"]
    assert detail["timestamps"] == {
        "queuedAt": delivery.sent_at_ms,
        "startedAt": NOW_MS,
        "finishedAt": NOW_MS + 150,
    }
    assert detail["delivery"] == {"attempt": 3, "isDlq": True}
    assert scene.settled("quarantined") == 1


@virtual_time
async def test_a_message_that_cannot_be_quarantined_is_not_deleted() -> None:
    scene = Scene()
    scene.dlq.errors["send"] = [AWAY]
    delivery = scene.delivery()
    async with scene.settler() as settler:
        await scene.received(delivery)
        await settler.settle(result(defective=[defective(delivery)]))
        assert scene.nothing_is_left()

    assert scene.queue.deleted == []
    assert scene.bus.details == []
    assert [change.receipt_handle for change in scene.queue.visibility] == [delivery.receipt_handle]
    assert (scene.settled("quarantined"), scene.settled("retried")) == (0, 1)


@virtual_time
async def test_a_quarantined_message_met_in_the_dlq_is_left_for_people() -> None:
    scene = Scene()
    delivery = scene.delivery(from_dlq=True, attributes={"reasonCode": "FIELD_MISSING"})
    async with scene.settler(is_dlq=True) as settler:
        await scene.received(delivery)
        await settler.settle(result(defective=[defective(delivery)]))
        assert scene.nothing_is_left()

    assert (scene.dlq.sent, scene.dlq.deleted, scene.bus.details) == ([], [], [])
    (change,) = scene.dlq.visibility
    assert change.timeout_s == 0


@virtual_time
async def test_a_defective_message_of_the_dlq_that_nobody_quarantined_is_quarantined() -> None:
    scene = Scene()
    delivery = scene.delivery(from_dlq=True)
    async with scene.settler(is_dlq=True) as settler:
        await scene.received(delivery)
        await settler.settle(result(defective=[defective(delivery)]))
        assert scene.nothing_is_left()

    assert [message.attributes["reasonCode"] for message in scene.dlq.sent] == ["FIELD_MISSING"]
    assert scene.dlq.deleted == [delivery.receipt_handle]
    assert scene.settled("quarantined", "dlq") == 1


@virtual_time
async def test_a_body_that_fills_the_message_is_quarantined_without_our_attributes() -> None:
    scene = Scene()
    delivery = scene.delivery(body="x" * SQS_BATCH_BYTES)
    async with scene.settler() as settler:
        await scene.received(delivery)
        await settler.settle(result(defective=[defective(delivery)]))
        assert scene.nothing_is_left()

    assert scene.dlq.sent == [OutgoingMessage(delivery.body)]
    assert scene.queue.deleted == [delivery.receipt_handle]


@virtual_time
async def test_a_delete_without_permission_makes_the_worker_give_up() -> None:
    scene = Scene()
    denied = Fatal("sqs", "DeleteMessageBatch", "AccessDenied", "no")
    scene.queue.errors["delete"] = [denied] * 100
    entry = scene.decided()
    async with scene.settler() as settler:
        await scene.received(*entry.deliveries)
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert scene.parts.state.failure is denied
    assert scene.parts.stop.requested


@virtual_time
async def test_one_delivery_s_trouble_does_not_hold_up_its_batch() -> None:
    scene = Scene()
    scene.dlq.errors["send"] = [Fatal("sqs", "SendMessageBatch", "AccessDenied", "no")]
    entry, poison, unlucky = scene.decided(), scene.delivery(), scene.delivery()
    async with scene.settler() as settler:
        await scene.received(*entry.deliveries, poison, unlucky)
        await settler.settle(result([entry], [defective(poison)], [undecided(unlucky)]))
        assert scene.nothing_is_left()

    assert scene.queue.deleted == receipts(entry)
    assert len(scene.queue.visibility) == 2


@virtual_time
async def test_an_unforeseen_error_hands_back_what_is_not_settled() -> None:
    scene = Scene()
    entry, unlucky = scene.decided(), scene.delivery()
    broken: RequestItem = replace(entry.item, status="NO_STATUS")  # type: ignore[arg-type]
    async with scene.settler() as settler:
        await scene.received(*entry.deliveries, unlucky)
        with structlog.testing.capture_logs() as logged:
            await settler.settle(result([replace(entry, item=broken)], [], [undecided(unlucky)]))
        assert scene.nothing_is_left()

    assert "settling_failed" in [line["event"] for line in logged]
    assert scene.queue.deleted == []


@virtual_time
async def test_settling_nothing_does_nothing() -> None:
    scene = Scene()
    async with scene.settler() as settler:
        await settler.settle(result())

    assert scene.journal == []
