"""Log lines by structlog on standard error: each is one JSON object or one console line."""

import atexit
import logging
import sys
from typing import Any, BinaryIO, Final, Literal, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.log_writer import LogWriter

_CHATTY: Final = ("aiobotocore", "aiohttp", "asyncio", "boto3", "botocore", "httpx", "urllib3")
_FLUSH_S: Final = 1.0
"""How long the end of a program waits for its last lines to be read."""

_writer: LogWriter | None = None


def write_in_background() -> None:
    """From the next `configure` on, write lines from a thread: for the long-running programs."""
    global _writer  # noqa: PLW0603 - as there is one standard error
    if _writer is None and sys.stderr is not None:
        _writer = LogWriter(sys.stderr.fileno(), _report_lost)
        atexit.register(flush)


def flush() -> None:
    """Let the lines leave that were written, before the process ends."""
    if _writer is not None:
        _writer.drain(_FLUSH_S)


def binary_stream() -> BinaryIO:
    """Where lines go that bypass the logging module."""
    return cast("BinaryIO", _writer or sys.stderr.buffer)


def configure(level: str, form: Literal["json", "console"]) -> None:
    """Set up structlog and the standard library's logging to write the same lines; repeatable."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    renderer: Processor = (
        _as_json if form == "json" else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    stream: Any = _writer or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    # The libraries log every connection and every call, which is more than an operator reads.
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def _report_lost(lines: int) -> None:
    structlog.get_logger("logs").warning("log_lines_lost", lines=lines)


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str).decode()
