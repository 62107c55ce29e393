"""The service without sockets: whoever opens it hands in clients, clocks, chance and who is who."""

from collections import Counter
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import anyio
import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from aws.errors import Transient
from ingest.app import Health
from ingest.metrics import IngestMetrics
from ingest.service import open_service
from ingest.tokens import Identity
from runtime.program import StartError
from schema.items import EventConfig
from schema.states import EventType
from tests.aws.scripted import Answer, ScriptedClients
from tests.ingest.support import settings_of
from tests.virtual_time import virtual_time

NOW_MS: Final = 1_700_000_000_000
INDEXES: Final = ("GSI1", "GSI2")
ANSWERS: Final[dict[str, Answer]] = {
    "GetQueueAttributes": {"Attributes": {"QueueArn": "arn:q"}},
    "DescribeTable": {"Table": {"GlobalSecondaryIndexes": [{"IndexName": n} for n in INDEXES]}},
    "DescribeEventBus": {},
}


class Trusting:
    """Believes each token to be its user's name."""

    async def identify(self, token: str) -> Identity:
        return Identity(token, "hash")


@dataclass(slots=True)
class Scene:
    """A service over clients in memory: all that it checks is there, and no operation succeeds."""

    seed: int = 0
    failing: set[str] = field(default_factory=lambda: {"BatchGetItem", "BatchExecuteStatement"})
    takes_s: float = 0.0
    event: EventConfig | None = None
    asked: Counter[str] = field(default_factory=Counter)
    metrics: IngestMetrics = field(default_factory=lambda: IngestMetrics(CollectorRegistry()))
    clients: ScriptedClients = field(init=False)

    def __post_init__(self) -> None:
        self.clients = ScriptedClients(self.answer)

    async def answer(self, operation: str, **_parameters: Any) -> Answer:
        self.asked[operation] += 1
        await anyio.sleep(self.takes_s)
        if operation == "BatchGetItem" and self.event is not None:
            return {"Responses": {settings_of().table_name: [self.event.to_item()]}}
        if operation in self.failing:
            raise Transient("aws", operation, "InternalServerError", "later")
        return ANSWERS[operation]

    def service(self, **settings: Any) -> AbstractAsyncContextManager[ASGIApp]:
        return open_service(
            settings_of(log_level="warning", **settings),
            self.clients.opener,
            nullcontext(Trusting()),
            metrics=self.metrics,
            health=Health(),
            clock_ms=lambda: NOW_MS,
            stopwatch_s=anyio.current_time,
            random=Random(self.seed),
        )


async def ask(app: ASGIApp, method: str, path: str) -> int:
    """Make a request as a user; returns the status."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as http:
        headers = {"Authorization": "Bearer user-1"}
        return (await http.request(method, path, headers=headers)).status_code


async def show(app: ASGIApp) -> int:
    """Ask for a request; returns the status."""
    return await ask(app, "GET", "/requests/r")


@virtual_time
async def test_it_answers_without_a_socket_and_closes_what_it_opened() -> None:
    scene = Scene()
    async with scene.service() as app:
        assert await show(app) == 503
        assert list(scene.clients.open) == ["dynamodb", "sqs"]

    assert scene.clients.open == {}
    assert scene.asked["BatchGetItem"] == 3


@virtual_time
async def test_a_bus_is_opened_only_for_a_service_that_publishes() -> None:
    scene = Scene()
    async with scene.service(publish_requested_events=True):
        assert list(scene.clients.open) == ["dynamodb", "sqs", "events"]

    assert scene.asked["DescribeEventBus"] == 1


@virtual_time
async def test_what_does_not_exist_keeps_it_from_opening() -> None:
    scene = Scene(failing={"DescribeTable", "GetQueueAttributes"})

    with pytest.raises(StartError, match=r"QUEUE_URL=.*\n.*TABLE_NAME="):
        async with scene.service():
            pass

    assert scene.clients.open == {}


@virtual_time
async def test_stopwatch_and_chance_are_those_handed_in() -> None:
    async def took_s(seed: int) -> float:
        scene = Scene(seed)
        async with scene.service() as app:
            await show(app)
        name, labels = "ingest_request_seconds_sum", {"route": "request"}
        seconds = scene.metrics.registry.get_sample_value(name, labels)
        assert seconds is not None
        return round(seconds, 6)

    # Two waits before two further tries: half to the whole of 25 and of 50 ms.
    assert 0.037 < await took_s(seed=1) < 0.1
    assert await took_s(seed=1) == await took_s(seed=1)
    assert await took_s(seed=1) != await took_s(seed=2)


@virtual_time
async def test_tries_are_counted_out_by_the_loop_s_time() -> None:
    scene = Scene(takes_s=1)
    async with scene.service() as app:
        assert await show(app) == 503

    # The second ends after two seconds, and none may begin later than 1.5.
    assert scene.asked["BatchGetItem"] == 2


@virtual_time
async def test_the_clock_handed_in_opens_events() -> None:
    async def click(opens_at_ms: int) -> int:
        event = EventConfig(event_id="e", event_type=EventType.FIRST_COME, opens_at_ms=opens_at_ms)
        async with Scene(event=event).service() as app:
            return await ask(app, "POST", "/events/e/participations")

    assert await click(opens_at_ms=NOW_MS + 1) == 409
    # Open: the click gets as far as its insert, which fails.
    assert await click(opens_at_ms=NOW_MS) == 503
