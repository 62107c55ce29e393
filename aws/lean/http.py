"""Keep-alive HTTP/1.1 connections to one endpoint: what a POST to AWS needs, and no more."""

import asyncio
import select
import socket
import ssl
from dataclasses import dataclass
from random import Random
from typing import Final, cast

import anyio
from aiohappyeyeballs import start_connection
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)

from aws.lean.answer import Answer, AnswerReader

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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an endpoint is and how to speak to it."""

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout_s: float
    timeout_s: float
    """How long sending a request and receiving its whole answer may take."""


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

    async def post(self, *request: bytes) -> Answer:
        """Send one whole request, in as many parts as it was made of; returns the whole answer."""
        async with self._slots:
            connection = self._warm() or await self._connect()
            try:
                return await connection.exchange(*request)
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
            if now < connection.retires_at and connection.is_quiet():
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
                    lambda: _Connection(endpoint.url, endpoint.timeout_s, self._open),
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
        # Not before: of a connection that is given up while it is made, uvloop reports no end.
        if connection.usable:
            self._open.add(connection)
        spread = self._random.uniform(1 - _AGE_SPREAD, 1 + _AGE_SPREAD)
        connection.retires_at = self._loop.time() + _AGE_S * spread
        return connection


class _Connection(asyncio.Protocol):
    """One connection, with at most one exchange under way; leaves `registry` when it is lost."""

    def __init__(self, url: str, timeout_s: float, registry: "set[_Connection]") -> None:
        self._loop = asyncio.get_running_loop()
        self._url = url
        self._timeout_s = timeout_s
        self._registry = registry
        self._transport: asyncio.Transport | None = None
        self._received = select.poll()
        self._reader: AnswerReader | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._due_at = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self.heard_at = 0.0
        """When the last answer was complete."""
        self.retires_at = 0.0
        """When it is too old for another request."""
        self.usable = False
        """Whether another request may be sent on it."""
        self.lost = asyncio.Event()

    def is_quiet(self) -> bool:
        """Whether it is usable, and nothing has come that the loop has not read yet.

        What comes before a request is no answer to it (RFC 9112 §9.2), or the connection's end.
        """
        return self.usable and not self._received.poll(0)

    async def exchange(self, *request: bytes) -> Answer:
        """Send a request and wait for its answer; on any failure the connection is dropped."""
        if self._transport is None or not self.usable:
            raise ConnectionClosedError(endpoint_url=self._url)
        self.usable = False
        self._reader = AnswerReader()
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        self._due_at = self._loop.time() + self._timeout_s
        if self._alarm is None:
            self._alarm = self._loop.call_at(self._due_at, self._check)
        try:
            self._transport.writelines(request)
            return await answer
        except BaseException:
            self.abort()  # closing would first send the rest of the request
            raise
        finally:
            self._reader = self._answer = None
            self.heard_at = self._loop.time()
            if not self.usable:
                self.close()

    def close(self) -> None:
        """Close it, whatever is under way."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop it, where closing takes too long."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def _check(self) -> None:
        """End the exchange whose time is over: one alarm serves many exchanges."""
        self._alarm = None
        if self._answer is None:
            return
        if self._loop.time() < self._due_at:
            self._alarm = self._loop.call_at(self._due_at, self._check)
        else:
            self._fail(ReadTimeoutError(endpoint_url=self._url))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        answer, reader = self._answer, self._reader
        if answer is None or reader is None or answer.done():
            self.close()  # no request is under way
            return
        try:
            found = reader.feed(data)
        except BotoCoreError as error:
            answer.set_exception(error)
            return
        if found is not None:
            self.usable = reader.keeps
            answer.set_result(found)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.usable = False
        self._registry.discard(self)
        if self._alarm is not None:
            self._alarm.cancel()
        self.lost.set()
        if exc is None:
            self._fail(ConnectionClosedError(endpoint_url=self._url))
        else:
            kind = SSLError if isinstance(exc, ssl.SSLError) else EndpointConnectionError
            self._fail(kind(endpoint_url=self._url, error=exc))
