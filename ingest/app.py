"""The ASGI app: routes, and the layer around them; the gateway to AWS is handed in."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from ingest import openapi
from ingest.accept import Acceptor, AcceptRules
from ingest.access import AccessLayer, LineWriter, write_line
from ingest.cursors import Cursors
from ingest.endpoints import EndpointRules, Endpoints
from ingest.event_cache import EventCache
from ingest.gateway import Gateway
from ingest.http import JSON, Call, Endpoint, no_such_route
from ingest.metrics import IngestMetrics
from ingest.problems import Problem
from ingest.tokens import Authenticator


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRules:
    """How the app behaves; the defaults are those of the settings."""

    cursor_key: bytes
    env: str = "dev"
    requeue_after_s: float = 10.0
    request_ttl_days: int = 90
    event_cache_ttl_s: float = 5.0
    max_in_flight: int = 5_000
    publish_requested: bool = False


@dataclass(slots=True)
class Health:
    """Why the service is not ready, or None; changed by the server around the app."""

    not_ready: str | None = None


def now_ms() -> int:
    """The time in epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True, kw_only=True)
class AppParts:
    """What the app shares with the server around it."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    metrics: IngestMetrics | None = None
    health: Health = field(default_factory=Health)
    clock_ms: Callable[[], int] = now_ms
    write_line: LineWriter = write_line


def create_app(
    gateway: Gateway, authenticator: Authenticator, rules: AppRules, parts: AppParts | None = None
) -> ASGIApp:
    """Build the app; each has figures of its own unless a registry is handed in."""
    parts = parts or AppParts()
    metrics = parts.metrics or IngestMetrics(parts.registry)
    clock_ms = parts.clock_ms
    endpoints = Endpoints(
        gateway,
        authenticator,
        events=EventCache(gateway.event, rules.event_cache_ttl_s),
        acceptor=Acceptor(
            gateway,
            AcceptRules(
                requeue_after_s=rules.requeue_after_s,
                request_ttl_days=rules.request_ttl_days,
                env=rules.env,
                publish_requested=rules.publish_requested,
            ),
            clock_ms,
        ),
        cursors=Cursors(rules.cursor_key),
        rules=EndpointRules(
            requeue_after_s=rules.requeue_after_s, max_in_flight=rules.max_in_flight
        ),
        clock_ms=clock_ms,
    )
    operations = Operations(parts.registry, parts.health)
    router = Router(
        [
            Route(path, Endpoint(name, method, handle))
            for path, name, method, handle in (
                (
                    "/events/{event_id}/participations",
                    "participate",
                    "POST",
                    endpoints.participate,
                ),
                ("/requests/{request_id}", "request", "GET", endpoints.request),
                ("/me/participations", "participations", "GET", endpoints.participations),
                ("/openapi.json", "openapi", "GET", operations.openapi),
                ("/healthz", "healthz", "GET", operations.healthz),
                ("/readyz", "readyz", "GET", operations.readyz),
                ("/metrics", "metrics", "GET", operations.metrics),
            )
        ],
        redirect_slashes=False,
        default=no_such_route,
    )
    return AccessLayer(router, metrics, parts.write_line)


class Operations:
    """What operators and their machines ask."""

    def __init__(self, registry: CollectorRegistry, health: Health) -> None:
        self._registry = registry
        self._health = health
        self._openapi = orjson.dumps(openapi.document())

    async def openapi(self, _call: Call) -> Response:
        """The description of this service."""
        return Response(self._openapi, media_type=JSON)

    async def healthz(self, _call: Call) -> Response:
        """Whether the process answers at all."""
        return Response(b'{"status":"ok"}', media_type=JSON)

    async def readyz(self, _call: Call) -> Response:
        """Whether to send requests here."""
        if self._health.not_ready is not None:
            raise Problem(503, "not-ready", "The service is not ready", self._health.not_ready)
        return Response(orjson.dumps({"status": "ready"}), media_type=JSON)

    async def metrics(self, _call: Call) -> Response:
        """The figures in Prometheus' text form."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
