"""The running service: its HTTP server, and the drain at the end."""

import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from random import Random
from time import perf_counter
from typing import Final

import anyio
import structlog
import uvicorn
from anyio.abc import TaskStatus
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from aws.client import Connection
from aws.sdk import opener
from config.settings import IngestSettings
from ingest.app import Health
from ingest.authentication import open_authenticator
from ingest.jwks import KeySetError
from ingest.metrics import IngestMetrics
from ingest.protocol import BoundedProtocol
from ingest.service import CLOSING_S, Service, open_service
from ingest.tokens import Authenticator
from runtime import program
from runtime.errors import unwrapped
from runtime.health import LoopBeat
from runtime.program import StartError
from runtime.stop import ExitCode, Stop

_BACKLOG: Final = 2_048
_KEEP_ALIVE_S: Final = 75
"""Longer than a load balancer keeps idle connections (60 s), so that it closes them first."""

log = structlog.get_logger("ingest")


class _Drain:
    """Turns the request to stop into a drain: not ready, no new connections, one deadline."""

    def __init__(self, health: Health, timeout_s: float) -> None:
        self.scope = anyio.CancelScope(shield=True)
        self.server: _Server | None = None
        self._health = health
        self._timeout_s = timeout_s

    async def watch(self, stop: Stop) -> None:
        """Wait for the stop, or for the cancellation that means the same."""
        try:
            await stop.wait()
        finally:
            self._health.not_ready = "draining"
            if self.server is None:
                self.scope.cancel()  # nothing was accepted yet
            else:
                self.server.should_exit = True
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
    server: _Server | None = None
    drain = _Drain(health, settings.shutdown_timeout_s)
    code = ExitCode.DEADLINE
    with _listener(settings.http_host, settings.http_port) as listener, unwrapped():
        # Cancellation reaches the watching task alone; the shield keeps everything else up
        # until what was accepted is answered.
        async with anyio.create_task_group() as watch:
            watch.start_soon(drain.watch, stop or Stop())
            with drain.scope:
                async with _service(settings, connection, health) as service:
                    server = _Server(service.app, listener, settings.shutdown_timeout_s)
                    drain.server = server
                    watch.start_soon(_start, service, server, health, task_status)
                    code = await server.answer()
            watch.cancel_scope.cancel()
    if server is not None and server.start_error is not None:
        raise server.start_error
    log.info("ingest_stopped", exit_code=int(code))
    return code


async def _start(
    service: Service, server: "_Server", health: Health, task_status: TaskStatus[str]
) -> None:
    """Take requests once all that is needed is there, or end the server.

    It listens before that: `/healthz` answers, and `/readyz` keeps the load balancer away.
    """
    try:
        await service.wait_until_ready()
    except StartError as error:
        server.start_error = error
        server.should_exit = True
        return
    url = await server.url()
    if not server.should_exit:
        health.not_ready = None
        log.info("ingest_started", url=url)
        task_status.started(url)


async def run(settings: IngestSettings, connection: Connection) -> ExitCode:
    """Serve until SIGTERM or SIGINT, and drain; returns the exit code."""
    return await program.run(
        "ingest", lambda stop: serve(settings, connection=connection, stop=stop)
    )


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers and its own log lines."""

    def __init__(self, app: ASGIApp, listener: socket.socket, timeout_s: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=max(1, int(timeout_s)),
            )
        )
        self.start_error: StartError | None = None
        self._listener = listener
        self._listens = anyio.Event()

    async def url(self) -> str:
        """Where it listens, as soon as it does."""
        await self._listens.wait()
        return _url(self._listener)

    async def answer(self) -> ExitCode:
        """Serve until `should_exit`; returns whether all that was accepted was answered."""
        await self.serve(sockets=[self._listener])
        state = self.server_state
        return ExitCode.DEADLINE if state.tasks or state.connections else ExitCode.DRAINED

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._listens.set()


@asynccontextmanager
async def _service(
    settings: IngestSettings, connection: Connection, health: Health
) -> AsyncIterator[Service]:
    """The service with the machine's clocks and its own chance, and the loop's heartbeat."""
    metrics = IngestMetrics(CollectorRegistry())
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
