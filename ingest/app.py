"""The ASGI app: one route for each operation of `openapi.json`, and the layer around them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from config.settings import IngestSettings
from ingest import docs_page, openapi
from ingest.access import AccessLayer, LineWriter, line_writer
from ingest.asgi import Answer, ASGIApp
from ingest.cors import Cors
from ingest.endpoints import Endpoints
from ingest.gateway import Gateway
from ingest.http import Call, Endpoint, Handler, Routes
from ingest.metrics import IngestMetrics
from ingest.problems import Problem
from ingest.tokens import Authenticator
from runtime.stop import Stop


@dataclass(slots=True)
class Health:
    """Why the service is not ready, or None; changed by the server around the app."""

    not_ready: str | None = None
    stop: Stop = field(default_factory=Stop)
    """Requested when a drain begins: who waits for a decision is answered."""

    def drain(self) -> None:
        """The service stops."""
        self.not_ready = "draining"
        self.stop.request()


def create_app(
    gateway: Gateway,
    authenticator: Authenticator,
    settings: IngestSettings,
    *,
    metrics: IngestMetrics,
    health: Health | None = None,
    clock_ms: Callable[[], int],
    stopwatch_s: Callable[[], float],
    random: Random,
    write_line: LineWriter | None = None,
) -> ASGIApp:
    """Build the app; the gateway to AWS is handed in.

    `clock_ms` is the time in epoch milliseconds; `stopwatch_s` measures how long answers take;
    `random` spreads those who are refused.
    """
    health = health or Health()
    endpoints = Endpoints(gateway, authenticator, settings, clock_ms, random, health.stop)
    metrics.waiting.set_function(lambda: endpoints.waiting_count)
    handlers = {**endpoints.handlers, **_operations(metrics, health)}
    cors = Cors.of(settings)
    routes = Routes(
        {
            operation.path: Endpoint(
                operation.name,
                operation.method,
                handlers[operation.name],
                is_for_pages=operation.needs_token,
                answers_preflights=cors.is_on and operation.needs_token,
            )
            for operation in openapi.operations()
        }
    )
    write_line = write_line or line_writer(settings.log_level, settings.log_format, clock_ms)
    return AccessLayer(routes.answer, metrics, write_line, stopwatch_s, cors)


def _operations(metrics: IngestMetrics, health: Health) -> Mapping[str, Handler]:
    """What operators and their machines ask."""

    async def describe(_call: Call) -> Answer:
        return Answer(openapi.text())

    async def show_docs(_call: Call) -> Answer:
        return docs_page.answer()

    async def healthz(_call: Call) -> Answer:
        return Answer(b'{"status":"ok"}')

    async def readyz(_call: Call) -> Answer:
        if health.not_ready is not None:
            raise Problem(503, "not-ready", "The service is not ready", health.not_ready)
        return Answer(b'{"status":"ready"}')

    async def show_metrics(_call: Call) -> Answer:
        return Answer(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return {
        "openapi": describe,
        "docs": show_docs,
        "healthz": healthz,
        "readyz": readyz,
        "metrics": show_metrics,
    }
