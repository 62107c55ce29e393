"""The stand-in's own operations: reset, seed, release, wait and stats, as JSON over HTTP."""

import time
from collections import Counter
from statistics import quantiles
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import orjson

from bench.stub.http import Responder
from bench.stub.messages import Message
from bench.stub.service import Service
from schema import keys
from schema.items import Capacity, EventConfig, RequestItem
from schema.message import ParticipationMessage
from schema.states import EventType, Status

PREFIX: Final = "/_stub/"
REQUESTS_QUEUE: Final = "requests"
DEAD_LETTER_QUEUE: Final = "requests-dlq"
_SETTLE_S: Final = 0.002


class Control:
    """Prepares a measurement and reports its figures; `release` begins one."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._held: dict[str, list[Message]] = {}
        self._began_at = time.monotonic()
        self._began_cpu_s = time.process_time()
        self._began_deleted = 0
        self._began_events = 0

    def handle(self, url: bytes, target: str, body: bytes, respond: Responder) -> None:
        """Answer an AWS call, or a call to one of the stand-in's own addresses."""
        if target:
            self._service.handle(target, body, respond)
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
        service = self._service
        service.clear()
        self._held.clear()
        latency_ms = request.get("latencyMs", 0)
        by_operation = latency_ms if isinstance(latency_ms, dict) else {"default": latency_ms}
        service.default_latency_s = by_operation.get("default", 0) / 1000
        service.latencies_s = {name: ms / 1000 for name, ms in by_operation.items()}
        for name in (REQUESTS_QUEUE, DEAD_LETTER_QUEUE):
            service.queue(name)
        self._mark()
        return {}

    def _seed(self, request: dict[str, Any]) -> dict[str, Any]:
        """Store events and requests, and hold their messages (or any given ones) back."""
        name = request.get("queue", REQUESTS_QUEUE)
        queue = self._service.queue(name)
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
        self._service.table.seed(config.to_item())
        self._service.table.seed(capacity.to_item())

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
        self._service.table.seed(item.to_item())
        return ParticipationMessage(request_id, event_id, user_id).encode()

    def _release(self, _: dict[str, Any]) -> dict[str, Any]:
        """Begin to measure, and let the held messages into their queues."""
        self._mark()
        for name, messages in self._held.items():
            self._service.queue(name).release(messages)
        self._held.clear()
        return {}

    def _mark(self) -> None:
        service = self._service
        service.calls.clear()
        for queue in service.queues.values():
            queue.latencies_s.clear()
        self._began_at = time.monotonic()
        self._began_cpu_s = time.process_time()
        self._began_deleted = self._deleted()
        self._began_events = service.bus.accepted

    def _deleted(self) -> int:
        return sum(queue.deleted for queue in self._service.queues.values())

    def _wait(self, deleted: int, timeout_s: float, respond: Responder) -> None:
        """Answer with the figures once that number of deletes is confirmed, or time is up."""
        answered = False

        def answer() -> None:
            nonlocal answered
            if not answered:
                answered = True
                respond(200, orjson.dumps(self._stats({})))

        def check() -> None:
            if self._deleted() - self._began_deleted >= deleted:
                confirmed_s = self._service.latency_s("DeleteMessageBatch") + _SETTLE_S
                self._service.loop.call_later(confirmed_s, answer)

        for queue in self._service.queues.values():
            queue.on_delete = check
        self._service.loop.call_later(timeout_s, answer)
        check()

    def _stats(self, _: dict[str, Any]) -> dict[str, Any]:
        """The figures since the measurement began."""
        service = self._service
        wall_s = time.monotonic() - self._began_at
        cpu_s = time.process_time() - self._began_cpu_s
        latencies = sorted(s for queue in service.queues.values() for s in queue.latencies_s)
        items = [record.item for record in service.table.store.records.values()]
        statuses = Counter(str(item["status"]["S"]) for item in items if "status" in item)
        return {
            "wallS": wall_s,
            "cpuS": cpu_s,
            "utilisation": cpu_s / wall_s if wall_s else 0.0,
            "calls": dict(service.calls),
            "deleted": self._deleted() - self._began_deleted,
            "events": service.bus.accepted - self._began_events,
            "refusedEvents": service.bus.refused,
            "statuses": dict(statuses),
            "latencyMs": _percentiles([seconds * 1000 for seconds in latencies]),
            "queues": {
                name: {
                    "waiting": queue.waiting,
                    "inFlight": queue.in_flight,
                    "sent": queue.sent,
                    "deleted": queue.deleted,
                }
                for name, queue in service.queues.items()
            },
        }


def _percentiles(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {"p50": values[0], "p95": values[0], "p99": values[0]} if values else {}
    cuts = quantiles(values, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}
