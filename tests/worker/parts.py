"""What the worker's unit tests are made of: its parts, its clock, requests and deliveries."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry

from aws.queue import Delivery
from aws.table import Loaded, Table
from config.settings import WorkerSettings
from schema.items import RequestItem
from schema.message import ParticipationMessage
from schema.states import EventType, Status
from simulation.settings import worker_settings
from tests.aws.model import NOW_MS, SENT_MS, Aws
from worker import decide
from worker.decide import Candidate, Plan, Reading, SeatPlan
from worker.metrics import WorkerMetrics
from worker.parts import Parts, State
from worker.results import BatchResult


@dataclass(slots=True)
class Clock:
    """A clock that a test sets."""

    now_ms: int = NOW_MS
    step_ms: int = 0

    def __call__(self) -> int:
        """Read the clock, and move it on by a step."""
        self.now_ms += self.step_ms
        return self.now_ms


@dataclass(slots=True)
class Requests:
    """Makes requests of one event, with the deliveries that carry them."""

    event_id: str = "e1"
    made: int = 0
    receipts: int = field(default=0)

    def request(self, **changes: Any) -> RequestItem:
        """A queued request of a user of its own."""
        self.made += 1
        item = RequestItem(
            request_id=f"{self.event_id}-r{self.made:04d}",
            event_id=self.event_id,
            user_id=f"u{self.made}",
            event_type=EventType.FIRST_COME,
            status=Status.QUEUED,
            requested_at_ms=NOW_MS - 2_000,
            queued_at_ms=NOW_MS - 1_000 + self.made,
        )
        return replace(item, **changes)

    def delivery(self, item: RequestItem, **changes: Any) -> Delivery:
        """One more delivery of a request's message."""
        self.receipts += 1
        message = ParticipationMessage(item.request_id, item.event_id, item.user_id)
        delivery = Delivery(
            message_id=f"m-{item.request_id}",
            receipt_handle=f"h-{item.request_id}-{self.receipts}",
            body=message.encode(),
            attempt=1,
            sent_at_ms=SENT_MS,
        )
        return replace(delivery, **changes)

    def candidate(self, item: RequestItem, **changes: Any) -> Candidate:
        """A request to decide, with one delivery."""
        return Candidate(
            ParticipationMessage(item.request_id, item.event_id, item.user_id),
            (self.delivery(item, **changes),),
        )


def settings_of(**changes: Any) -> WorkerSettings:
    """A worker's settings for the model; what is not given has its default."""
    given = {"http_host": "127.0.0.1", "http_port": 0, **changes}
    return worker_settings(given, "ap-northeast-2", "w1")


def parts_of(
    aws: Aws | None = None,
    *,
    table: Table | None = None,
    clock: Clock | None = None,
    worker_id: str = "w1",
    max_receive_count: int | None = 5,
    random: Random | None = None,
    **settings: Any,
) -> Parts:
    """The parts of a worker on the model of AWS."""
    aws = aws or Aws()
    clock = clock or Clock()
    return Parts(
        settings=settings_of(**settings),
        worker_id=worker_id,
        queue=aws.queue,
        dlq=aws.dlq,
        table=table or aws.table,
        bus=aws.bus,
        metrics=WorkerMetrics(CollectorRegistry(), clock),
        clock=clock,
        state=State(max_receive_count=max_receive_count),
        random=random or Random(worker_id),
    )


def sample(parts: Parts, name: str, **labels: str) -> float:
    """One figure of a worker; fails where there is none."""
    value = parts.metrics.registry.get_sample_value(name, labels)
    assert value is not None, f"no sample {name}{labels}"
    return value


def seated(plan: Plan, loaded: Loaded, reading: Reading) -> dict[str, SeatPlan]:
    """What becomes of a plan's seekers, event by event, if nothing is in the way."""
    return {
        event_id: decide.seats(seekers, loaded.events[event_id], reading.now_ms, reading.worker_id)
        for event_id, seekers in plan.seekers.items()
    }


async def total(results: AsyncIterator[BatchResult]) -> BatchResult:
    """All that becomes of a batch, added up."""
    added = BatchResult()
    async for result in results:
        added += result
    return added
