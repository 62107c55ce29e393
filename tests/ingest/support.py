"""What ingest's tests share: a gateway in memory, an app over it, tokens, and HTTP clients."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from time import time
from typing import Any, Final

import anyio
import httpx
from prometheus_client import CollectorRegistry

from config.settings import IngestSettings
from ingest import tokens
from ingest.access import Access
from ingest.app import Health, create_app
from ingest.asgi import ASGIApp
from ingest.claims import ClaimRules
from ingest.gateway import (
    Advance,
    Event,
    Failure,
    Insertion,
    Position,
    Progress,
    RequestPage,
    Unavailable,
)
from ingest.metrics import IngestMetrics
from ingest.tokens import SecretVerifier, TokenAuthenticator
from schema import keys
from schema.events import ParticipationRequested
from schema.items import Capacity, EventConfig, RequestItem
from schema.message import ParticipationMessage
from schema.states import EventType, Status

SECRET: Final = "a secret of more than thirty-two bytes"
EVENT: Final = EventConfig(event_id="event-1", event_type=EventType.FIRST_COME)


def now_ms() -> int:
    """Epoch milliseconds."""
    return int(time() * 1000)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, at_ms: int = 1_700_000_000_000) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.at_ms += round(seconds * 1000)


@dataclass
class MemoryGateway:
    """Table, queue and bus in memory: notes every operation, and fails as a test says."""

    events: dict[str, EventConfig] = field(default_factory=lambda: {EVENT.event_id: EVENT})
    capacities: dict[str, Capacity] = field(default_factory=dict)
    requests: dict[str, RequestItem] = field(default_factory=dict)
    messages: list[ParticipationMessage] = field(default_factory=list)
    published: list[ParticipationRequested] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)
    fails: Callable[[str], str | None] = lambda _operation: None
    """How an operation fails: "before" or "after" it took effect, or None."""
    before: Callable[[str], Any] = lambda _operation: None
    """Is called, and awaited if need be, before each operation."""
    loses_first_answer: bool = False
    """Whether an insert is tried twice, because the answer to the first try was lost."""

    async def _run(self, operation: str, effect: Callable[[], Any]) -> Any:
        self.operations.append(operation)
        waiting = self.before(operation)
        if waiting is not None:
            await waiting
        await anyio.lowlevel.checkpoint()
        failure = self.fails(operation)
        if failure == "before":
            raise Unavailable(operation, "injected")
        result = effect()
        if failure == "after":
            raise Unavailable(operation, "injected")
        return result

    async def load_event(self, event_id: str) -> Event | None:
        def effect() -> Event | None:
            config = self.events.get(event_id)
            return None if config is None else Event(config, self.capacities.get(event_id))

        found: Event | None = await self._run("event", effect)
        return found

    async def load_request(self, request_id: str) -> RequestItem | None:
        found: RequestItem | None = await self._run(
            "request", lambda: self.requests.get(request_id)
        )
        return found

    async def load_request_again(self, request_id: str) -> RequestItem | None:
        found: RequestItem | None = await self._run("again", lambda: self.requests.get(request_id))
        return found

    async def advance(self, request: RequestItem) -> Advance:  # noqa: ARG002
        """Leave each step to its own operation."""
        return Advance(Progress.NEW)

    async def insert(self, request: RequestItem, failed: Failure | None = None) -> Insertion:  # noqa: ARG002
        def effect() -> Insertion:
            is_new = request.request_id not in self.requests
            self.requests.setdefault(request.request_id, request)
            if self.loses_first_answer:
                return Insertion(is_new=False, was_retried=True)
            return Insertion(is_new)

        insertion: Insertion = await self._run("insert", effect)
        return insertion

    async def send(self, message: ParticipationMessage, failed: Failure | None = None) -> None:  # noqa: ARG002
        await self._run("send", lambda: self.messages.append(message))

    async def mark_queued(
        self,
        request: RequestItem,
        queued_at_ms: int,
        failed: Failure | None = None,  # noqa: ARG002
    ) -> bool:
        def effect() -> bool:
            if self.requests[request.request_id].status is not Status.RECEIVED:
                return False
            self.requests[request.request_id] = replace(
                request, status=Status.QUEUED, queued_at_ms=queued_at_ms
            )
            return True

        was_written: bool = await self._run("mark_queued", effect)
        return was_written

    async def user_requests(self, user_id: str, limit: int, after: Position | None) -> RequestPage:
        def effect() -> RequestPage:
            rows = sorted(
                (
                    request
                    for request in self.requests.values()
                    if request.user_id == user_id and request.queued_at_ms is not None
                ),
                key=_sort_key,
                reverse=True,
            )
            if after is not None:
                start = (after.queued_at_ms, after.request_id)
                rows = [row for row in rows if _sort_key(row) < start]
            page, last = rows[:limit], None
            if len(rows) > limit:
                last = Position(*_sort_key(page[-1]))
            return RequestPage(page, last)

        page: RequestPage = await self._run("user_requests", effect)
        return page

    def publish(self, event: ParticipationRequested) -> None:
        self.published.append(event)


def _sort_key(request: RequestItem) -> tuple[int, str]:
    return request.queued_at_ms or 0, request.request_id


def token(user_id: str, **changes: Any) -> str:
    """A token that holds for a minute."""
    return tokens.issue(SECRET, user_id, **{"now_s": time(), "expires_in_s": 60, **changes})


def bearer(user_id: str) -> dict[str, str]:
    """The headers of a user."""
    return {"Authorization": f"Bearer {token(user_id)}"}


def settings_of(**changes: Any) -> IngestSettings:
    """The service's settings; what is not given has its default."""
    given: dict[str, Any] = {
        "aws_region": "ap-northeast-2",
        "queue_url": "http://queue",
        "dlq_url": "http://dlq",
        "jwt_secret": SECRET,
    }
    return IngestSettings(**given | changes)


