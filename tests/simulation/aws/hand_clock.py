"""A clock that tests move by hand, a model on it, and calls whose answers may come later."""

import heapq
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import orjson

from simulation.aws.account import Account
from simulation.aws.cloud import Cloud, queue_url
from simulation.aws.observer import Observer
from simulation.aws.sqs.messages import Message

START_MS = 1_704_289_999_000
"""2024-01-03T13:53:19Z."""


class Alarm:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class HandClock:
    """Stands still between calls of `advance`, which rings each alarm at its own time."""

    def __init__(self) -> None:
        self._now = 0.0
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._order = count()

    def time(self) -> float:
        return self._now

    def epoch_ms(self) -> int:
        return START_MS + round(self._now * 1000)

    def call_later(self, delay_s: float, callback: Callable[..., object], *arguments: Any) -> Alarm:
        alarm = Alarm(lambda: callback(*arguments))
        heapq.heappush(self._alarms, (self._now + delay_s, next(self._order), alarm))
        return alarm

    def advance(self, seconds: float) -> None:
        until = self._now + seconds
        while self._alarms and self._alarms[0][0] <= until:
            at, _, alarm = heapq.heappop(self._alarms)
            self._now = max(self._now, at)
            if not alarm.is_cancelled:
                alarm.callback()
        self._now = until

    @property
    def alarms(self) -> int:
        return sum(not alarm.is_cancelled for _, _, alarm in self._alarms)


class Pending:
    """A call's answer: None until it comes."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self.status = 0
        self.document: dict[str, Any] | None = None
        self.at = 0.0

    def respond(self, status: int, document: bytes) -> None:
        self.status, self.document = status, orjson.loads(document)
        self.at = self._clock.time()

    @property
    def messages(self) -> list[dict[str, Any]]:
        assert self.document is not None, "there is no answer yet"
        assert self.status == 200, self.document
        found: list[dict[str, Any]] = self.document.get("Messages", [])
        return found

    @property
    def bodies(self) -> list[str]:
        return [message["Body"] for message in self.messages]

    @property
    def error(self) -> str:
        assert self.document is not None, "there is no answer yet"
        assert self.status >= 400, self.document
        return str(self.document["__type"]).rpartition("#")[2]


class Log(Observer):
    """Writes down what happens to messages, events and records, as (what, …)."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []
        self.records: list[bytes] = []

    def sent(self, queue: str, message: Message) -> None:
        self.seen.append(("sent", queue, message.number))

    def received(self, queue: str, message: Message) -> None:
        self.seen.append(
            ("received", queue, message.number, message.receive_count, message.visible_at)
        )

    def changed_visibility(self, queue: str, message: Message) -> None:
        self.seen.append(("changed", queue, message.number, message.visible_at))

    def not_in_flight(self, queue: str, receipt: int, timeout_s: int) -> None:
        self.seen.append(("not in flight", queue, receipt, timeout_s))

    def deleted(self, queue: str, message: Message) -> None:
        self.seen.append(("deleted", queue, message.number))

    def moved(self, source: str, target: str, message: Message) -> None:
        self.seen.append(("moved", source, target, message.number))

    def published(self, entry: Mapping[str, Any]) -> None:
        self.seen.append(("published", entry["Detail"]))

    def delivered(self, record: bytes) -> None:
        self.seen.append(("delivered", record))
        self.records.append(record)

    def throttled(self, limit: str, resource: str) -> None:
        self.seen.append(("throttled", limit, resource))

    def of(self, what: str) -> list[tuple[object, ...]]:
        return [entry[1:] for entry in self.seen if entry[0] == what]


class Model:
    """A cloud on a clock of its own, with a queue `q`."""

    def __init__(self, **account: Any) -> None:
        self.clock = HandClock()
        self.cloud = Cloud(Account(self.clock, **account))
        self.queue = self.cloud.queue("q")

    def call(self, target: str, **parameters: Any) -> Pending:
        answer = Pending(self.clock)
        self.cloud.handle(target, orjson.dumps(parameters), answer.respond)
        return answer

    def sqs(self, operation: str, queue: str = "q", **parameters: Any) -> Pending:
        return self.call(f"AmazonSQS.{operation}", QueueUrl=queue_url(queue), **parameters)

    def send(self, *bodies: str) -> None:
        for body in bodies:
            assert self.sqs("SendMessage", MessageBody=body).status == 200

    def receive(self, most: int = 10, queue: str = "q", **parameters: Any) -> Pending:
        return self.sqs("ReceiveMessage", queue, MaxNumberOfMessages=most, **parameters)

    def delete(self, handle: str, queue: str = "q") -> Pending:
        return self.sqs("DeleteMessage", queue, ReceiptHandle=handle)

    def hide(self, handle: str, seconds: int) -> Pending:
        return self.sqs("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=seconds)
