"""AWS in unit tests: the simulation's model behind the real adapters, and what they did to it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, Final

import orjson

from aws.bus import Bus
from aws.event_changes import EventChanges
from aws.queue import Queue
from aws.table import Table
from config.quotas import NO_LIMITS, Limits
from schema import keys
from schema.items import Capacity, EventConfig, RequestItem
from schema.states import EventType, Status
from simulation.aws.account import Account
from simulation.aws.cloud import BUS_NAME, TABLE_NAME, Cloud, queue_url
from simulation.aws.observer import Observer
from simulation.aws.sqs.messages import Message
from simulation.checks.requests import RequestChecks
from simulation.checks.verdict import Rules, Verdict
from simulation.client import ModelClient, direct
from simulation.loop import START_S
from simulation.settings import DEAD_LETTER_QUEUE, LOST_EVENTS_QUEUE, QUEUE
from simulation.trace import Trace
from tests.aws.wire import Wire

NOW_MS: Final = 1_704_290_000_000
SENT_MS: Final = NOW_MS - 900
"""When the messages of stored requests were sent."""
_RULES: Final = Rules(
    receives_arrive=False,
    sends_are_answered=False,
    leases_hold=False,
    commits_are_answered=False,
    # Batches that are made together are no one batch where a test's clock stands still.
    batches_are_known=False,
    none_is_to_blame=False,
)


class _LoopClock:
    """The time of whichever event loop runs."""

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def epoch_ms(self) -> int:
        return NOW_MS + round((self.time() - START_S) * 1000)

    def call_later(
        self, delay_s: float, callback: Callable[..., object], *arguments: Any
    ) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_s, callback, *arguments)


class Aws(Observer):
    """One account: its adapters, what they did to it, and the simulation's checks of the table."""

    def __init__(self, limits: Limits = NO_LIMITS) -> None:
        self._clock = _LoopClock()
        self._account = Account(self._clock, limits, observer=self)
        self.cloud = Cloud(self._account)
        self.wire = Wire(self.cloud)
        self._account.entry_fault = self.wire.entry_fault
        self.table = Table(self._client("dynamodb"), TABLE_NAME, Random(0))
        self.event_changes = EventChanges(self._client("dynamodb"), TABLE_NAME, Random(0))
        self.straight = Table(ModelClient("dynamodb", direct(self.cloud)), TABLE_NAME, Random(0))
        """The table, past all faults."""
        self.queue = Queue(self._client("sqs"), queue_url(QUEUE))
        self.dlq = Queue(self._client("sqs"), queue_url(DEAD_LETTER_QUEUE), is_dlq=True)
        self.lost_events = Queue(self._client("sqs"), queue_url(LOST_EVENTS_QUEUE))
        self.bus = Bus(self._client("events"), BUS_NAME)
        self.cloud.queue(QUEUE)
        self.cloud.queue(DEAD_LETTER_QUEUE)
        self.cloud.queue(LOST_EVENTS_QUEUE)
        trace = Trace(lambda: 0.0)
        self._verdict = Verdict(trace)
        self._checks = RequestChecks(trace, self._verdict, _RULES)
        self.decisions: list[tuple[str, Status]] = []
        """Requests in the order in which they became final."""
        self.journal: list[str] = []
        """What was sent, published and deleted, in order."""
        self.sends: list[Message] = []
        self.events: list[Mapping[str, Any]] = []
        """What the bus accepted."""
        self.deletes: defaultdict[str, list[str]] = defaultdict(list)
        """Receipts, by queue."""
        self.hides: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        """Receipts whose messages got another visibility timeout, with its seconds, by queue."""

    def create(self, event_id: str, seats: int, kind: str = EventType.FIRST_COME) -> None:
        """Create an event with its seats."""
        capacity = Capacity(event_id=event_id, total=seats, remaining=seats).to_item()
        self.cloud.table.seed(EventConfig(event_id=event_id, event_type=kind).to_item())
        self.cloud.table.seed(dict(capacity))
        self._checks.wrote("", None, capacity)

    def store(self, *items: RequestItem) -> None:
        """Store requests that somebody sent."""
        for item in items:
            self.cloud.table.seed(item.to_item())
            self._checks.items[item.request_id] = item
            self._checks.sent_at_ms[item.request_id].add(SENT_MS)

    def put(
        self,
        *bodies: str,
        attributes: Mapping[str, str] | None = None,
        attempt: int = 1,
        to_dlq: bool = False,
    ) -> None:
        """Put messages into a queue together, so that their next receive is that attempt."""
        queue = self.cloud.queue(DEAD_LETTER_QUEUE if to_dlq else QUEUE)
        texts = {n: {"DataType": "String", "StringValue": v} for n, v in (attributes or {}).items()}
        messages = [queue.message(body, texts, self._clock.epoch_ms()) for body in bodies]
        for message in messages:
            message.receive_count = attempt - 1
        # They have always been there: nobody sees them come.
        self._account.observer = None
        queue.release(messages)
        self._account.observer = self

    @property
    def requests(self) -> Mapping[str, RequestItem]:
        """The requests as they stand."""
        return self._checks.items

    @property
    def statuses(self) -> Counter[str]:
        """How many requests stand where."""
        return Counter(item.status.value for item in self.requests.values())

    def seats_left(self, event_id: str) -> int:
        """An event's remaining seats."""
        key = keys.event_pk(event_id), keys.CAPACITY_SORT_KEY
        return int(self.cloud.table.store.records[key].item["capacityRemaining"]["N"])

    def check(self) -> None:
        """Fail where a write broke a rule of the simulation: seats, steps, final, times, index."""
        self._checks.check_seats()
        assert self._verdict.violation is None

    def wrote(self, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """Check a write, and note a decision."""
        item = self._checks.wrote("", before, after)
        if item is not None:
            self.decisions.append((item.request_id, item.status))

    def sent(self, _queue: str, message: Message) -> None:
        """Note a message that a program sent."""
        self.sends.append(message)
        self.journal.append("send")

    def published(self, entry: Mapping[str, Any]) -> None:
        """Note an event."""
        self.events.append(entry)
        self.journal.append(f"publish {orjson.loads(entry['Detail'])['requestId']}")

    def deleted(self, queue: str, message: Message) -> None:
        """Note a delete."""
        self.deletes[queue].append(message.receipt_handle)
        self.journal.append(f"delete {message.receipt_handle}")

    def changed_visibility(self, queue: str, message: Message) -> None:
        """Note when a message becomes visible again."""
        timeout_s = round(message.visible_at - self._clock.time())
        self.hides[queue].append((message.receipt_handle, timeout_s))

    def _client(self, service: str) -> ModelClient:
        return ModelClient(service, partial(self.wire.carry, service))
