"""A service on loopback that answers with a test's bytes, and the lean client's way to it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import anyio
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener

from aws.lean.http import Endpoint, Pool

REQUEST = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Behaviour = Callable[["Visit"], Awaitable[None]]


@dataclass(slots=True)
class Visit:
    """One connection, from the server's side."""

    number: int
    stream: anyio.abc.ByteStream

    async def read(self) -> None:
        """Read one request."""
        received = b""
        while not received.endswith(b"{}"):
            received += await self.stream.receive()
        assert received == REQUEST

    async def send(self, *parts: bytes) -> None:
        """Send bytes, each in a segment of its own."""
        for part in parts:
            await self.stream.send(part)
            await anyio.sleep(0.005)


@dataclass(slots=True)
class Server:
    """Counts its connections."""

    port: int
    behave: Behaviour
    visits: int = 0
    open: int = 0
    most: int = 0
    left: anyio.Event = field(default_factory=anyio.Event)

    async def handle(self, stream: anyio.abc.ByteStream) -> None:
        self.visits += 1
        self.open += 1
        self.most = max(self.most, self.open)
        async with stream:
            try:
                await self.behave(Visit(self.visits, stream))
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
            finally:
                self.open -= 1
                if not self.open:
                    self.left.set()


@asynccontextmanager
async def serving(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as plain:
        server = Server(plain.extra(SocketAttribute.local_port), behave)  # noqa: S610
        listener = plain if tls is None else TLSListener(plain, tls, standard_compatible=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, server.handle)
            yield server
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def pool_to(
    port: int,
    *,
    connections: int = 4,
    read_timeout_s: float = 5.0,
    connect_timeout_s: float = 5.0,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Pool]:
    url = f"{'https' if tls else 'http'}://{host}:{port}"
    pool = Pool(
        Endpoint(url, host, port, tls, connect_timeout_s, read_timeout_s), connections, Random(0)
    )
    try:
        yield pool
    finally:
        await pool.aclose()


async def echo_ok(visit: Visit) -> None:
    while True:
        await visit.read()
        await visit.send(OK)
