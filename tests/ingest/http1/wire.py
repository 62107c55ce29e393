"""A server's connections on virtual time, over transports whose other end is the test."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any, Final

from ingest.asgi import Receive, Scope, Send
from ingest.http1.bounds import Bounds
from ingest.http1.connection import Connection
from ingest.http1.exchange import ClientGoneError
from ingest.http1.server import HttpServer

BOUNDS: Final = Bounds(
    connections=3, head_bytes=4_096, head_timeout_s=10, keep_alive_s=75, unread_timeout_s=20
)


class Wire(asyncio.Transport):
    """One connection's transport, and its client."""

    def __init__(self, server: HttpServer) -> None:
        super().__init__({"peername": ("192.0.2.1", 40_000), "sockname": ("192.0.2.2", 80)})
        self.heard = b""
        """What the client has read."""
        self.has_ended = False
        """Whether the server has ended its side."""
        self.is_lost = False
        """Whether the connection is gone."""
        self.reads_on = True
        self._reads = True
        self._unsent = b""
        self._is_full = False
        self._limit = 0
        self._is_closing = False
        self._arrived: deque[bytes | None] = deque()
        self._protocol = Connection(server)
        self._protocol.connection_made(self)

    @property
    def statuses(self) -> list[int]:
        """The statuses that the client has read."""
        return [int(part[:3]) for part in self.heard.split(b"HTTP/1.1 ")[1:]]

    @property
    def connection(self) -> Connection:
        """The server's side."""
        return self._protocol

    # What the client does.

    def arrive(self, *pieces: bytes) -> None:
        """The client's bytes arrive; each piece is read by itself."""
        self._arrived += pieces
        self._deliver()

    def half_close(self) -> None:
        """The client sends nothing more."""
        self._arrived.append(None)
        self._deliver()

    def deafen(self) -> None:
        """The client reads nothing more."""
        self._reads = False

    def listen(self) -> None:
        """The client reads again."""
        self._reads = True
        self._flush()

    # What the server does.

    def set_write_buffer_limits(
        self,
        high: int | None = None,
        low: int | None = None,  # noqa: ARG002 - asyncio's interface
    ) -> None:
        assert high is not None
        self._limit = high

    def get_write_buffer_size(self) -> int:
        return len(self._unsent)

    def write(self, data: Any) -> None:
        assert not self._is_closing
        assert not self.has_ended
        self._unsent += bytes(data)
        self._flush()
        if len(self._unsent) > self._limit and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        self.has_ended = True

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True
        if not self._unsent:
            self.abort()

    def abort(self) -> None:
        self._is_closing = True
        asyncio.get_running_loop().call_soon(self._lose)

    def pause_reading(self) -> None:
        self.reads_on = False

    def resume_reading(self) -> None:
        self.reads_on = True
        asyncio.get_running_loop().call_soon(self._deliver)

    def _lose(self) -> None:
        if not self.is_lost:
            self.is_lost = self.has_ended = True
            self._protocol.connection_lost(None)

    def _flush(self) -> None:
        if not self._reads:
            return
        self.heard += self._unsent
        self._unsent = b""
        if self._is_full:
            self._is_full = False
            self._protocol.resume_writing()
        if self._is_closing:
            self.abort()

    def _deliver(self) -> None:
        while self._arrived and self.reads_on and not self._is_closing:
            piece = self._arrived.popleft()
            if piece is None:
                if not self._protocol.eof_received():
                    self.close()
                return
            buffer = self._protocol.get_buffer(-1)
            taken = piece[: len(buffer)]
            if len(taken) < len(piece):
                self._arrived.appendleft(piece[len(taken) :])
            buffer[: len(taken)] = taken
            self._protocol.buffer_updated(len(taken))


class House:
    """A server, its app, and what they saw."""

    def __init__(self, tasks: asyncio.TaskGroup, bounds: Bounds) -> None:
        self.server = HttpServer(self._app, bounds, self, lambda: 1_700_000_000)
        self.server._tasks = tasks
        self.asked: list[Scope] = []
        self.refusals: Counter[str] = Counter()
        self.disconnects = 0
        self.answered = 0
        self.may_answer = asyncio.Event()
        """What those wait for who ask for `/slow`."""

    def refused(self, reason: str) -> None:
        """As `Observer`."""
        self.refusals[reason] += 1

    def connect(self) -> Wire:
        """A client connects."""
        return Wire(self.server)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope)
        await receive()
        match scope["path"]:
            case "/slow":
                await self.may_answer.wait()
            case "/slow-until-gone":
                await self.may_answer.wait()
                await receive()
                self.disconnects += 1
            case "/until-gone":
                await receive()
                self.disconnects += 1
            case "/fails":
                raise ValueError("the app failed")
            case "/nothing":
                return
        body = b"x" * (20_000 if scope["path"] == "/large" else 1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with suppress(ClientGoneError):
            await send({"type": "http.response.body", "body": body})
        self.answered += 1


@asynccontextmanager
async def opened(bounds: Bounds = BOUNDS) -> AsyncIterator[House]:
    """A server for the length of the block; it must let go of every connection."""
    async with asyncio.TaskGroup() as tasks:
        house = House(tasks, bounds)
        yield house
        house.may_answer.set()
        for connection in list(house.server._connections):
            connection.give_up()
        await settled()
        for connection in list(house.server._connections):
            connection.give_up()
    assert house.server.connection_count == 0


async def settled() -> None:
    """Let all run that can run now."""
    await asyncio.sleep(0.000_1)


def get(path: str, *lines: str, method: str = "GET") -> bytes:
    """A request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The data in pieces that begin at these places."""
    at = sorted({0, len(data), *(place for place in places if 0 < place < len(data))})
    return [data[begin:end] for begin, end in pairwise(at)]
