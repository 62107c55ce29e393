"""Stand-ins in memory for the worker's AWS: a table that keeps its own invariants, and the rest."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from random import Random
from typing import Any

import anyio
from prometheus_client import CollectorRegistry

from aws.bus import Bus
from aws.errors import Fatal, Rejected, Transient
from aws.queue import Delivery, OutgoingMessage, Queue, VisibilityChange
from aws.table import EventState, Loaded, SeatsCancelled, Table
from config.settings import WorkerSettings
from schema import attributes
from schema.items import Capacity, Change, EventConfig, RequestItem
from schema.message import ParticipationMessage
from schema.states import EventType, Status
from tests.aws.scripted import ScriptedClient
from worker.decide import Candidate
from worker.metrics import WorkerMetrics
from worker.parts import Parts

NOW_MS = 1_704_290_000_000


class Fault(Enum):
    """What goes wrong with one call of the table."""

    NONE = "none"
    REFUSED = "refused"
    """Throttled: certainly no effect."""
    UNSENT = "unsent"
    """No answer, and no effect."""
    UNANSWERED = "unanswered"
    """No answer, though it took effect."""
    LATE = "late"
    """No answer, and it takes effect some calls later, when the caller has long gone on."""
    CONFLICT = "conflict"
    """Another transaction is under way: cancelled, no effect."""
    HALF = "half"
    """Of a batch of statements every other one is throttled."""


def throttled(operation: str) -> Transient:
    """A refusal for the rate."""
    return Transient("dynamodb", operation, "ThrottlingException", "slow down", {"Error": {}})


def unanswered(operation: str) -> Transient:
    """A call of which nobody knows whether it took effect."""
    return Transient("dynamodb", operation, "ReadTimeoutError", "no answer")


def condition_failed(operation: str) -> Rejected:
    """A write that found another status than the one read."""
    return Rejected("dynamodb", operation, "ConditionalCheckFailed", "the condition failed")


class FakeTable(Table):
    """The table in memory, with DynamoDB's conditions, transactions and tokens.

    After every write it checks what must hold at every instant (domain §4): seats left are seats
    in total without the winners, and what is final stays as it is.
    """

    def __init__(self) -> None:
        super().__init__(ScriptedClient(), "T")
        self.requests: dict[str, RequestItem] = {}
        self.events: dict[str, EventState] = {}
        self.unreadable: dict[str, str] = {}
        self.faults: dict[str, list[Fault | Exception]] = {}
        """What goes wrong with the next calls, by operation."""
        self.denied: set[str] = set()
        """Requests whose statement is refused for lack of permission."""
        self.takes_s = 0.0
        self.log: list[tuple[str, tuple[str, ...]]] = []
        """The calls that took effect, with the requests they wrote, in order."""
        self.tokens: dict[str, tuple[str, tuple[Change, ...], int]] = {}
        self.transactions_under_way = 0
        self.most_transactions_under_way = 0
        self._committed: set[str] = set()
        self._late: list[tuple[int, Callable[[], object]]] = []
        self.asked: Counter[str] = Counter()
        self.stamped: list[tuple[str, int]] = []

    def create(self, event_id: str, seats: int, kind: str = EventType.FIRST_COME) -> None:
        """Create an event with its seats."""
        self.events[event_id] = EventState(
            EventConfig(event_id=event_id, event_type=kind),
            Capacity(event_id=event_id, total=seats, remaining=seats),
        )

    def seats_left(self, event_id: str) -> int:
        """An event's remaining seats."""
        capacity = self.events[event_id].capacity
        assert capacity is not None
        return capacity.remaining

    def statuses(self) -> Counter[str]:
        """How many requests stand where."""
        return Counter(item.status.value for item in self.requests.values())

    async def load(self, request_ids: Iterable[str], event_ids: Iterable[str] = ()) -> Loaded:
        """Read a consistent state."""
        fault = await self._begin("load")
        if fault is not Fault.NONE:
            raise throttled("BatchGetItem")
        wanted = list(request_ids)
        loaded = Loaded(
            {name: self.requests[name] for name in wanted if name in self.requests},
            {name: self.unreadable[name] for name in wanted if name in self.unreadable},
            {name: self.events.get(name, EventState()) for name in event_ids},
        )
        await anyio.sleep(self.takes_s)
        return loaded

    async def take_seats(
        self, event_id: str, changes: Sequence[Change], at_ms: int, token: str
    ) -> None:
        """Commit all or nothing; a token once used does nothing, and binds its payload."""
        self.transactions_under_way += 1
        self.most_transactions_under_way = max(
            self.most_transactions_under_way, self.transactions_under_way
        )
        try:
            fault = await self._begin("take_seats")
            assert 1 <= len(changes) <= 99
            payload = (event_id, tuple(changes), at_ms)
            assert self.tokens.setdefault(token, payload) == payload, "a token with another payload"
            if fault is Fault.REFUSED:
                raise throttled("TransactWriteItems")
            if fault is Fault.UNSENT:
                raise unanswered("TransactWriteItems")
            if fault is Fault.CONFLICT:
                raise self._cancelled(["TransactionConflict", *(["None"] * len(changes))])
            if fault is Fault.LATE:
                self._later(lambda: self._transact(event_id, changes, token))
                raise unanswered("TransactWriteItems")
            self._transact(event_id, changes, token)
            await anyio.sleep(self.takes_s)
            if fault is not Fault.NONE:
                raise unanswered("TransactWriteItems")
        finally:
            self.transactions_under_way -= 1

    async def write(self, changes: Sequence[Change]) -> list[Exception | None]:
        """Write each change on its own condition."""
        fault = await self._begin("write")
        assert 1 <= len(changes) <= 25
        if fault is Fault.REFUSED:
            raise throttled("BatchExecuteStatement")
        if fault is Fault.UNSENT:
            raise unanswered("BatchExecuteStatement")
        if fault is Fault.LATE:
            for change in changes:
                self._later(partial(self._write, change))
            raise unanswered("BatchExecuteStatement")
        results = [
            throttled("BatchExecuteStatement")
            if fault in {Fault.HALF, Fault.CONFLICT} and number % 2 == 0
            else self._write(change)
            for number, change in enumerate(changes)
        ]
        await anyio.sleep(self.takes_s)
        if fault is Fault.UNANSWERED:
            raise unanswered("BatchExecuteStatement")
        return results

    async def stamp_dlq(self, request_id: str, at_ms: int) -> None:
        """Note the stamp."""
        await self._begin("stamp_dlq")
        self.stamped.append((request_id, at_ms))
        item = self.requests.get(request_id)
        if item is not None and not item.status.is_final:
            self.requests[request_id] = replace(item, dlq_at_ms=at_ms)

    def check_invariants(self) -> None:
        """Exactly N, at every instant."""
        winners = Counter(
            item.event_id
            for item in self.requests.values()
            if item.status is Status.SUCCEEDED and item.event_type == EventType.FIRST_COME
        )
        for event_id, state in self.events.items():
            if state.capacity is not None:
                assert state.capacity.remaining >= 0
                assert state.capacity.remaining == state.capacity.total - winners[event_id]

    async def _begin(self, operation: str) -> Fault:
        self.asked[operation] += 1
        await anyio.sleep(self.takes_s)
        due = [effect for calls_left, effect in self._late if calls_left == 0]
        self._late = [(calls_left - 1, effect) for calls_left, effect in self._late if calls_left]
        for effect in due:
            with suppress(SeatsCancelled):
                effect()
        faults = self.faults.get(operation, [])
        fault = faults.pop(0) if faults else Fault.NONE
        if isinstance(fault, Exception):
            raise fault
        return fault

    def _later(self, effect: Callable[[], object]) -> None:
        self._late.append((1, effect))

    def _transact(self, event_id: str, changes: Sequence[Change], token: str) -> None:
        if token in self._committed:
            return
        state = self.events.get(event_id, EventState())
        enough = state.capacity is not None and state.capacity.remaining >= len(changes)
        met = [enough, *(self._stands(change) for change in changes)]
        if not all(met):
            raise self._cancelled(["None" if m else "ConditionalCheckFailed" for m in met])
        assert state.capacity is not None
        left = replace(state.capacity, remaining=state.capacity.remaining - len(changes))
        self.events[event_id] = replace(state, capacity=left)
        for change in changes:
            self._apply(change)
        self._committed.add(token)
        self.log.append(("take_seats", tuple(change.before.request_id for change in changes)))
        self.check_invariants()

    def _write(self, change: Change) -> Exception | None:
        request_id = change.before.request_id
        if request_id in self.denied:
            return Fatal("dynamodb", "BatchExecuteStatement", "AccessDenied", "no")
        if not self._stands(change):
            return condition_failed("BatchExecuteStatement")
        self._apply(change)
        self.log.append(("write", (request_id,)))
        self.check_invariants()
        return None

    def _stands(self, change: Change) -> bool:
        stored = self.requests.get(change.before.request_id)
        return stored is not None and stored.status is change.before.status

    def _apply(self, change: Change) -> None:
        stored = self.requests[change.before.request_id]
        assert not stored.status.is_final
        assigned = {name: attributes.encode(v) for name, v in change.assignments().items()}
        self.requests[stored.request_id] = RequestItem.from_item(stored.to_item() | assigned)

    def _cancelled(self, reasons: Sequence[str]) -> SeatsCancelled:
        return SeatsCancelled(
            "dynamodb",
            "TransactWriteItems",
            "TransactionCanceledException",
            f"cancelled, reasons {list(reasons)}",
            {"CancellationReasons": [{"Code": reason} for reason in reasons]},
        )


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
            sent_at_ms=NOW_MS - 900,
        )
        return replace(delivery, **changes)

    def candidate(self, item: RequestItem, **changes: Any) -> Candidate:
        """A request to decide, with one delivery."""
        return Candidate(
            ParticipationMessage(item.request_id, item.event_id, item.user_id),
            (self.delivery(item, **changes),),
        )


