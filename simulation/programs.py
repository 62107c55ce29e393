"""The two programs as nodes: the real worker, and the real ingest without its HTTP server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio
import orjson
from prometheus_client import CollectorRegistry

from ingest.app import Health
from ingest.asgi import ASGIApp, Message, Scope
from ingest.metrics import IngestMetrics
from ingest.service import CLOSING_S, open_service
from ingest.tokens import Identity
from operations.tasks import CLICK_S
from runtime.stop import ExitCode
from simulation.nodes import Life, Node, World
from simulation.settings import ingest_settings, worker_settings
from worker.assembly import assemble
from worker.draining import run_until_drained


class WorkerNode(Node):
    """A task of the worker service."""

    @property
    def drains_in_s(self) -> float:
        """SHUTDOWN_TIMEOUT_S covers all of it."""
        scenario = self._world.scenario
        return worker_settings(scenario.worker_settings, scenario.region, "any").shutdown_timeout_s

    async def _run(self, life: Life) -> ExitCode:
        scenario = self._world.scenario
        settings = worker_settings(scenario.worker_settings, scenario.region, life.name)
        async with assemble(
            settings,
            self._opener(life),
            clock=self.epoch_ms,
            random=self._world.random(life.name),
            stop=life.stop,
        ) as parts:
            life.parts = parts
            life.is_running = True
            return await run_until_drained(parts)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a click was answered."""

    status: int
    """0: the connection broke."""
    request_id: str | None = None
    retry_after_s: float | None = None


Respond = Callable[[Answer], None]
_BROKEN: Final = Answer(0)
_UNAVAILABLE: Final = 503


class _Trusting:
    """Takes the token for the user's name: tokens are not what a simulation is about."""

    async def identify(self, token: str) -> Identity:
        return Identity(token, "")


@asynccontextmanager
async def _trusting() -> AsyncIterator[_Trusting]:
    yield _Trusting()


class IngestNode(Node):
    """A task of the ingest service: its ASGI app, without the HTTP server around it."""

    def __init__(self, name: str, world: World) -> None:
        super().__init__(name, world)
        self._app: ASGIApp | None = None
        self._pending: dict[int, Respond] = {}
        self._clicks = 0
        self._accepted_s: dict[str, float] = {}
        """When a click on each request was last accepted here."""
        self._idle = anyio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether the load balancer sends it clicks."""
        return self._app is not None and self.life is not None and self.life.stopped_at_s is None

    def click(self, user_id: str, event_id: str, respond: Respond) -> None:
        """Take one click; `respond` is called once, with what the user sees."""
        life, app = self.life, self._app
        if life is None or app is None or self._world.is_over:
            respond(_BROKEN)
            return
        self._clicks += 1
        self._pending[self._clicks] = respond
        life.context.run(
            self._world.tasks.start_soon, self._serve, life, self._clicks, _scope(user_id, event_id)
        )

    async def _serve(self, life: Life, click: int, scope: Scope) -> None:
        began_s = self._world.loop.time()
        life.processor.spend(CLICK_S)
        answer = _BROKEN
        headers: dict[bytes, bytes] = {}
        status = 0

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, answer
            if message["type"] == "http.response.start":
                status = message["status"]
                headers.update(message["headers"])
            elif status:
                answer = _answer(status, headers, message.get("body", b""))

        if self._app is not None:
            await self._app(scope, receive, send)
        request_id = answer.request_id
        if answer.status == _UNAVAILABLE and request_id is not None:
            # An equal click that ended meanwhile may have sent the message.
            if self._accepted_s.get(request_id, 0.0) < began_s:
                self._world.refused(life.name, request_id, began_s)
        elif request_id is not None:
            self._accepted_s[request_id] = self._world.loop.time()
        self._world.loop.call_in_the_world(0, self._answered, click, answer)

    def _answered(self, click: int, answer: Answer) -> None:
        respond = self._pending.pop(click, None)
        if respond is not None:
            respond(answer)
        if not self._pending:
            self._idle.set()

    def _gone(self, life: Life) -> None:
        self._app = None
        super()._gone(life)
        for click in list(self._pending):
            self._answered(click, _BROKEN)

    @property
    def drains_in_s(self) -> float:
        """SHUTDOWN_TIMEOUT_S to answer, and then a moment to close (ingest/server.py)."""
        scenario = self._world.scenario
        settings = ingest_settings(scenario.ingest_settings, scenario.region)
        return settings.shutdown_timeout_s + CLOSING_S

    async def _run(self, life: Life) -> ExitCode:
        scenario = self._world.scenario
        settings = ingest_settings(scenario.ingest_settings, scenario.region)
        with anyio.CancelScope() as scope:
            async with open_service(
                settings,
                self._opener(life),
                _trusting(),
                metrics=IngestMetrics(CollectorRegistry()),
                health=Health(),
                clock_ms=self.epoch_ms,
                stopwatch_s=self._world.loop.time,
                random=self._world.random(life.name),
            ) as service:
                with life.stop.interrupts():
                    await service.wait_until_ready()
                    self._app = service.app
                    life.is_running = True
                await life.stop.wait()
                scope.deadline = anyio.current_time() + self.drains_in_s
                with anyio.move_on_after(settings.shutdown_timeout_s):
                    while self._pending:
                        self._idle = anyio.Event()
                        await self._idle.wait()
        return ExitCode.DEADLINE if self._pending or scope.cancelled_caught else ExitCode.DRAINED


def _scope(user_id: str, event_id: str) -> Scope:
    path = f"/events/{event_id}/participations"
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer " + user_id.encode())],
    }


def _answer(status: int, headers: dict[bytes, bytes], body: bytes) -> Answer:
    after = headers.get(b"retry-after")
    document = orjson.loads(body) if body else {}
    return Answer(status, document.get("requestId"), None if after is None else float(after))
