"""A client's connection over HTTP/1.1 that is kept alive: one request out, its answer back."""

import asyncio
from time import perf_counter
from typing import Final, Protocol, cast

import httptools

_RETRY_AFTER: Final = b"retry-after"


class Owner(Protocol):
    """Whoever sends requests on connections."""

    def answered(
        self, connection: "Connection", status: int, body: bytes, retry_after: bytes
    ) -> None:
        """Take the answer to the last request; another may be sent if the connection `keeps`.

        `retry_after` is the header's value, empty where there is none.
        """
        ...

    def lost(self, connection: "Connection") -> None:
        """The connection is gone; a request that was under way has no answer."""
        ...


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.sent_at = 0.0
        """When the last request was sent, by `perf_counter`."""
        self.keeps = False
        """Whether another request may be sent on it."""
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._body = b""
        self._retry_after = b""

    def send(self, request: bytes) -> None:
        """Send a whole request; the one before must have been answered."""
        self.sent_at = perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        """Drop the connection, whatever is under way."""
        self.keeps = False
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.keeps = True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        self.keeps = False
        self.owner.lost(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # the owner's own
        except httptools.HttpParserError:
            self.close()

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == len(_RETRY_AFTER) and name.lower() == _RETRY_AFTER:
            self._retry_after = value

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.keeps = self._parser.should_keep_alive()
        body, retry_after = self._body, self._retry_after
        self._body = self._retry_after = b""
        self.owner.answered(self, self._parser.get_status_code(), body, retry_after)
