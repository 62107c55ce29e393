"""A hostile client's connection, raw, and what it hears."""

import asyncio
import contextlib
import socket
import struct
from asyncio import IncompleteReadError, ReadTransport, StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from local.faults import http1
from local.faults.http1 import Message

_PIECE: Final = 65_536
_BACKLOG_AT_A_TIME: Final = 200
SEGMENT_S: Final = 0.03
"""So long between two sends they leave, and are read, one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A running ingest."""

    host: str
    port: int
    connections: int
    """Its MAX_CONNECTIONS."""
    pid: int | None = None
    token: str | None = None
    """A valid user's who only looks on."""
    attacker_token: str | None = None
    """That of another, who attacks: a user has a bound on requests, too."""
    event: str = "event-1"
    patience_s: float = 5.0
    """How long an answer, or an end that is due, may take."""

    @property
    def click(self) -> bytes:
        """An attacker's click; it is 401 where there is no token."""
        token = self.attacker_token
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        line = f"POST /events/{self.event}/participations HTTP/1.1\r\nHost: a\r\n"
        return f"{line}{authorization}\r\n".encode()

    @property
    def click_status(self) -> int:
        """How the click is answered."""
        return 202 if self.attacker_token else 401

    def log_bytes(self) -> int | None:
        """How much it has logged, where its output is a file and the kernel shows it."""
        if self.pid is None:
            return None
        with contextlib.suppress(OSError):
            log = Path(f"/proc/{self.pid}/fd/1")
            return log.stat().st_size if log.is_file() else None
        return None


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back on a connection."""

    data: bytes
    has_ended: bool
    """Whether the server has closed or reset it."""

    async def answers(self) -> list[Message]:
        """The answers; raises ValueError where it is no row of whole ones."""
        reader = StreamReader()
        reader.feed_data(self.data)
        reader.feed_eof()
        found: list[Message] = []
        try:
            while not reader.at_eof():
                found.append(await http1.read_response(reader, "GET"))
        except (IncompleteReadError, IndexError) as error:
            raise ValueError(f"no whole answer: {self.data[-200:]!r}") from error
        return found

    async def statuses(self) -> list[int]:
        """The answers' statuses; raises ValueError as `answers` does."""
        return [answer.status for answer in await self.answers()]


class Client:
    """One connection. That the server closes it is an answer, not an error."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def send(self, *segments: bytes) -> bool:
        """Send one after the other; returns whether the server still took them."""
        for number, segment in enumerate(segments):
            if number:
                await asyncio.sleep(SEGMENT_S)
            try:
                self._writer.write(segment)
                await self._writer.drain()
            except ConnectionError:
                return False
        return True

    async def rest(self, seconds: float) -> Heard:
        """Read until the server closes, for so long at most."""
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(seconds):
                while piece := await self.reader.read(_PIECE):
                    pieces.append(piece)
        except TimeoutError:
            return Heard(b"".join(pieces), has_ended=False)
        except ConnectionError:
            pass
        return Heard(b"".join(pieces), has_ended=True)

    async def answer(self, seconds: float) -> Message | None:
        """Read one answer; None where none comes in time."""
        with contextlib.suppress(TimeoutError, ConnectionError, IncompleteReadError):
            async with asyncio.timeout(seconds):
                return await http1.read_response(self.reader, "GET")
        return None

    def half_close(self) -> None:
        """Send nothing more, and go on reading (shutdown SHUT_WR)."""
        self._writer.write_eof()

    def deafen(self) -> None:
        """Read nothing more."""
        cast("ReadTransport", self._writer.transport).pause_reading()

    def reset(self) -> None:
        """End it by RST."""
        connection = self._writer.get_extra_info("socket")
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    def close(self) -> None:
        """Drop it, with what was not sent."""
        self._writer.transport.abort()


async def connect(target: Target, *, receive_buffer: int | None = None) -> Client:
    """Open a connection; with a small receive buffer (bytes) little fits before the client."""
    connection = socket.socket(socket.AF_INET6 if ":" in target.host else socket.AF_INET)
    connection.setblocking(False)  # noqa: FBT003 - the socket's interface
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (target.host, target.port))
        return Client(*await asyncio.open_connection(sock=connection))
    except BaseException:
        connection.close()
        raise


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[Client]:
    """One connection for the length of the block."""
    client = await connect(target)
    try:
        yield client
    finally:
        client.close()


@asynccontextmanager
async def crowd(
    target: Target, size: int, *, receive_buffer: int | None = None, greeting: bytes = b""
) -> AsyncIterator[list[Client]]:
    """Many connections for the length of the block; each says its greeting when it is open."""
    clients: list[Client] = []

    async def open_one() -> Client:
        client = await connect(target, receive_buffer=receive_buffer)
        if greeting:
            await client.send(greeting)
        return client

    try:
        while len(clients) < size:
            batch = min(_BACKLOG_AT_A_TIME, size - len(clients))
            clients += await asyncio.gather(*(open_one() for _ in range(batch)))
        yield clients
    finally:
        for client in clients:
            client.close()


async def ask(target: Target, *segments: bytes, seconds: float) -> Heard:
    """What a new connection hears after sending the segments, until it is closed."""
    async with connected(target) as client:
        await client.send(*segments)
        return await client.rest(seconds)


def counted(values: Iterable[object]) -> str:
    """Values and how often each occurs, the most frequent first: `404 x12, 200`."""
    counts = Counter(map(str, values)).most_common()
    return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in counts)
