"""One request and its answer, as the ASGI app sees them."""

from http import HTTPStatus
from typing import Final, Protocol

import anyio
import structlog

from ingest.asgi import ASGIApp, Headers, Message, Scope

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_WITHOUT_LENGTH: Final = frozenset({204, 304})
_CLOSE: Final = b"connection: close\r\n"

log = structlog.get_logger("ingest")


class ClientGoneError(ConnectionError):
    """Nobody is there any more to read the answer (ASGI 2.4: `send` raises an OSError)."""


class Line(Protocol):
    """The connection, as far as an exchange needs it."""

    @property
    def date(self) -> bytes:
        """An answer's Date line."""
        ...

    def answer(self, exchange: "Exchange", answer: bytes) -> None:
        """Send the whole answer; raises ClientGoneError."""
        ...

    def ended(self, exchange: "Exchange") -> None:
        """The app has returned, whether it answered or not."""
        ...


class Exchange:
    """ASGI 3 for a request without a body; the answer leaves in one piece, when it is whole."""

    __slots__ = (
        "_done",
        "_headers",
        "_is_done",
        "_line",
        "_parts",
        "_status",
        "_was_read",
        "keep_alive",
        "scope",
    )

    def __init__(self, line: Line, scope: Scope, *, keep_alive: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        """Whether another request may follow on the connection."""
        self._line = line
        self._status = 0
        self._headers: Headers = ()
        self._parts: list[bytes] = []
        self._was_read = False
        self._done: anyio.Event | None = None
        self._is_done = False

    async def run(self, app: ASGIApp) -> None:
        """Let the app answer; what it raises ends here."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:
            log.exception("app_failed")
        finally:
            self._line.ended(self)

    def client_done(self) -> None:
        """The client sends nothing more: it has closed the connection, or its half of it."""
        self._is_done = True
        if self._done is not None:
            self._done.set()

    async def receive(self) -> Message:
        """The body, which is empty; after it, nothing until the client sends nothing more.

        To an app that waits, a client that is gone and one that has closed its sending half are
        the same: only sending shows which it is.
        """
        if not self._was_read:
            self._was_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if not self._is_done:
            self._done = anyio.Event()
            await self._done.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a part of the answer; with the last one it is sent. Raises ClientGoneError."""
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], tuple(message.get("headers", ()))
            return
        self._parts.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        body = b"".join(self._parts)
        head = encode_head(
            self._status,
            self._headers,
            date=self._line.date,
            length=len(body),
            keep_alive=self.keep_alive,
        )
        self._line.answer(self, head if self.scope["method"] == "HEAD" else head + body)


def encode_head(
    status: int,
    headers: Headers,
    *,
    date: bytes,
    length: int,
    keep_alive: bool,
) -> bytes:
    """An answer's head; raises ValueError where a header would be more than one line."""
    lines = [_STATUS_LINES[status], date, *[b"%b: %b\r\n" % header for header in headers]]
    if status not in _WITHOUT_LENGTH and b"content-length" not in dict(headers):
        lines.append(b"content-length: %d\r\n" % length)
    if not keep_alive:
        lines.append(_CLOSE)
    lines.append(b"\r\n")
    head = b"".join(lines)
    if head.count(b"\n") != len(lines):
        raise ValueError("a header of the answer holds a line break")
    return head
