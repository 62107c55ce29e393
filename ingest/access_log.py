"""The access log: one line a request, in the form of all other lines, made at little cost."""

import sys
from typing import Any, Final, Literal

import orjson
import structlog

from ingest.access import Access, LineWriter

_LOGGER: Final = "ingest"
_EVENT: Final = "request"


def line_writer(level: str, form: Literal["json", "console"]) -> LineWriter:
    """Choose how access lines are written: not at all above level `info`."""
    if level not in {"debug", "info"}:
        return lambda _method, _access, _seconds: None
    log = _json_logger() if form == "json" else structlog.get_logger(_LOGGER)

    def write(method: str, access: Access, seconds: float) -> None:
        log.info(
            _EVENT,
            method=method,
            route=access.route,
            status=access.status,
            duration_ms=round(seconds * 1000, 2),
            request_id=access.request_id,
            user=access.user_hash,
        )

    return write


def _json_logger() -> Any:
    """A logger of the same lines as `config.logs` makes, but past the logging module.

    At thousands of lines a second its handlers, locks and frames would cost more than the
    request's own work.
    """
    return structlog.wrap_logger(
        structlog.BytesLogger(sys.stderr.buffer),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.BoundLogger,
    ).bind(logger=_LOGGER)
