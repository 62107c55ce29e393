"""Around every request: figures, one log line, who may read it, an answer to what went wrong."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

import anyio
import orjson
import structlog

from config import logs
from ingest.asgi import Answer, Receive, Scope, Send
from ingest.cors import Cors
from ingest.http1.exchange import ClientGoneError
from ingest.metrics import IngestMetrics
from ingest.problems import Problem, internal_error, unavailable
from runtime.sampling import Sampler

_CLIENT_GONE: Final = 499
"""The status, in log and figures, of what nobody was there to read (nginx's number)."""
_ANYBODYS: Final = frozenset({204, *range(400, 500), 503})
"""What anybody can cause, thousands a second, without a token: preflights, errors, and refusals
by a service that is busy."""
_RETRY_AFTER_STOP_S: Final = 1

_LOGGER: Final = "ingest"

log = structlog.get_logger(_LOGGER)


class Access:
    """What is known of one request for its log line; no user data except the user's hash."""

    __slots__ = ("is_for_pages", "request_id", "route", "status", "unlogged", "user_hash")

    def __init__(self) -> None:
        self.is_for_pages = True
        """Whether pages of other origins may read the answer; not of operators' routes."""
        self.route = "other"
        self.status = 0
        self.request_id: str | None = None
        self.user_hash: str | None = None
        self.unlogged: int | None = None
        """How many lines of this kind were left out before this one; None: none ever is."""


LineWriter = Callable[[str, Access, float], None]
"""Writes the log line of a request: its method, what is known of it, and its seconds."""


def line_writer(
    level: str, form: Literal["json", "console"], clock_ms: Callable[[], int]
) -> LineWriter:
    """Choose how access lines are written: not at all above level `info`."""
    if level not in {"debug", "info"}:
        return lambda _method, _access, _seconds: None
    if form == "json":
        return lambda method, access, seconds: _write_json(
            _fields(method, access, seconds), clock_ms()
        )
    return lambda method, access, seconds: log.info("request", **_fields(method, access, seconds))


def _fields(method: str, access: Access, seconds: float) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "method": method,
        "route": access.route,
        "status": access.status,
        "duration_ms": round(seconds * 1000, 2),
        "request_id": access.request_id,
        "user": access.user_hash,
    }
    if access.unlogged is not None:
        fields["unlogged"] = access.unlogged
    return fields


def _write_json(line: dict[str, Any], now_ms: int) -> None:
    """Write a line such as `config.logs` makes, without structlog and the logging module.

    At thousands of lines a second their layers would cost more than the rest of the answer.
    """
    line["event"] = "request"
    line["logger"] = _LOGGER
    line["level"] = "info"
    line["timestamp"] = _timestamp(now_ms)
    stream = logs.binary_stream()
    stream.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    stream.flush()


@lru_cache(1)
def _timestamp(now_ms: int) -> str:
    """As structlog's TimeStamper writes it; under load many lines have the same."""
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


Answering = Callable[[Scope, Receive, Access], Awaitable[Answer]]
"""Answers a request, and notes what is known of it; raises Problem for all but success."""


class AccessLayer:
    """The ASGI app."""

    def __init__(
        self,
        answering: Answering,
        metrics: IngestMetrics,
        write_line: LineWriter,
        stopwatch_s: Callable[[], float],
        cors: Cors,
    ) -> None:
        self._answering = answering
        self._metrics = metrics
        self._write_line = write_line
        self._stopwatch_s = stopwatch_s
        self._cors = cors
        self._anybodys = Sampler(stopwatch_s)
        self._in_flight = 0
        metrics.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises NotImplementedError for what is none (ASGI: Lifespan)."""
        if scope["type"] != "http":
            raise NotImplementedError(f"this app takes HTTP requests, no {scope['type']}")
        access = Access()
        began_s = self._stopwatch_s()
        self._in_flight += 1
        try:
            try:
                answer = await self._answering(scope, receive, access)
            except Problem as problem:
                answer = problem.answer()
            except anyio.get_cancelled_exc_class():
                # The drain's deadline: the request is given up. The task ends here either way, and
                # the caller learns that the same click, made again, continues.
                with anyio.CancelScope(shield=True):
                    stopping = unavailable("the service is stopping", _RETRY_AFTER_STOP_S)
                    await self._send(stopping.answer(), scope, send, access)
                return
            except Exception:
                log.exception("request_failed", route=access.route, request_id=access.request_id)
                answer = internal_error().answer()
            await self._send(answer, scope, send, access)
        finally:
            self._in_flight -= 1
            seconds = self._stopwatch_s() - began_s
            self._metrics.answered(access.route, access.status, seconds)
            self._log(scope["method"], access, seconds)

    async def _send(self, answer: Answer, scope: Scope, send: Send, access: Access) -> None:
        access.status = answer.status
        try:
            await answer.send(send, self._cors.headers_of(scope) if access.is_for_pages else ())
        except ClientGoneError:
            access.status = _CLIENT_GONE

    def _log(self, method: str, access: Access, seconds: float) -> None:
        if access.user_hash is None and access.status in _ANYBODYS:
            access.unlogged = self._anybodys.take(f"{access.route} {access.status}")
            if access.unlogged is None:
                return
        self._write_line(method, access, seconds)