def settings_of(**changes: Any) -> WorkerSettings:
    """A worker's settings; what is not given has its default."""
    given: dict[str, Any] = {
        "aws_region": "ap-northeast-2",
        "queue_url": "http://queue",
        "dlq_url": "http://dlq",
        "http_host": "127.0.0.1",
        "http_port": 0,
        "worker_id": "w1",
    }
    return WorkerSettings(**given | changes)


def parts_of(
    *,
    table: Table | None = None,
    queue: Queue | None = None,
    dlq: Queue | None = None,
    bus: Bus | None = None,
    clock: Clock | None = None,
    worker_id: str = "w1",
    max_receive_count: int | None = 5,
    random: Random | None = None,
    **settings: Any,
) -> Parts:
    """The parts of a worker without any AWS."""
    nobody = ScriptedClient([Fatal("test", "call", "NoClient", "this test has no such client")])
    return Parts(
        settings=settings_of(**settings),
        worker_id=worker_id,
        queue=queue or Queue(nobody, "http://queue"),
        dlq=dlq or Queue(nobody, "http://dlq", is_dlq=True),
        table=table or FakeTable(),
        bus=bus or Bus(nobody, "bus"),
        metrics=WorkerMetrics(CollectorRegistry()),
        clock=clock or Clock(),
        max_receive_count=max_receive_count,
        random=random or Random(worker_id),
    )


