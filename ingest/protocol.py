"""Uvicorn's HTTP connection with bounds on a request's head, and problem documents for non-HTTP."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest.problems import Problem

MAX_HEAD_BYTES: Final = 65_536
"""Request line and headers; application load balancers allow as much (AWS: ALB quotas)."""
HEAD_TIMEOUT_S: Final = 10.0


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client, who may be slow, endless or no HTTP client at all.

    Uvicorn itself waits for the end of a request's head however long that takes and however
    large it grows.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_is_open = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a first request soon."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; what still lacks the end of its head is bounded from now on."""
        was_open = self._head_is_open
        super().data_received(data)
        if not self._head_is_open:
            return
        # The first piece may have held other requests before: only what follows is counted.
        self._head_bytes = self._head_bytes + len(data) if was_open else 0
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(Problem(431, "head-too-large", "The request's headers are too large"))
        elif self._head_timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._head_is_open = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head has ended."""
        self._head_is_open = False
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(Problem(400, "bad-request", "The request is not valid", msg))

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: the request is answered as if it had asked for no upgrade (RFC 9110)."""

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._refuse(Problem(408, "head-too-slow", "The request did not arrive in time"))

    def _refuse(self, problem: Problem) -> None:
        """Answer outside of the app, and close."""
        self._stop_timer()
        self._head_is_open = False
        response = problem.response()
        lines = [f"HTTP/1.1 {problem.status} {problem.title}".encode()]
        lines += [name + b": " + value for name, value in response.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", b""]))
        self.transport.write(bytes(response.body))
        self.transport.close()
