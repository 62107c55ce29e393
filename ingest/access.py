"""Around every request: its figures, its one log line, and an answer for what went wrong."""

from collections.abc import Callable
from typing import Any, Final, Literal

import anyio
import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config import logs
from ingest.http1.exchange import ClientGoneError
from ingest.metrics import IngestMetrics
from ingest.problems import Problem, internal_error, unavailable
from runtime.sampling import Sampler

SCOPE_KEY: Final = "participation.access"
_CLIENT_GONE: Final = 499
"""The status, in log and figures, of what nobody was there to read (nginx's number)."""
_CLIENT_ERRORS: Final = range(400, 500)
"""What anybody can cause, thousands a second, without a token."""
_RETRY_AFTER_STOP_S: Final = 1

_LOGGER: Final = "ingest"

log = structlog.get_logger(_LOGGER)


class Access:
    """What is known of one request for its log line; no user data except the user's hash."""

    __slots__ = ("request_id", "route", "status", "unlogged", "user_hash")

    def __init__(self) -> None:
        self.route = "other"
        self.status = 0
        self.request_id: str | None = None
        self.user_hash: str | None = None
        self.unlogged: int | None = None
        """How many lines of this kind were left out before this one; None: none ever is."""


LineWriter = Callable[[str, Access, float], None]
"""Writes the log line of a request: its method, what is known of it, and its seconds."""


def line_writer(level: str, form: Literal["json", "console"]) -> LineWriter:
    """Choose how access lines are written: not at all above level `info`."""
    if level not in {"debug", "info"}:
        return lambda _method, _access, _seconds: None
    line_log = _json_logger() if form == "json" else log

    def write(method: str, access: Access, seconds: float) -> None:
        more = {} if access.unlogged is None else {"unlogged": access.unlogged}
        line_log.info(
            "request",
            method=method,
            route=access.route,
            status=access.status,
            duration_ms=round(seconds * 1000, 2),
            request_id=access.request_id,
            user=access.user_hash,
            **more,
        )

    return write


class AccessLayer:
    """The outermost ASGI layer."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: IngestMetrics,
        write_line: LineWriter,
        stopwatch_s: Callable[[], float],
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._write_line = write_line
        self._stopwatch_s = stopwatch_s
        self._anybodys = Sampler(stopwatch_s)
        self._in_flight = 0
        metrics.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        access = scope[SCOPE_KEY] = Access()
        began_s = self._stopwatch_s()

        async def note_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                access.status = message["status"]
            try:
                await send(message)
            except ClientGoneError:
                access.status = _CLIENT_GONE

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
            seconds = self._stopwatch_s() - began_s
            self._metrics.answered(access.route, access.status, seconds)
            self._log(scope["method"], access, seconds)

    def _log(self, method: str, access: Access, seconds: float) -> None:
        if access.user_hash is None and access.status in _CLIENT_ERRORS:
            access.unlogged = self._anybodys.take(f"{access.route} {access.status}")
            if access.unlogged is None:
                return
        self._write_line(method, access, seconds)


def _json_logger() -> Any:
    """A logger of the same lines as `config.logs` makes, but bypassing the logging module.

    At thousands of lines a second its handlers, locks and frames would cost more than the
    request's own work.
    """
    return structlog.wrap_logger(
        structlog.BytesLogger(logs.binary_stream()),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.BoundLogger,
    ).bind(logger=_LOGGER)
