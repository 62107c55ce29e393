"""Keep-alive HTTP/1.1 connections to one endpoint: what a POST to AWS needs, and no more."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, cast
from zlib import crc32

import anyio
import httptools
from aiohappyeyeballs import start_connection
from botocore.exceptions import (
    ChecksumError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)

from schema.values import value

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Four times what any of the services may answer (DynamoDB: 16 MB)."""
_IDLE_S: Final = 12.0
"""How long a connection may stay idle: the SDK's own limit, below AWS's."""
_AGE_S: Final = 300.0
"""About how long a connection is used: services move, and a busy connection would never notice
that their names mean other addresses now."""
_AGE_SPREAD: Final = 0.2
"""By this part of their age connections differ, else all would be replaced in the same moment."""
_NEXT_ADDRESS_S: Final = 0.25
"""How long an address may stay silent before the next one is tried beside it (RFC 8305 §5)."""
_CLOSING_S: Final = 1.0
_FIRST_FINAL_STATUS: Final = 200
_CHECKSUM: Final = b"x-amz-crc32"
"""DynamoDB sends it with every answer: the sum over the body as it is sent."""
_LENGTH_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an endpoint is and how to speak to it."""

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout_s: float
    read_timeout_s: float
    """How long the service may stay silent."""


@value(frozen=True, slots=True)
class Answer:
    """One HTTP response, its headers unchanged."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value; `name` is in lower case."""
        wanted = name.encode()
        return next((v.decode("latin-1") for n, v in self.headers if n.lower() == wanted), None)


class Pool:
    """A bounded number of connections, reused while they are warm and not too old.

    A connection that the service closes during a request is an error, as with the SDK: only the
    caller knows whether the request may be repeated. Errors are the SDK's own classes. `random`
    spreads the connections' ages.
    """

    def __init__(self, endpoint: Endpoint, max_connections: int, random: Random) -> None:
        self._endpoint = endpoint
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def post(self, request: bytes) -> Answer:
        """Send one whole request, and return the whole answer."""
        async with self._slots:
            connection = self._warm() or await self._connect()
            try:
                return await connection.exchange(request)
            finally:
                if connection.usable:
                    self._idle.append(connection)

    async def aclose(self) -> None:
        """Close every connection, and wait until they are closed."""
        remaining = list(self._open)
        for connection in remaining:
            connection.close()
        with anyio.move_on_after(_CLOSING_S, shield=True):
            for connection in remaining:
                await connection.lost.wait()
        for connection in self._open:
            connection.abort()

    def _warm(self) -> "_Connection | None":
        # Last in, first out: in a quiet hour the connections that are not needed expire.
        now = self._loop.time()
        while self._idle and self._idle[0].heard_at < now - _IDLE_S:
            self._idle.pop(0).close()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now < connection.retires_at:
                return connection
            connection.close()
        return None

    async def _connect(self) -> "_Connection":
        endpoint = self._endpoint
        try:
            with anyio.fail_after(endpoint.connect_timeout_s):
                # Not create_connection's own way to an address: uvloop's tries one after the other.
                found = await self._loop.getaddrinfo(
                    endpoint.host, endpoint.port, type=socket.SOCK_STREAM
                )
                connected = await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_S)
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(endpoint.url, endpoint.read_timeout_s, self._open),
                    sock=connected,
                    ssl=endpoint.tls,
                    server_hostname=endpoint.host if endpoint.tls else None,
                )
        except TimeoutError as error:
            raise ConnectTimeoutError(endpoint_url=endpoint.url, error=error) from error
        except ssl.SSLError as error:
            raise SSLError(endpoint_url=endpoint.url, error=error) from error
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=endpoint.url, error=error) from error
        spread = self._random.uniform(1 - _AGE_SPREAD, 1 + _AGE_SPREAD)
        connection.retires_at = self._loop.time() + _AGE_S * spread
        return connection


class _Connection(asyncio.Protocol):
    """One connection, with at most one exchange under way; in `registry` while it is open."""

    def __init__(self, url: str, read_timeout_s: float, registry: "set[_Connection]") -> None:
        self._loop = asyncio.get_running_loop()
        self._url = url
        self._read_timeout_s = read_timeout_s
        self._registry = registry
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._in_body = False
        self.heard_at = 0.0
        self.retires_at = 0.0
        """When it is too old for another request."""
        self.usable = False
        """Whether another request may be sent on it."""
        self.lost = asyncio.Event()

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and wait for its answer; on any failure the connection closes."""
        if self._transport is None or not self.usable:
            raise ConnectionClosedError(endpoint_url=self._url)
        self._forget()
        self.usable = False
        self.heard_at = self._loop.time()
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        self._silence = self._loop.call_later(self._read_timeout_s, self._check_silence)
        try:
            self._transport.write(request)
            return await answer
        finally:
            self._answer = None
            self._silence.cancel()
            if not self.usable:
                self.close()

    def close(self) -> None:
        """Close it, whatever is under way."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop it, where closing takes too long."""
        if self._transport is not None:
            self._transport.abort()

    def _forget(self) -> None:
        self._headers, self._body, self._body_bytes, self._in_body = [], [], 0, False

    def _check_silence(self) -> None:
        due_s = self.heard_at + self._read_timeout_s - self._loop.time()
        if due_s > 0:
            self._silence = self._loop.call_later(due_s, self._check_silence)
        else:
            self._fail(ReadTimeoutError(endpoint_url=self._url))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True
        self._registry.add(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # no request is under way
            return
        self.heard_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.usable = False
            self._fail(HTTPClientError(error=error))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.usable = False
        self._registry.discard(self)
        self.lost.set()
        if exc is not None:
            kind = SSLError if isinstance(exc, ssl.SSLError) else EndpointConnectionError
            self._fail(kind(endpoint_url=self._url, error=exc))
        elif self._in_body and not any(n.lower() in _LENGTH_HEADERS for n, _ in self._headers):
            self._complete()  # its end is the body's end (RFC 9112 §6.3)
        else:
            self._fail(ConnectionClosedError(endpoint_url=self._url))

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > MAX_ANSWER_BYTES:
            self._fail(HTTPClientError(error=f"an answer of over {MAX_ANSWER_BYTES} bytes"))

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < _FIRST_FINAL_STATUS:
            self._forget()  # "100 Continue" and the like precede the answer
            return
        self.usable = self._parser.should_keep_alive()
        self._complete()

    def _complete(self) -> None:
        if self._answer is None or self._answer.done():
            return
        body = b"".join(self._body)
        damage = _damage(self._headers, body)
        if damage is None:
            self._answer.set_result(Answer(self._parser.get_status_code(), self._headers, body))
        else:
            self.usable = False  # whatever would come on it next may be damaged as well
            self._fail(damage)


def _damage(headers: Sequence[tuple[bytes, bytes]], body: bytes) -> ChecksumError | None:
    """The error for a body that is not what was sent, where the answer makes that known."""
    for name, expected in headers:
        if len(name) == len(_CHECKSUM) and name.lower() == _CHECKSUM:
            found = b"%d" % crc32(body)
            if found != expected:
                return ChecksumError(
                    checksum_type="CRC32",
                    expected_checksum=expected.decode("latin-1"),
                    actual_checksum=found.decode(),
                )
    return None
