"""The least of HTTP/1.1 that the AWS SDKs need: keep-alive, bodies, JSON answers."""

import asyncio
import re
from typing import Final, Protocol, cast

import httptools

_REASONS: Final = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 500: b"Internal Error"}
_FIXED: Final = (
    b"\r\nContent-Type: application/x-amz-json-1.0\r\nConnection: keep-alive\r\n"
    b"x-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: "
)
_CALL_HEAD: Final = re.compile(
    rb"POST (\S+) HTTP/1\.1\r\n"
    rb"(?:[^\r]+\r\n)*?[Xx]-[Aa]mz-[Tt]arget: ?([^\r]+)\r\n"
    rb"(?:[^\r]+\r\n)*?[Cc]ontent-[Ll]ength: ?(\d+)\r\n"
    rb"(?:[^\r]+\r\n)*\r\n"
)
"""The head of an AWS call, with its headers in the order in which clients happen to send them."""
_OK: Final = b"HTTP/1.1 200 OK" + _FIXED


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
        self._under_way = False
        """Whether the parser has begun a request and waits for the rest."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if not self._under_way and self._handle_whole(data):
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    def _handle_whole(self, data: bytes) -> bool:
        """Handle what is one whole AWS call, as nearly all is, without a callback per header."""
        head = _CALL_HEAD.match(data)
        if head is None:
            return False
        url, target, length = head.groups()
        if int(length) != len(data) - head.end():
            return False
        self._application.handle(url, target.decode(), data[head.end() :], self._respond)
        return True

    def on_message_begin(self) -> None:
        self._under_way = True
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
        self._under_way = False
        self._application.handle(self._url, self._target, b"".join(self._body), self._respond)

    def _respond(self, status: int, body: bytes) -> None:
        if self._transport is not None:
            head = _OK if status == 200 else b"HTTP/1.1 %d %b" % (status, _REASONS[status]) + _FIXED
            self._transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
