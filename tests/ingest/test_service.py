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
from structlog.testing import capture_logs

from aws.errors import AwsError, Fatal, Transient
from ingest.app import Health
from ingest.asgi import ASGIApp
from ingest.aws_gateway import PATIENCE_S
from ingest.metrics import IngestMetrics
from ingest.service import Service, open_service
from runtime.program import StartError
from schema.items import EventConfig
from schema.states import EventType
from tests.aws.scripted import Answer, ScriptedClients
from tests.ingest.model import Trusting
from tests.ingest.support import settings_of
from tests.virtual_time import virtual_time

NOW_MS: Final = 1_700_000_000_000
INDEXES: Final = ("GSI1", "GSI2")
ANSWERS: Final[dict[str, Answer]] = {
    "GetQueueAttributes": {"Attributes": {"QueueArn": "arn:q"}},
    "DescribeTable": {"Table": {"GlobalSecondaryIndexes": [{"IndexName": n} for n in INDEXES]}},
    "DescribeEventBus": {},
}


@dataclass(slots=True)
class Scene:
    """A service over clients in memory: all that it checks is there, and no operation succeeds."""

    seed: int = 0
    errors: dict[str, type[AwsError]] = field(
        default_factory=lambda: {"BatchGetItem": Transient, "BatchExecuteStatement": Transient}
    )
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
        if operation in self.errors:
            raise self.errors[operation]("aws", operation, "InternalServerError", "later")
        return ANSWERS[operation]

    def service(self, **settings: Any) -> AbstractAsyncContextManager[Service]:
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
    async with scene.service() as service:
        assert await show(service.app) == 503
        assert list(scene.clients.open) == ["dynamodb", "sqs"]

    assert scene.clients.open == {}
    assert scene.asked["BatchGetItem"] == 3


@virtual_time
async def test_no_call_may_go_unanswered_for_longer_than_anybody_waits() -> None:
    scene = Scene()
    async with scene.service():
        assert {o.read_timeout_s for o in scene.clients.open.values()} == {PATIENCE_S}


@virtual_time
async def test_a_bus_is_opened_only_for_a_service_that_publishes() -> None:
    scene = Scene()
    async with scene.service(publish_requested_events=True) as service:
        await service.wait_until_ready()
        assert list(scene.clients.open) == ["dynamodb", "sqs", "events"]

    assert scene.asked["DescribeEventBus"] == 1


@virtual_time
async def test_what_does_not_exist_keeps_it_from_starting() -> None:
    scene = Scene()
    scene.errors = {"DescribeTable": Fatal, "GetQueueAttributes": Fatal}
    async with scene.service() as service:
        with pytest.raises(StartError, match=r"QUEUE_URL=.*\n.*TABLE_NAME="):
            await service.wait_until_ready()

    assert scene.clients.open == {}


@pytest.mark.parametrize("operation", ["DescribeTable", "GetQueueAttributes"])
def test_what_is_away_for_the_moment_is_asked_for_again_until_it_answers(operation: str) -> None:
    @virtual_time
    async def main() -> None:
        scene = Scene()
        scene.errors = {operation: Transient}
        ready_at_s: list[float] = []

        async with scene.service() as service, anyio.create_task_group() as tasks:

            async def start() -> None:
                await service.wait_until_ready()
                ready_at_s.append(anyio.current_time())

            began_s = anyio.current_time()
            tasks.start_soon(start)
            with capture_logs() as logs:
                await anyio.sleep(60)
            assert not ready_at_s
            scene.errors = {}
            await anyio.sleep(5)

        [at_s] = ready_at_s
        assert at_s - began_s <= 65
        # With waits that grow up to five seconds, and are never shorter than half of it.
        assert 12 <= scene.asked[operation] <= 12 + 60 / 2.5
        assert {line["event"] for line in logs} == {"start_waits"}
        assert operation in logs[0]["error"]

    main()


@virtual_time
async def test_a_bus_that_is_away_for_the_moment_is_a_warning() -> None:
    scene = Scene()
    scene.errors = {"DescribeEventBus": Transient}
    async with scene.service(publish_requested_events=True) as service:
        with capture_logs() as logs:
            await service.wait_until_ready()

    assert [line["event"] for line in logs] == ["bus_unreachable"]


@virtual_time
async def test_a_bus_that_does_not_exist_keeps_a_service_that_publishes_from_starting() -> None:
    scene = Scene()
    scene.errors = {"DescribeEventBus": Fatal}
    async with scene.service(publish_requested_events=True) as service:
        with pytest.raises(StartError, match="EVENT_BUS_NAME="):
            await service.wait_until_ready()


@virtual_time
async def test_stopwatch_and_chance_are_those_handed_in() -> None:
    async def took_s(seed: int) -> float:
        scene = Scene(seed)
        async with scene.service() as service:
            await show(service.app)
        name, labels = "ingest_request_seconds_sum", {"route": "request"}
        seconds = scene.metrics.registry.get_sample_value(name, labels)
        assert seconds is not None
        return round(seconds, 6)

    # Two waits before two further tries: up to 50 and 100 ms.
    assert 0 < await took_s(seed=1) < 0.15
    assert await took_s(seed=1) == await took_s(seed=1)
    assert await took_s(seed=1) != await took_s(seed=2)


@virtual_time
async def test_tries_are_counted_out_by_the_loop_s_time() -> None:
    scene = Scene(takes_s=0.4)
    async with scene.service() as service:
        assert await show(service.app) == 503

    # The second ends after 0.8 s, and none may begin later than half a second.
    assert scene.asked["BatchGetItem"] == 2


@virtual_time
async def test_the_clock_handed_in_opens_events() -> None:
    async def click(opens_at_ms: int) -> int:
        event = EventConfig(event_id="e", event_type=EventType.FIRST_COME, opens_at_ms=opens_at_ms)
        async with Scene(event=event).service() as service:
            return await ask(service.app, "POST", "/events/e/participations")

    assert await click(opens_at_ms=NOW_MS + 1) == 409
    # Open: the click gets as far as its insert, which fails.
    assert await click(opens_at_ms=NOW_MS) == 503


@virtual_time
async def test_throttles_within_successful_calls_are_counted() -> None:
    async def throttled(operation: str, **parameters: Any) -> Answer:
        if operation == "BatchGetItem":
            return {"Responses": {}, "UnprocessedKeys": parameters["RequestItems"]}
        return ANSWERS[operation]

    scene = Scene()
    scene.clients = ScriptedClients(throttled)
    async with scene.service() as service:
        assert await show(service.app) == 503

    labels = {
        "service": "dynamodb",
        "operation": "BatchGetItem",
        "reason": "UnprocessedKeys",
        "resource": f"table/{settings_of().table_name}",
    }
    counted = scene.metrics.registry.get_sample_value("aws_throttles_total", labels)
    assert counted is not None
    assert counted >= 2