def authenticator(rules: ClaimRules | None = None) -> TokenAuthenticator:
    """An authenticator of HS256 tokens."""
    return TokenAuthenticator(
        SecretVerifier(SECRET), rules or ClaimRules(), log_key=b"a key", now_s=time
    )


@dataclass
class Service:
    """An app over a gateway in memory, and what it left behind."""

    gateway: MemoryGateway = field(default_factory=MemoryGateway)
    clock: Clock = field(default_factory=lambda: Clock(now_ms()))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    lines: list[tuple[str, Access, float]] = field(default_factory=list)
    health: Health = field(default_factory=Health)
    ticks: Iterator[float] = field(default_factory=count)
    """The stopwatch: each look at it finds a second gone by."""

    def app(self, **settings: Any) -> ASGIApp:
        """Build the app."""
        return create_app(
            self.gateway,
            authenticator(),
            settings_of(**settings),
            metrics=IngestMetrics(self.registry),
            health=self.health,
            clock_ms=self.clock,
            stopwatch_s=self.ticks.__next__,
            random=Random(0),
            write_line=lambda *line: self.lines.append(line),
        )

    @asynccontextmanager
    async def client(self, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        """Build the app and talk to it, without a socket between."""
        transport = httpx.ASGITransport(self.app(**settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
            yield client

    def figure(self, name: str, **labels: str) -> float:
        """One of the app's figures."""
        value = self.registry.get_sample_value(name, labels)
        assert value is not None, f"no sample {name}{labels}"
        return value


def stored(user_id: str, queued_at_ms: int | None, **changes: Any) -> RequestItem:
    """A request as the table may hold it: queued, or received where `queued_at_ms` is None."""
    event_id = changes.pop("event_id", EVENT.event_id)
    return RequestItem(
        **{
            "request_id": keys.request_id(event_id, user_id),
            "event_id": event_id,
            "user_id": user_id,
            "event_type": EventType.FIRST_COME,
            "status": Status.RECEIVED if queued_at_ms is None else Status.QUEUED,
            "requested_at_ms": queued_at_ms,
            "queued_at_ms": queued_at_ms,
            **changes,
        }
    )


def many(user_id: str, count: int) -> Sequence[RequestItem]:
    """A user's queued requests, one in each of as many events."""
    return [stored(user_id, 1_000 + n, event_id=f"event-{n}") for n in range(count)]
