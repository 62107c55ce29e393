"""Around every request: its figures, its one log line, and an answer for what went wrong."""

from collections.abc import Callable
from time import perf_counter
from typing import Final

import anyio
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.metrics import IngestMetrics
from ingest.problems import Problem, internal_error, unavailable

SCOPE_KEY: Final = "participation.access"
_RETRY_AFTER_STOP_S: Final = 1

log = structlog.get_logger("ingest")


class Access:
    """What is known of one request for its log line; no user data, but the user's hash."""

    __slots__ = ("request_id", "route", "status", "user_hash")

    def __init__(self) -> None:
        self.route = "other"
        self.status = 0
        self.request_id: str | None = None
        self.user_hash: str | None = None


LineWriter = Callable[[str, Access, float], None]


def write_line(method: str, access: Access, seconds: float) -> None:
    """Write the access log line of one request."""
    log.info(
        "request",
        method=method,
        route=access.route,
        status=access.status,
        duration_ms=round(seconds * 1000, 2),
        request_id=access.request_id,
        user=access.user_hash,
    )


class AccessLayer:
    """The outermost ASGI layer."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: IngestMetrics,
        write_line: LineWriter,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._write_line = write_line
        self._in_flight = 0
        metrics.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        access = scope[SCOPE_KEY] = Access()
        began = perf_counter()

        async def note_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                access.status = message["status"]
            await send(message)

        self._in_flight += 1
        try:
            await self._app(scope, receive, note_status)
        except Problem as problem:
            await problem.response()(scope, receive, note_status)
        except anyio.get_cancelled_exc_class():
            # The drain's deadline: the request is given up. The task ends here either way, and
            # the caller learns that the same click, made again, continues.
            with anyio.CancelScope(shield=True):
                if not access.status:
                    stopping = unavailable("the service is stopping", _RETRY_AFTER_STOP_S)
                    await stopping.response()(scope, receive, note_status)
        except Exception:
            log.exception("request_failed", route=access.route, request_id=access.request_id)
            if not access.status:
                await internal_error().response()(scope, receive, note_status)
        finally:
            self._in_flight -= 1
            seconds = perf_counter() - began
            self._metrics.answered(access.route, access.status, seconds)
            self._write_line(scope["method"], access, seconds)
