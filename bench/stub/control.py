"""The model of AWS under measurement: latencies, and its own operations as JSON over HTTP."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from statistics import quantiles
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import orjson

from bench.stub.http import Responder
from schema import keys
from schema.items import Capacity, EventConfig, RequestItem
from schema.message import ParticipationMessage
from schema.states import EventType, Status
from simulation.aws.account import Account
from simulation.aws.clock import MachineClock
from simulation.aws.cloud import Cloud
from simulation.aws.observer import Observer
from simulation.aws.sqs.messages import Message

PREFIX: Final = "/_stub/"
REQUESTS_QUEUE: Final = "requests"
DEAD_LETTER_QUEUE: Final = "requests-dlq"
_SETTLE_S: Final = 0.002


class _Watch(Observer):
    """Times messages from their receive to their confirmed delete, as the client sees them."""

    def __init__(self, latency_s: Callable[[str], float]) -> None:
        self._latency_s = latency_s
        self._received_at: dict[int, float] = {}
        self.latencies_s: list[float] = []
        self.deleted_messages = 0
        self.on_delete: Callable[[], None] = lambda: None

    def received(self, queue: str, message: Message) -> None:  # noqa: ARG002 - the interface
        """Note when the client will have it."""
        self._received_at[message.number] = time.monotonic() + self._latency_s("ReceiveMessage")

    def deleted(self, queue: str, message: Message) -> None:  # noqa: ARG002 - the interface
        """Note when the client will know that it is gone."""
        confirmed_at = time.monotonic() + self._latency_s("DeleteMessageBatch")
        self.latencies_s.append(confirmed_at - self._received_at.pop(message.number))
        self.deleted_messages += 1
        self.on_delete()


class Control:
    """Prepares a measurement and reports its figures; `release` begins one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._latencies_s: dict[str, float] = {}
        self._default_latency_s = 0.0
        self._watch = _Watch(self._latency_s)
        self._cloud = Cloud(Account(MachineClock(loop), observer=self._watch))
        self._held: dict[str, list[Message]] = {}
        self._began_at = time.monotonic()
        self._began_cpu_s = time.process_time()
        self._began_deleted = 0
        self._began_events = 0

    def _latency_s(self, operation: str) -> float:
        return self._latencies_s.get(operation, self._default_latency_s)

    def _handle_call(self, target: str, body: bytes, respond: Responder) -> None:
        latency_s = self._latency_s(target.rpartition(".")[2])
        if not latency_s:
            self._cloud.handle(target, body, respond)
            return

        def later(status: int, document: bytes) -> None:
            self._loop.call_later(latency_s, respond, status, document)

        self._cloud.handle(target, body, later)

    def handle(self, url: bytes, target: str, body: bytes, respond: Responder) -> None:
        """Answer an AWS call, or a call to one of the stand-in's own addresses."""
        if target:
            self._handle_call(target, body, respond)
            return
        parts = urlsplit(url.decode())
        action = parts.path.removeprefix(PREFIX)
        if action == "wait":
            query = parse_qs(parts.query)
            self._wait(int(query["deleted"][0]), float(query["timeout_s"][0]), respond)
            return
        actions = {
            "reset": self._reset,
            "seed": self._seed,
            "release": self._release,
            "stats": self._stats,
        }
        if action not in actions:
            respond(404, b'{"message": "no such address"}')
            return
        respond(200, orjson.dumps(actions[action](orjson.loads(body or b"{}"))))

    def _reset(self, request: dict[str, Any]) -> dict[str, Any]:
        """Empty everything and set the latencies (milliseconds: one number, or by operation)."""
        self._cloud.clear()
        self._held.clear()
        latency_ms = request.get("latencyMs", 0)
        by_operation = latency_ms if isinstance(latency_ms, dict) else {"default": latency_ms}
        self._default_latency_s = by_operation.get("default", 0) / 1000
        self._latencies_s = {name: ms / 1000 for name, ms in by_operation.items()}
        for name in (REQUESTS_QUEUE, DEAD_LETTER_QUEUE):
            self._cloud.queue(name)
        self._mark()
        return {}

    def _seed(self, request: dict[str, Any]) -> dict[str, Any]:
        """Store events and requests, and hold their messages (or any given ones) back."""
        name = request.get("queue", REQUESTS_QUEUE)
        queue = self._cloud.queue(name)
        now_ms = time.time_ns() // 1_000_000
        bodies = [request["body"]] * request["count"] if "body" in request else []
        events = request.get("events", [])
        for event in events:
            self._store_event(event["eventId"], event["seats"], now_ms)
        if events:
            first, count = request.get("firstUser", 0), request["requests"]
            for number in range(first, first + count):
                event_id = events[number % len(events)]["eventId"]
                bodies.append(self._store_request(event_id, f"user-{number:07d}", now_ms))
        held = self._held.setdefault(name, [])
        held += [queue.message(b, request.get("messageAttributes"), now_ms) for b in bodies]
        for message in held:
            message.prepare()
        return {"held": len(held)}

    def _store_event(self, event_id: str, seats: int, now_ms: int) -> None:
        config = EventConfig(event_id=event_id, event_type=EventType.FIRST_COME.value)
        capacity = Capacity(event_id=event_id, total=seats, remaining=seats, updated_at_ms=now_ms)
        self._cloud.table.seed(config.to_item())
        self._cloud.table.seed(capacity.to_item())

    def _store_request(self, event_id: str, user_id: str, now_ms: int) -> str:
        request_id = keys.request_id(event_id, user_id)
        item = RequestItem(
            request_id=request_id,
            event_id=event_id,
            user_id=user_id,
            event_type=EventType.FIRST_COME.value,
            status=Status.QUEUED,
            requested_at_ms=now_ms,
            queued_at_ms=now_ms,
        )
        self._cloud.table.seed(item.to_item())
        return ParticipationMessage(request_id, event_id, user_id).encode()

    def _release(self, _: dict[str, Any]) -> dict[str, Any]:
        """Begin to measure, and let the held messages into their queues."""
        self._mark()
        for name, messages in self._held.items():
            self._cloud.queue(name).release(messages)
        self._held.clear()
        return {}

    def _mark(self) -> None:
        self._cloud.calls.clear()
        self._watch.latencies_s.clear()
        self._began_at = time.monotonic()
        self._began_cpu_s = time.process_time()
        self._began_deleted = self._watch.deleted_messages
        self._began_events = self._cloud.bus.accepted

    def _wait(self, deleted: int, timeout_s: float, respond: Responder) -> None:
        """Answer with the figures once that number of deletes is confirmed, or time is up."""
        answered = False

        def answer() -> None:
            nonlocal answered
            if not answered:
                answered = True
                respond(200, orjson.dumps(self._stats({})))

        def check() -> None:
            if self._watch.deleted_messages - self._began_deleted >= deleted:
                self._loop.call_later(self._latency_s("DeleteMessageBatch") + _SETTLE_S, answer)

        self._watch.on_delete = check
        self._loop.call_later(timeout_s, answer)
        check()

    def _stats(self, _: dict[str, Any]) -> dict[str, Any]:
        """The figures since the measurement began."""
        cloud = self._cloud
        wall_s = time.monotonic() - self._began_at
        cpu_s = time.process_time() - self._began_cpu_s
        latencies = sorted(self._watch.latencies_s)
        items = [record.item for record in cloud.table.store.records.values()]
        statuses = Counter(str(item["status"]["S"]) for item in items if "status" in item)
        return {
            "wallS": wall_s,
            "cpuS": cpu_s,
            "utilisation": cpu_s / wall_s if wall_s else 0.0,
            "calls": dict(cloud.calls),
            "deleted": self._watch.deleted_messages - self._began_deleted,
            "events": cloud.bus.accepted - self._began_events,
            "refusedEvents": cloud.bus.refused,
            "statuses": dict(statuses),
            "latencyMs": _percentiles([seconds * 1000 for seconds in latencies]),
            "queues": {
                name: {
                    "waiting": queue.waiting,
                    "inFlight": queue.in_flight,
                    "sent": queue.sent,
                    "deleted": queue.deleted,
                }
                for name, queue in cloud.queues.items()
            },
        }


def _percentiles(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {"p50": values[0], "p95": values[0], "p99": values[0]} if values else {}
    cuts = quantiles(values, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}
