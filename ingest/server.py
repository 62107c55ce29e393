"""The running service: its HTTP server, and the drain at the end."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from random import Random
from time import perf_counter, time
from typing import Final

import anyio
import structlog
from anyio.abc import TaskStatus
from prometheus_client import CollectorRegistry

from aws.client import Connection
from aws.sdk import opener
from config.settings import IngestSettings
from ingest.app import Health
from ingest.authentication import open_authenticator
from ingest.cors import Cors
from ingest.http1.bounds import Bounds
from ingest.http1.server import HttpServer
from ingest.jwks import KeySetError
from ingest.metrics import IngestMetrics
from ingest.service import CLOSING_S, Service, open_service
from ingest.tokens import Authenticator
from runtime import open_files, program
from runtime.errors import unwrapped
from runtime.health import LoopBeat
from runtime.program import StartError
from runtime.stop import ExitCode, Stop

_OTHER_FILES: Final = 1_024
"""File descriptors besides the clients' connections: those to AWS, logs, libraries."""

log = structlog.get_logger("ingest")


class _Drain:
    """Turns the request to stop into a drain: not ready, no new connections, one deadline."""

    def __init__(self, health: Health, timeout_s: float) -> None:
        self.scope = anyio.CancelScope(shield=True)
        self.server: HttpServer | None = None
        self._health = health
        self._timeout_s = timeout_s

    async def watch(self, stop: Stop) -> None:
        """Wait for the stop, or for the cancellation that means the same."""
        try:
            await stop.wait()
        finally:
            if self.server is None:
                self._health.drain()
                self.scope.cancel()  # nothing was accepted yet
            else:
                # Connections hear of it before the answers that it brings on, which are their last.
                self.server.stop()
                self._health.drain()
                self.scope.deadline = anyio.current_time() + self._timeout_s + CLOSING_S


async def serve(
    settings: IngestSettings,
    *,
    connection: Connection,
    stop: Stop | None = None,
    task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
) -> ExitCode:
    """Serve until `stop` is set or the task is cancelled, then answer what was accepted.

    Passes its URL on when it has started; leaves signals alone. Raises StartError.
    """
    health = Health("starting")
    metrics = IngestMetrics(CollectorRegistry())
    drain = _Drain(health, settings.shutdown_timeout_s)
    start = _Start(health, task_status)
    code = ExitCode.DEADLINE
    with _listener(settings.http_host, settings.http_port) as listener, unwrapped():
        # Cancellation reaches the watching task alone; the shield keeps everything else up
        # until what was accepted is answered.
        async with anyio.create_task_group() as watch:
            watch.start_soon(drain.watch, stop or Stop())
            with drain.scope:
                async with _service(settings, connection, metrics, health) as service:
                    headers_for = Cors.of(settings).headers
                    server = HttpServer(
                        service.app, Bounds.of(settings), metrics, time, headers_for
                    )
                    metrics.connections.set_function(lambda: server.connection_count)
                    drain.server = server
                    watch.start_soon(start.run, service, server, _url(listener))
                    if await server.serve(listener, settings.shutdown_timeout_s, start.may_begin):
                        code = ExitCode.DRAINED
            watch.cancel_scope.cancel()
    if start.error is not None:
        raise start.error
    log.info("ingest_stopped", exit_code=int(code))
    return code


class _Start:
    """Takes requests once the server listens and all that is needed is there, or ends the server.

    It listens before that: `/healthz` answers, and `/readyz` keeps the load balancer away.
    """

    def __init__(self, health: Health, task_status: TaskStatus[str]) -> None:
        self.error: StartError | None = None
        self._health = health
        self._task_status = task_status
        self._listens = anyio.Event()

    def may_begin(self) -> None:
        """The server listens."""
        self._listens.set()

    async def run(self, service: Service, server: HttpServer, url: str) -> None:
        """Pass the URL on when it can take requests."""
        try:
            await service.wait_until_ready()
        except StartError as error:
            self.error = error
            server.stop()
            return
        await self._listens.wait()
        if not server.is_stopping:
            self._health.not_ready = None
            log.info("ingest_started", url=url)
            self._task_status.started(url)


async def run(settings: IngestSettings, connection: Connection) -> ExitCode:
    """Serve until SIGTERM or SIGINT, and drain; returns the exit code."""
    needed = settings.max_connections + _OTHER_FILES
    allowed = open_files.allow(needed)
    if allowed < needed:
        log.warning("few_files_allowed", allowed=allowed, needed=needed, see="MAX_CONNECTIONS")
    return await program.run(
        "ingest", lambda stop: serve(settings, connection=connection, stop=stop)
    )


@asynccontextmanager
async def _service(
    settings: IngestSettings, connection: Connection, metrics: IngestMetrics, health: Health
) -> AsyncIterator[Service]:
    """The service with the machine's clocks and its own chance, and the loop's heartbeat."""
    beat = LoopBeat(metrics.registry)
    opening = open_service(
        settings,
        opener(connection),
        _authentication(settings),
        metrics=metrics,
        health=health,
        clock_ms=program.epoch_ms,
        stopwatch_s=perf_counter,
        random=Random(),  # noqa: S311 - spreading load, not secrets
    )
    async with opening as service, anyio.create_task_group() as tasks:
        tasks.start_soon(beat.run)
        yield service
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def _authentication(settings: IngestSettings) -> AsyncIterator[Authenticator]:
    """The authenticator that the settings ask for; raises StartError."""
    async with AsyncExitStack() as stack:
        try:
            authenticator = await stack.enter_async_context(open_authenticator(settings))
        except KeySetError as error:
            raise StartError(f"JWKS_URL: {error}") from error
        yield authenticator


@contextmanager
def _listener(host: str, port: int) -> Iterator[socket.socket]:
    """Bind the port; raises StartError where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
        except OSError as error:
            raise StartError(f"HTTP_PORT={port} on {host}: {error.strerror}") from error
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - it is shown, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
