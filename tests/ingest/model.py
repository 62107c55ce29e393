"""Ingest without its sockets on the model of AWS, and people who click on it."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from random import Random
from typing import Any, Final

import anyio
import orjson
from prometheus_client import CollectorRegistry

from aws.client import CallObserver, Client, ClientOptions
from ingest.app import Health
from ingest.asgi import ASGIApp, Message
from ingest.metrics import IngestMetrics
from ingest.service import Service, open_service
from ingest.tokens import Identity
from simulation.aws.errors import ServiceError
from simulation.client import ModelClient
from simulation.settings import ingest_settings
from tests.aws.model import NOW_MS, Aws
from tests.aws.wire import Fault

TABLE: Final = ("BatchExecuteStatement", "BatchGetItem", "Query")
"""What ingest calls of DynamoDB once it runs."""
BROKEN: Final = ServiceError("InternalServerError", "not now", status=500)
THROTTLED_ENTRY: Final = "ThrottlingError"


class Trusting:
    """Believes each token to be its user's name."""

    async def identify(self, token: str) -> Identity:
        return Identity(token, "hash")


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody was answered, and after how long."""

    status: int
    headers: Mapping[str, str]
    document: Mapping[str, Any]
    asked_at_s: float
    took_s: float


@dataclass(slots=True)
class Ingest:
    """A service on a model of AWS with one event."""

    aws: Aws = field(default_factory=Aws)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    options: dict[str, ClientOptions] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    health: Health = field(default_factory=Health)
    clients_done: dict[str, anyio.Event] = field(default_factory=dict)
    """Set, by user, when that user sends nothing more."""
    _app: ASGIApp | None = None

    @asynccontextmanager
    async def opened(self, **settings: Any) -> AsyncIterator[Service]:
        """Open the service; nothing is checked yet."""
        self.aws.create("event-1", seats=5)
        async with open_service(
            ingest_settings(settings, "ap-northeast-2"),
            self._opener,
            nullcontext(Trusting()),
            metrics=IngestMetrics(self.registry),
            health=self.health,
            clock_ms=lambda: NOW_MS,
            stopwatch_s=anyio.current_time,
            random=Random(0),
        ) as service:
            self._app = service.app
            yield service

    @asynccontextmanager
    async def _opener(
        self, service: str, options: ClientOptions, _observer: CallObserver
    ) -> AsyncIterator[Client]:
        self.options[service] = options
        yield ModelClient(service, partial(self.aws.wire.carry, service))

    def fails(self, operations: Iterable[str], fault: Fault, after_s: float = 0.0) -> None:
        """Have every call of some operations fail from now on, so long after it was made."""
        for operation in operations:
            self.aws.wire.faults[operation] = repeat(fault)
            self.aws.wire.each_way_s[operation] = after_s

    def works(self, each_way_s: float = 0.003) -> None:
        """Have every call succeed from now on."""
        self.aws.wire.faults.clear()
        self.aws.wire.entry_faults.clear()
        for operation in (*TABLE, "SendMessageBatch"):
            self.aws.wire.each_way_s[operation] = each_way_s

    async def click(self, user: str) -> Answer:
        """One user's click on the event."""
        return await self.ask(user, "POST", "/events/event-1/participations")

    async def ask(self, user: str, method: str, path: str) -> Answer:
        """One user's request."""
        assert self._app is not None
        began_s = anyio.current_time()
        sent: list[Message] = []

        body_was_read = False

        async def receive() -> Message:
            nonlocal body_was_read
            if not body_was_read:
                body_was_read = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await self.clients_done.setdefault(user, anyio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await self._app(_scope(user, method, path), receive, send)
        self.in_flight -= 1
        start, body = sent
        answer = Answer(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            orjson.loads(body["body"]),
            began_s,
            anyio.current_time() - began_s,
        )
        self.answers.append(answer)
        return answer

    async def crowd(self, name: str, rate: int, seconds: float) -> list[Answer]:
        """As many users a second, for a while; returns what they were answered, in this order."""
        first = len(self.answers)
        async with anyio.create_task_group() as tasks:
            for number in range(round(rate * seconds)):
                tasks.start_soon(self.click, f"{name}-{number}")
                await anyio.sleep(1 / rate)
        return self.answers[first:]

    def figure(self, name: str, **labels: str) -> float:
        """One of the service's figures."""
        value = self.registry.get_sample_value(name, labels)
        assert value is not None, f"no sample {name}{labels}"
        return value


def statuses(answers: Iterable[Answer]) -> Counter[int]:
    """How many were answered what."""
    return Counter(answer.status for answer in answers)


def _scope(user: str, method: str, target: str) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"authorization", b"Bearer " + user.encode())],
    }