def sample(parts: Parts, name: str, **labels: str) -> float:
    """One figure of a worker; fails where there is none."""
    value = parts.metrics.registry.get_sample_value(name, labels)
    assert value is not None, f"no sample {name}{labels}"
    return value


class FakeQueue(Queue):
    """A queue in memory: gives what a test puts in, and notes all that is asked of it."""

    def __init__(self, journal: list[str] | None = None, *, is_dlq: bool = False) -> None:
        super().__init__(ScriptedClient(), "http://dlq" if is_dlq else "http://q", is_dlq=is_dlq)
        self.journal: list[str] = [] if journal is None else journal
        """What happened, in order; may be shared with other stand-ins."""
        self.receives: list[list[Delivery] | Exception] = []
        """Answers to the next polls; after them, each poll ends empty when its wait is over."""
        self.endless: Callable[[int], list[Delivery]] | None = None
        """Makes as many deliveries as each poll asks for, without end."""
        self.polls: list[tuple[float, int]] = []
        """When each poll began, and for how many messages it asked."""
        self.polls_under_way = 0
        self.deleted: list[str] = []
        self.visibility: list[VisibilityChange] = []
        self.sent: list[OutgoingMessage] = []
        self.errors: dict[str, list[Exception | None]] = {}
        """Answers to the next entries, by operation; after them, each succeeds."""
        self.receives_take_s = 0.01
        self.changes_take_s = 0.0

    async def receive(
        self,
        max_messages: int,
        wait_s: int,
        visibility_timeout_s: int,  # noqa: ARG002 - part of the interface
    ) -> list[Delivery]:
        """Give the next answer, or nothing when the wait is over."""
        self.polls.append((anyio.current_time(), max_messages))
        self.polls_under_way += 1
        try:
            if not self.receives and self.endless is None:
                await anyio.sleep(wait_s)
                return []
            answer = self.receives.pop(0) if self.endless is None else self.endless(max_messages)
            await anyio.sleep(self.receives_take_s)
        finally:
            self.polls_under_way -= 1
        if isinstance(answer, Exception):
            raise answer
        assert len(answer) <= max_messages
        return answer

    async def delete(self, receipt_handles: Sequence[str]) -> list[Exception | None]:
        """Note what is deleted."""
        assert 1 <= len(receipt_handles) <= 10
        results = [self._next_error("delete") for _ in receipt_handles]
        for handle, error in zip(receipt_handles, results, strict=True):
            if error is None:
                self.deleted.append(handle)
                self.journal.append(f"delete {handle}")
        return results

    async def change_visibility(
        self, changes: Sequence[VisibilityChange]
    ) -> list[Exception | None]:
        """Note what becomes visible when."""
        assert 1 <= len(changes) <= 10
        await anyio.sleep(self.changes_take_s)
        results = [self._next_error("change_visibility") for _ in changes]
        for change, error in zip(changes, results, strict=True):
            if error is None:
                self.visibility.append(change)
                self.journal.append(f"visible {change.receipt_handle}")
        return results

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[str | Exception]:
        """Note what is sent."""
        assert 1 <= len(messages) <= 10
        results: list[str | Exception] = []
        for message in messages:
            error = self._next_error("send")
            if error is None:
                self.sent.append(message)
                self.journal.append("send")
            results.append(error or f"new-{len(self.sent)}")
        return results

    def _next_error(self, operation: str) -> Exception | None:
        errors = self.errors.get(operation, [])
        return errors.pop(0) if errors else None
