"""Listens, keeps the connections within their bounds, and drains them at the end."""

import asyncio
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

import anyio
import structlog

from ingest.asgi import ASGIApp, Headers
from ingest.http1.bounds import SOCKET_BUFFER_BYTES, Bounds, Observer
from ingest.http1.connection import Connection
from ingest.http1.exchange import Exchange
from runtime.sampling import Sampler

_BACKLOG: Final = 2_048
_FLUSH_S: Final = 1.0
"""How long answers to what was given up may take to leave."""

log = structlog.get_logger("ingest")


class HttpServer:
    """Serves an app over HTTP/1.1.

    `time_s` is the time in epoch seconds; `headers_for` an origin are added to refusals.
    """

    def __init__(
        self,
        app: ASGIApp,
        bounds: Bounds,
        observer: Observer,
        time_s: Callable[[], float],
        headers_for: Callable[[bytes | None], Headers] = lambda _origin: (),
    ) -> None:
        self.bounds = bounds
        self.buffer = bytearray(bounds.head_bytes)
        self._app = app
        self._observer = observer
        self._time_s = time_s
        self.headers_for = headers_for
        self._connections: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._tasks: asyncio.TaskGroup
        self._unwritten: list[Connection] = []
        self._lines = Sampler(self._loop.time)
        self._stopping = anyio.Event()
        self._none_left = anyio.Event()
        self._second = 0
        self._date = b""

    @property
    def connection_count(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    def stop(self) -> None:
        """Take no new connections, and answer what was asked."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    async def serve(
        self, listener: socket.socket, timeout_s: float, started: Callable[[], None]
    ) -> bool:
        """Serve until `stop()`, and then answer what was asked, for `timeout_s` at most.

        Calls `started` when it listens. Returns whether everything was answered.
        """
        # Connections inherit it; the kernel would keep megabytes for each.
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            listener.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        listening = await self._loop.create_server(
            lambda: Connection(self), sock=listener, backlog=_BACKLOG
        )
        try:
            async with asyncio.TaskGroup() as self._tasks:
                started()
                await self._stopping.wait()
                listening.close()
                return await self._drain(timeout_s)
        finally:
            listening.close()
            await self._flush()

    async def _drain(self, timeout_s: float) -> bool:
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            with anyio.move_on_after(timeout_s):
                await self._none_left.wait()
        left = list(self._connections)
        for connection in left:
            connection.give_up()
        return not left

    async def _flush(self) -> None:
        """Let the last answers leave, and drop whoever does not take them."""
        if self._connections:
            with anyio.move_on_after(_FLUSH_S, shield=True):
                await self._none_left.wait()
        for connection in list(self._connections):
            connection.give_up()

    # What connections ask and report.

    @property
    def date(self) -> bytes:
        """An answer's Date line (RFC 9110 §6.6.1), made once a second."""
        second = int(self._time_s())
        if second != self._second:
            self._second = second
            self._date = f"date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._date

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self._connections) >= self.bounds.connections

    def opened(self, connection: Connection) -> None:
        """A connection is there."""
        self._connections.add(connection)
        if self.is_stopping:
            connection.drain()  # it was accepted just before

    def closed(self, connection: Connection) -> None:
        """It is gone, and nothing of it is under way."""
        self._connections.discard(connection)
        if not self._connections and self.is_stopping:
            self._none_left.set()

    def start(self, exchange: Exchange) -> "asyncio.Task[None]":
        """Let the app answer a request."""
        return self._tasks.create_task(exchange.run(self._app))

    def write_soon(self, connection: Connection) -> None:
        """Have it write when this turn of the event loop is over.

        The answers of one turn then follow each other closely, and the system has to wake up fewer
        readers that have fallen asleep in between, each of which costs as much as a write.
        """
        if not self._unwritten:
            self._loop.call_soon(self._write)
        self._unwritten.append(connection)

    def _write(self) -> None:
        connections, self._unwritten = self._unwritten, []
        for connection in connections:
            connection.write()

    def refused(self, reason: str) -> None:
        """A client was refused."""
        self._observer.refused(reason)
        unlogged = self._lines.take(reason)
        if unlogged is not None:
            log.warning("client_refused", reason=reason, unlogged=unlogged)
