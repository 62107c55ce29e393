"""One client's connection: a request at a time goes to the app, and answers go out in order.

A client may be slow, endless, silent, deaf or no HTTP client at all: what is kept of it is bounded,
and so is the time that it may take (`Bounds`).
"""

import asyncio
from typing import Final, Protocol, cast

from ingest.asgi import Headers
from ingest.http1.bounds import (
    BRIEFLY_S,
    LINGER_S,
    PROBLEMS,
    WRITE_BUFFER_BYTES,
    Bounds,
    Refusal,
)
from ingest.http1.exchange import ClientGoneError, Exchange, encode_head
from ingest.http1.requests import RequestReader

_NOWHERE: Final = ("", 0)
_REFUSED: Final = {reason: problem.answer() for reason, problem in PROBLEMS.items()}


class Server(Protocol):
    """What all connections share."""

    bounds: Bounds
    buffer: bytearray
    """Where each connection reads into; as large as a head may be."""

    @property
    def date(self) -> bytes:
        """An answer's Date line."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        ...

    def opened(self, connection: "Connection") -> None:
        """A connection is there."""
        ...

    def closed(self, connection: "Connection") -> None:
        """It is gone, and nothing of it is under way."""
        ...

    def start(self, exchange: Exchange) -> "asyncio.Task[None]":
        """Let the app answer a request."""
        ...

    def write_soon(self, connection: "Connection") -> None:
        """Have it write when this turn of the event loop is over."""
        ...

    def refused(self, reason: str) -> None:
        """A client was refused, for a reason of `Refusal`."""
        ...

    def headers_for(self, origin: bytes | None) -> Headers:
        """What lets a page of this origin read a refusal; None: the origin is not known."""
        ...


class Connection(asyncio.BufferedProtocol):
    """What asyncio reports about one connection, and what the server wants of it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._bounds = server.bounds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader: RequestReader
        self._unread = b""
        """What came behind a request that is not answered yet."""
        self._unsent = b""
        """What is to be written at the end of this turn of the event loop."""
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._client_is_done = False
        """The client sends nothing more, and may still read."""
        self._client_is_deaf = False
        """The client does not read what it is answered."""
        self._is_closing = False
        self._is_draining = False
        self._linger_s = LINGER_S
        self._due_s: float | None = None
        self._timer_at_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # What asyncio reports.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect a first request soon."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        client, server = (transport.get_extra_info(n) for n in ("peername", "sockname"))
        peers = {"client": (client or _NOWHERE)[:2], "server": (server or _NOWHERE)[:2]}
        self._reader = RequestReader(self._bounds.head_bytes, peers)
        if self._server.is_full:
            self._linger_s = BRIEFLY_S
            self._refuse(Refusal.OVERLOAD)
            return
        self._expect_within(self._bounds.head_timeout_s)
        self._server.opened(self)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's interface
        """Where to read into; what comes is looked at before anybody else reads."""
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Look at what came."""
        if not self._is_closing and self._reader.refusal is None:
            self._read(self._server.buffer, nbytes)

    def eof_received(self) -> bool:
        """Say whether the connection is still needed: while an answer is due."""
        self._client_is_done = True
        self.write()
        if self._exchange is not None:
            self._exchange.client_done()
        return not self._is_closing and (
            self._exchange is not None or bool(self._unread) or self._client_is_deaf
        )

    def pause_writing(self) -> None:
        """The client does not read: its next request waits, for a while."""
        self._client_is_deaf = True
        self._expect_within(self._bounds.unread_timeout_s)

    def resume_writing(self) -> None:
        """It has read."""
        self._client_is_deaf = False
        self._expect_within(self._linger_s if self._is_closing else self._bounds.keep_alive_s)
        # Not from within the transport's own flush, which may have more to say.
        self._loop.call_soon(self._go_on)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        """Forget all but a request that is being answered."""
        self._transport = None
        self._is_closing = True
        self._reader.close()
        self._unread = b""
        if self._timer is not None:
            self._timer.cancel()
        if self._exchange is None:
            self._server.closed(self)
        else:
            self._exchange.client_done()

    # What an exchange reports.

    @property
    def date(self) -> bytes:
        """An answer's Date line."""
        return self._server.date

    def answer(self, exchange: Exchange, answer: bytes) -> None:
        """Send the whole answer; raises ClientGoneError."""
        if self._transport is None or exchange is not self._exchange:
            raise ClientGoneError
        self._exchange = self._task = None
        self._unsent += answer
        if not exchange.keep_alive:
            self._finish()
            return
        if self._unread:
            self.write()  # which shows whether the client reads, before its next request begins
        else:
            self._server.write_soon(self)
        if not self._client_is_deaf:
            self._expect_within(self._bounds.keep_alive_s)
        self._go_on()

    def ended(self, exchange: Exchange) -> None:
        """The app has returned; without an answer, the connection ends."""
        if exchange is not self._exchange:
            return
        self._exchange = self._task = None
        if self._transport is None:
            self._server.closed(self)
        self._abort()

    # What the server wants.

    def write(self) -> None:
        """Write what is not written yet."""
        if self._unsent and self._transport is not None:
            unsent, self._unsent = self._unsent, b""
            self._transport.write(unsent)

    def drain(self) -> None:
        """Answer what is under way, or on its way, and close."""
        self._is_draining = True
        if self._exchange is not None:
            self._exchange.keep_alive = False
        elif self._client_is_deaf or self._is_closing:
            self._finish()
        else:
            self._expect_within(LINGER_S if self._reader.is_within_request else BRIEFLY_S)

    def give_up(self) -> None:
        """Cancel what is under way, to which the app still answers; else drop the connection."""
        if self._task is not None:
            self._task.cancel()
        else:
            self._abort()

    # How it goes on.

    def _read(self, source: bytes | bytearray, count: int) -> None:
        """Read up to a request's end; the rest waits until it is answered."""
        view = memoryview(source)
        at = 0
        while at < count and self._reader.refusal is None:
            if self._exchange is not None or self._client_is_deaf:
                self._unread += view[at:count]
                self._pause_reading()
                if self._exchange is not None:
                    # Whoever sent more no longer waits, or is gone, which nobody would hear of.
                    self._exchange.client_done()
                return
            end = self._reader.end_of_piece(source, at, count)
            was_within = self._reader.is_within_request
            self._reader.feed(view[at:end])
            if self._reader.is_within_request and not was_within:
                self._expect_within(self._bounds.head_timeout_s)
            self._begin_next()
            at = end
        if self._reader.refusal is not None and self._exchange is None:
            self._refuse(self._reader.refusal)

    def _begin_next(self) -> None:
        if self._exchange is None and self._reader.requests:
            request = self._reader.requests.popleft()
            keep_alive = request.may_be_followed and not self._is_draining
            self._exchange = Exchange(self, request.scope, keep_alive=keep_alive)
            self._due_s = None
            self._task = self._server.start(self._exchange)
            if self._client_is_done or self._unread:
                self._exchange.client_done()

    def _go_on(self) -> None:
        """Turn to what waited for an answer to be sent."""
        if self._is_closing or self._client_is_deaf or self._transport is None:
            return
        self._begin_next()
        if self._exchange is not None:
            if not self._unread:
                # Its client may go meanwhile.
                self._transport.resume_reading()
            return
        if self._reader.refusal is not None:
            self._refuse(self._reader.refusal)
        elif self._unread:
            unread, self._unread = self._unread, b""
            self._read(unread, len(unread))
            self._go_on()
        elif self._client_is_done:
            self._finish()
        else:
            self._transport.resume_reading()

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    # How it ends.

    def _expect_within(self, seconds: float) -> None:
        """End the connection unless something else is due, or nothing is, within so long."""
        self._due_s = due_s = self._loop.time() + seconds
        # Moving a timer with each request would cost more than to look now and then.
        if self._timer is None or due_s < self._timer_at_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at_s = due_s
            self._timer = self._loop.call_at(due_s, self._check_due)

    def _check_due(self) -> None:
        self._timer = None
        if self._due_s is None:
            return
        left_s = self._due_s - self._loop.time()
        if left_s > 0:
            self._expect_within(left_s)
        elif self._client_is_deaf:
            self._server.refused(Refusal.UNREAD)
            self._abort()
        elif self._is_closing:
            self._abort()
        elif self._reader.is_within_request:
            self._refuse(Refusal.HEAD_TOO_SLOW)
        else:
            self._finish()

    def _refuse(self, reason: str) -> None:
        """Answer outside of the app, and close."""
        if self._transport is None or self._is_closing:
            return
        self._server.refused(reason)
        answer = _REFUSED[reason]
        head = encode_head(
            answer.status,
            (*answer.headers, *self._server.headers_for(self._reader.origin)),
            date=self._server.date,
            length=len(answer.body),
            keep_alive=False,
        )
        self._unsent += head + answer.body
        self._finish()

    def _finish(self) -> None:
        """Send nothing more, and close when the client has read it all (RFC 9112 §9.6)."""
        if self._transport is None or self._is_closing:
            return
        self._is_closing = True
        self.write()
        deaf = self._client_is_deaf
        self._expect_within(self._bounds.unread_timeout_s if deaf else self._linger_s)
        if self._client_is_done or self._is_draining:
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
