"""The least of HTTP/1.1 that the AWS SDKs need: keep-alive, bodies, JSON answers."""

import asyncio
from typing import Final, Protocol, cast

import httptools

_REASONS: Final = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 500: b"Internal Error"}
_FIXED: Final = (
    b"\r\nContent-Type: application/x-amz-json-1.0\r\nConnection: keep-alive\r\n"
    b"x-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: "
)


class Responder(Protocol):
    """Takes the answer to one request, now or later."""

    def __call__(self, status: int, body: bytes) -> None:
        """Send it."""
        ...


class Application(Protocol):
    """Answers requests."""

    def handle(self, url: bytes, target: str, body: bytes, respond: Responder) -> None:
        """Answer one request, whose operation (`X-Amz-Target`) is `target`."""
        ...


class Connection(asyncio.Protocol):
    """One client connection; requests on it are answered in the order that clients expect."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._target = ""
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    def on_message_begin(self) -> None:
        self._url = b""
        self._target = ""
        self._body = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 12 and name.lower() == b"x-amz-target":
            self._target = value.decode()
        elif len(name) == 6 and name.lower() == b"expect" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._application.handle(self._url, self._target, b"".join(self._body), self._respond)

    def _respond(self, status: int, body: bytes) -> None:
        if self._transport is not None:
            length = str(len(body)).encode()
            status_line = b"HTTP/1.1 %d %b" % (status, _REASONS[status])
            self._transport.write(b"".join((status_line, _FIXED, length, b"\r\n\r\n", body)))
