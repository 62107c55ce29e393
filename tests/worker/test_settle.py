"""Settling: publish before acknowledging, acknowledge whatever the publish did, credits last."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import anyio
import orjson
import pytest
import structlog

from aws.publisher import Publisher, PublishPolicy
from aws.queue import Delivery, Queue
from config.limits import SQS_BATCH_BYTES
from runtime.batcher import Batcher, BatchLimits
from schema.items import RequestItem
from schema.message import DefectReason, MessageDefect, ParticipationMessage
from schema.states import Status
from simulation.scenario import Kind
from simulation.settings import DEAD_LETTER_QUEUE as DLQ
from simulation.settings import QUEUE
from tests.aws.model import NOW_MS, Aws
from tests.virtual_time import virtual_time
from tests.worker.parts import Requests, parts_of, sample
from worker.channel import Channel
from worker.credits import Credits
from worker.decide import Candidate
from worker.parts import Parts
from worker.results import BatchResult, Decided, Defective, Undecided
from worker.settle import Settler

AWAY = "InternalError"
DELETE, SEND, PUBLISH = "DeleteMessageBatch", "SendMessageBatch", "PutEvents"
DEFECT = MessageDefect(DefectReason.FIELD_MISSING, "userId is missing", "r1", None)


@dataclass(slots=True)
class Scene:
    """A settler on the model of AWS, and deliveries that are held and counted as in flight."""

    settings: dict[str, Any] = field(default_factory=dict)
    max_receive_count: int | None = 5
    aws: Aws = field(default_factory=Aws)
    credits: Credits = field(default_factory=lambda: Credits(100))
    requests: Requests = field(default_factory=Requests)
    parts: Parts = field(init=False)
    main: Channel = field(init=False)
    dead: Channel = field(init=False)

    def __post_init__(self) -> None:
        self.parts = parts_of(self.aws, max_receive_count=self.max_receive_count, **self.settings)

    @asynccontextmanager
    async def settler(self, *, is_dlq: bool = False) -> AsyncIterator[Settler]:
        """A settler of one queue; everything is flushed at the end of the block."""
        async with (
            Batcher(
                self.aws.dlq.send,
                BatchLimits(max_items=10, max_bytes=SQS_BATCH_BYTES),
                size_of=lambda message: message.size,
            ) as quarantine,
            self._channel(self.aws.queue) as self.main,
            self._channel(self.aws.dlq) as self.dead,
            Publisher(
                self.aws.bus,
                PublishPolicy.of(self.parts.settings),
                random=self.parts.random,
                observer=self.parts.metrics,
            ) as publisher,
        ):
            channel = self.dead if is_dlq else self.main
            yield Settler(self.parts, channel, quarantine, publisher)

    @asynccontextmanager
    async def _channel(self, queue: Queue) -> AsyncIterator[Channel]:
        async with (
            Batcher(queue.delete, BatchLimits(max_items=10)) as deletes,
            Batcher(queue.change_visibility, BatchLimits(max_items=10)) as visibility,
        ):
            yield Channel(self.parts, queue, self.credits, deletes, visibility)

    async def delivery(
        self,
        body: str | None = None,
        *,
        attempt: int = 1,
        from_dlq: bool = False,
        attributes: Mapping[str, str] | None = None,
    ) -> Delivery:
        """Receive a message and hold it, as the receiver does."""
        body = body or self.requests.delivery(self.requests.request()).body
        self.aws.put(body, attributes=attributes, attempt=attempt, to_dlq=from_dlq)
        channel = self.dead if from_dlq else self.main
        assert await self.credits.take(1) == 1
        (delivery,) = await channel.queue.receive(1, 0, 60)
        self.parts.metrics.in_flight.inc()
        channel.leases.hold([delivery], anyio.current_time())
        return delivery

    async def decided(
        self, status: Status = Status.SUCCEEDED, *, deliveries: int = 1, from_dlq: bool = False
    ) -> Decided:
        """A decision of this worker, and its deliveries."""
        item = self.requests.request(
            status=status,
            result_code="SUCCESS",
            started_at_ms=NOW_MS,
            finished_at_ms=NOW_MS,
            attempt=1,
            is_dlq=False,
            worker_id="w1",
        )
        body = self.requests.delivery(item).body
        held = [await self.delivery(body, from_dlq=from_dlq) for _ in range(deliveries)]
        return Decided(tuple(held), item, by_this_worker=True)

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


def details(scene: Scene) -> list[dict[str, Any]]:
    """The details of the events that the bus accepted."""
    return [orjson.loads(entry["Detail"]) for entry in scene.aws.events]


def sent(scene: Scene) -> list[tuple[str, dict[str, str]]]:
    """Body and attributes of each message that was sent."""
    return [
        (message.body, {n: v["StringValue"] for n, v in (message.attributes or {}).items()})
        for message in scene.aws.sends
    ]


def receipts(*entries: Decided) -> list[str]:
    return [delivery.receipt_handle for entry in entries for delivery in entry.deliveries]


@virtual_time
async def test_every_decision_is_published_and_only_then_acknowledged() -> None:
    scene = Scene()
    async with scene.settler() as settler:
        entries = [await scene.decided(), await scene.decided(Status.REJECTED)]
        await settler.settle(result(entries))
        assert scene.nothing_is_left()

    ids = [entry.item.request_id for entry in entries]
    assert scene.aws.journal == [
        *(f"publish {request_id}" for request_id in ids),
        *(f"delete {handle}" for handle in receipts(*entries)),
    ]
    assert {entry["DetailType"] for entry in scene.aws.events} == {"ParticipationProcessed"}
    assert (scene.settled("succeeded"), scene.settled("rejected")) == (1, 1)
    assert scene.parts.state.tally.settled == 2


@virtual_time
async def test_a_failing_bus_changes_no_acknowledgement() -> None:
    scene = Scene()
    scene.aws.wire.faults[PUBLISH] = repeat(Kind.REFUSED)
    async with scene.settler() as settler:
        entry = await scene.decided()
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert scene.aws.deletes[QUEUE] == receipts(entry)
    assert sample(scene.parts, "worker_publish_failures_total", reason="connection") == 1
    assert scene.settled("succeeded") == 1


@virtual_time
async def test_a_hanging_bus_holds_the_acknowledgement_no_longer_than_the_publish_timeout() -> None:
    scene = Scene(settings={"publish_timeout_s": 3})
    scene.aws.wire.each_way_s[PUBLISH] = 3_600
    async with scene.settler() as settler:
        entry = await scene.decided()
        began_s = anyio.current_time()
        await settler.settle(result([entry]))
        assert anyio.current_time() - began_s <= 3.01

    assert scene.aws.deletes[QUEUE] == receipts(entry)


@virtual_time
async def test_a_decided_item_without_times_has_no_event_and_is_still_acknowledged() -> None:
    scene = Scene()
    async with scene.settler() as settler:
        sound, bare = await scene.decided(), await scene.decided()
        bare = replace(bare, item=replace(bare.item, finished_at_ms=None))
        await settler.settle(result([sound, bare]))
        assert scene.nothing_is_left()

    assert sorted(scene.aws.deletes[QUEUE]) == sorted(receipts(sound, bare))
    assert [detail["requestId"] for detail in details(scene)] == [sound.item.request_id]
    assert sample(scene.parts, "worker_publish_failures_total", reason="unencodable") == 1


@virtual_time
async def test_all_deliveries_of_a_request_are_acknowledged_and_the_event_published_once() -> None:
    scene = Scene()
    async with scene.settler() as settler:
        entry = await scene.decided(deliveries=2)
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert scene.aws.deletes[QUEUE] == receipts(entry)
    assert len(details(scene)) == 1
    assert (scene.settled("succeeded"), scene.settled("duplicate")) == (1, 1)


@virtual_time
async def test_a_redelivery_is_published_again_and_counted_as_a_duplicate() -> None:
    scene = Scene()
    async with scene.settler() as settler:
        entry = replace(await scene.decided(), by_this_worker=False)
        await settler.settle(result([entry]))

    assert len(details(scene)) == 1
    assert (scene.settled("succeeded"), scene.settled("duplicate")) == (0, 1)


@virtual_time
async def test_a_delivery_from_the_dlq_is_deleted_there() -> None:
    scene = Scene()
    async with scene.settler(is_dlq=True) as settler:
        entry = await scene.decided(from_dlq=True)
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert (scene.aws.deletes[DLQ], scene.aws.deletes[QUEUE]) == (receipts(entry), [])
    assert scene.settled("succeeded", "dlq") == 1


@virtual_time
async def test_lease_and_credit_end_with_the_confirmed_delete_and_not_before() -> None:
    scene = Scene()
    scene.aws.wire.entry_faults[DELETE] = iter([None, AWAY])
    async with scene.settler() as settler, anyio.create_task_group() as tasks:
        confirmed, failing = await scene.decided(), await scene.decided()
        tasks.start_soon(settler.settle, result([confirmed, failing]))
        await anyio.sleep(0.045)
        assert scene.aws.deletes[QUEUE] == receipts(confirmed)
        assert scene.main.leases.held == list(failing.deliveries)
        assert scene.credits.used == 1
        await anyio.sleep(1)
        assert scene.nothing_is_left()

    assert scene.aws.deletes[QUEUE] == receipts(confirmed, failing)
    assert sample(scene.parts, "worker_delete_failures_total") == 0


@virtual_time
async def test_deletes_that_never_succeed_end_after_a_bounded_number_of_tries() -> None:
    scene = Scene()
    scene.aws.wire.entry_faults[DELETE] = repeat(AWAY)
    async with scene.settler() as settler:
        entry = await scene.decided()
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert scene.aws.wire.asked[DELETE] == 4
    assert scene.aws.deletes[QUEUE] == []
    assert sample(scene.parts, "worker_delete_failures_total") == 1


@virtual_time
async def test_a_message_already_gone_counts_as_deleted() -> None:
    scene = Scene()
    scene.aws.wire.entry_faults[DELETE] = repeat("ReceiptHandleIsInvalid")
    async with scene.settler() as settler:
        entry = await scene.decided()
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert scene.aws.wire.asked[DELETE] == 1
    assert sample(scene.parts, "worker_delete_failures_total") == 0


@virtual_time
async def test_an_undecided_delivery_is_not_deleted_and_comes_again_after_a_backoff() -> None:
    scene = Scene(settings={"retry_backoff_base_s": 4, "retry_backoff_max_s": 100})
    async with scene.settler() as settler:
        deliveries = [await scene.delivery(attempt=attempt) for attempt in (1, 2, 3)]
        await settler.settle(result(undecided=[undecided(d, f"r{d.attempt}") for d in deliveries]))
        assert scene.nothing_is_left()

    waits = dict(scene.aws.hides[QUEUE])
    first, second, third = (waits[delivery.receipt_handle] for delivery in deliveries)
    assert 2 <= first <= 4
    assert 4 <= second <= 8
    assert 8 <= third <= 16
    assert scene.aws.deletes[QUEUE] == []
    assert details(scene) == []
    assert scene.settled("retried") == 3
    assert scene.aws.wire.asked["UpdateItem"] == 0


@virtual_time
async def test_no_backoff_is_longer_than_sqs_allows() -> None:
    scene = Scene(settings={"retry_backoff_base_s": 3_600, "retry_backoff_max_s": 43_200})
    async with scene.settler() as settler:
        delivery = await scene.delivery(attempt=50)
        await settler.settle(result(undecided=[undecided(delivery)]))

    ((_, timeout_s),) = scene.aws.hides[QUEUE]
    assert 21_600 <= timeout_s <= 43_200


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
    scene.aws.store(scene.requests.request(request_id="r1"))
    async with scene.settler(is_dlq=from_dlq) as settler:
        delivery = await scene.delivery(attempt=attempt, from_dlq=from_dlq)
        await settler.settle(result(undecided=[undecided(delivery)]))

    assert scene.aws.requests["r1"].dlq_at_ms == (NOW_MS if stamped else None)


@virtual_time
async def test_a_stamp_that_fails_does_not_hold_the_message() -> None:
    scene = Scene(max_receive_count=1)
    scene.aws.wire.faults["UpdateItem"] = iter([RuntimeError("nobody foresaw")])
    async with scene.settler() as settler:
        delivery = await scene.delivery()
        await settler.settle(result(undecided=[undecided(delivery)]))
        assert scene.nothing_is_left()

    assert [receipt for receipt, _ in scene.aws.hides[QUEUE]] == [delivery.receipt_handle]


@virtual_time
@pytest.mark.parametrize("is_dlq", [False, True])
async def test_what_was_not_started_is_visible_again_immediately(*, is_dlq: bool) -> None:
    scene = Scene()
    async with scene.settler(is_dlq=is_dlq) as settler:
        deliveries = [await scene.delivery(from_dlq=is_dlq) for _ in range(3)]
        await settler.return_now(deliveries)
        assert scene.nothing_is_left()

    here, there = (DLQ, QUEUE) if is_dlq else (QUEUE, DLQ)
    assert scene.aws.hides[here] == [(delivery.receipt_handle, 0) for delivery in deliveries]
    assert scene.aws.hides[there] == []
    assert scene.settled("returned", "dlq" if is_dlq else "main") == 3
    assert scene.parts.state.tally.returned == 3


@virtual_time
async def test_a_hand_back_that_fails_still_frees_its_place() -> None:
    scene = Scene()
    scene.aws.wire.entry_faults["ChangeMessageVisibilityBatch"] = iter([AWAY])
    async with scene.settler() as settler:
        delivery = await scene.delivery()
        with structlog.testing.capture_logs() as logged:
            await settler.return_now([delivery])
        assert scene.nothing_is_left()

    assert [line["event"] for line in logged] == ["hand_back_failed"]


@virtual_time
async def test_a_defective_message_is_copied_to_the_dlq_then_published_then_deleted() -> None:
    scene = Scene()
    async with scene.settler() as settler:
        delivery = await scene.delivery(
            body='{"requestId": "r1"  }', attempt=3, attributes={"redrivenAt": "1"}
        )
        await settler.settle(result(defective=[defective(delivery)]))
        assert scene.nothing_is_left()

    assert scene.aws.journal == ["send", "publish r1", f"delete {delivery.receipt_handle}"]
    assert sent(scene) == [
        (
            '{"requestId": "r1"  }',
            {
                "reasonCode": "FIELD_MISSING",
                "sourceMessageId": delivery.message_id,
                "attempt": "3",
            },
        )
    ]
    (detail,) = details(scene)
    assert [entry["DetailType"] for entry in scene.aws.events] == ["RequestFailed"]
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
    scene.aws.wire.entry_faults[SEND] = iter([AWAY])
    async with scene.settler() as settler:
        delivery = await scene.delivery()
        await settler.settle(result(defective=[defective(delivery)]))
        assert scene.nothing_is_left()

    assert scene.aws.deletes[QUEUE] == []
    assert details(scene) == []
    assert [receipt for receipt, _ in scene.aws.hides[QUEUE]] == [delivery.receipt_handle]
    assert (scene.settled("quarantined"), scene.settled("retried")) == (0, 1)


@virtual_time
async def test_a_quarantined_message_met_in_the_dlq_is_left_for_people() -> None:
    scene = Scene()
    async with scene.settler(is_dlq=True) as settler:
        delivery = await scene.delivery(from_dlq=True, attributes={"reasonCode": "FIELD_MISSING"})
        await settler.settle(result(defective=[defective(delivery)]))
        assert scene.nothing_is_left()

    assert scene.aws.journal == []
    assert scene.aws.hides[DLQ] == [(delivery.receipt_handle, 0)]


@virtual_time
async def test_a_defective_message_of_the_dlq_that_nobody_quarantined_is_quarantined() -> None:
    scene = Scene()
    async with scene.settler(is_dlq=True) as settler:
        delivery = await scene.delivery(from_dlq=True)
        await settler.settle(result(defective=[defective(delivery)]))
        assert scene.nothing_is_left()

    ((_, attributes),) = sent(scene)
    assert attributes["reasonCode"] == "FIELD_MISSING"
    assert scene.aws.deletes[DLQ] == [delivery.receipt_handle]
    assert scene.settled("quarantined", "dlq") == 1


@virtual_time
async def test_a_body_that_fills_the_message_is_quarantined_without_our_attributes() -> None:
    scene = Scene()
    async with scene.settler() as settler:
        delivery = await scene.delivery(body="x" * SQS_BATCH_BYTES)
        await settler.settle(result(defective=[defective(delivery)]))
        assert scene.nothing_is_left()

    assert sent(scene) == [(delivery.body, {})]
    assert scene.aws.deletes[QUEUE] == [delivery.receipt_handle]


@virtual_time
async def test_a_delete_without_permission_makes_the_worker_give_up() -> None:
    scene = Scene()
    scene.aws.wire.entry_faults[DELETE] = repeat("AccessDenied")
    async with scene.settler() as settler:
        entry = await scene.decided()
        await settler.settle(result([entry]))
        assert scene.nothing_is_left()

    assert scene.parts.state.failure is not None
    assert scene.parts.state.failure.code == "AccessDenied"
    assert scene.parts.stop.requested


@virtual_time
async def test_one_delivery_s_trouble_does_not_hold_up_its_batch() -> None:
    scene = Scene()
    scene.aws.wire.entry_faults[SEND] = iter(["AccessDenied"])
    async with scene.settler() as settler:
        entry, poison, unlucky = (
            await scene.decided(),
            await scene.delivery(),
            await scene.delivery(),
        )
        await settler.settle(result([entry], [defective(poison)], [undecided(unlucky)]))
        assert scene.nothing_is_left()

    assert scene.aws.deletes[QUEUE] == receipts(entry)
    assert len(scene.aws.hides[QUEUE]) == 2


@virtual_time
async def test_an_unforeseen_error_hands_back_what_is_not_settled() -> None:
    scene = Scene()
    async with scene.settler() as settler:
        entry, unlucky = await scene.decided(), await scene.delivery()
        broken: RequestItem = replace(entry.item, status="NO_STATUS")  # type: ignore[arg-type]
        with structlog.testing.capture_logs() as logged:
            await settler.settle(result([replace(entry, item=broken)], [], [undecided(unlucky)]))
        assert scene.nothing_is_left()

    assert "settling_failed" in [line["event"] for line in logged]
    assert scene.aws.deletes[QUEUE] == []


@virtual_time
async def test_settling_nothing_does_nothing() -> None:
    scene = Scene()
    async with scene.settler() as settler:
        await settler.settle(result())

    assert scene.aws.wire.calls == []
