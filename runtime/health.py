"""Whether a program is healthy: its event loop's lag, and a port outside of that loop."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

import anyio
from prometheus_client import CollectorRegistry, Gauge, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

_BEAT_INTERVAL_S: Final = 0.5
_BLOCKED_AFTER_S: Final = 5.0

Check = Callable[[], str | None]
"""Returns what is wrong, or None."""


class LoopBeat:
    """The event loop's heartbeat: how late it is, and whether it still beats.

    The lag is the first figure to rise when one core no longer suffices. It measures the loop from
    outside, by a clock of its own: the loop's stands still while the loop is blocked.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = Gauge(
            "event_loop_lag_seconds",
            "How late the event loop's last heartbeat was.",
            registry=registry,
        )
        self._last = monotonic()
        self.loop_time_s = 0.0
        """The loop's time at the last beat, for checks in other threads; 0 before the first.

        Late by one interval at most, unless `check` reports the loop as blocked.
        """

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            began = monotonic()
            await anyio.sleep(_BEAT_INTERVAL_S)
            self._last = monotonic()
            self.loop_time_s = anyio.current_time()
            self._lag.set(max(0.0, self._last - began - _BEAT_INTERVAL_S))

    def check(self) -> str | None:
        """Whether the loop has not turned for five seconds."""
        silent_s = monotonic() - self._last
        if silent_s <= _BLOCKED_AFTER_S:
            return None
        return f"the event loop has been blocked for {silent_s:.0f} s"


@contextmanager
def serve(
    host: str, port: int, registry: CollectorRegistry, healthy: Check, ready: Check
) -> Iterator[int]:
    """Serve /metrics, /healthz and /readyz; yields the port, raises OSError where it is taken.

    From a thread of its own: a scrape must get through exactly when the loop is in trouble.
    """
    metrics_app = make_wsgi_app(registry)
    checks = {"/healthz": healthy, "/readyz": ready}

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            page: Iterable[bytes] = metrics_app(environ, start_response)
            return page
        check = checks.get(path)
        if check is None:
            return _answer(start_response, "404 Not Found", "try /metrics, /healthz or /readyz")
        wrong = check()
        if wrong is None:
            return _answer(start_response, "200 OK", "ok")
        return _answer(start_response, "503 Service Unavailable", wrong)

    server = make_server(host, port, application, ThreadingWSGIServer, _QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(start_response: Any, status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not worth a line each."""
