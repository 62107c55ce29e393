"""A service over HTTP that answers clicks as a test says, and remembers what it was asked."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import jwt
import orjson
from anyio.abc import AnyByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener

_MAX_HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int = 202
    document: Mapping[str, Any] = field(
        default_factory=lambda: {"requestId": "r", "isDuplicate": False}
    )
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False
    """Whether the connection ends after it."""
    raw: bytes | None = None
    """What is sent instead."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its line, headers by lower-case name, and whose token it holds."""

    line: str
    headers: Mapping[str, str]

    @property
    def user(self) -> str:
        """The token's user."""
        token = self.headers["authorization"].removeprefix("Bearer ")
        return str(jwt.decode(token, options={"verify_signature": False})["sub"])


class Service:
    """What the service has seen."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.asked_at: list[float] = []
        """By the event loop's clock."""
        self.connections = 0
        """Opened in all."""
        self.open = 0
        self.most_open = 0
        self.closing = anyio.Event()
        """Set: it listens no more."""


Answering = Callable[[Service, int], Awaitable[Reply]]
"""Answers a request, given its number from 1 on."""


async def accept(_service: Service, number: int) -> Reply:
    """Accept every click."""
    return Reply(document={"requestId": f"request-{number}", "isDuplicate": False})


@asynccontextmanager
async def serving(
    answering: Answering = accept, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Service]:
    """Serve on a free port of this machine until the block ends."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's
    service = Service(f"http{'s' if tls else ''}://localhost:{port}")

    async def talk(stream: AnyByteStream) -> None:
        service.connections += 1
        service.open += 1
        service.most_open = max(service.most_open, service.open)
        try:
            await _talk(service, answering, stream)
        finally:
            service.open -= 1
            await anyio.aclose_forcefully(stream)

    async def listen() -> None:
        accepting = (
            listener if tls is None else TLSListener(listener, tls, standard_compatible=False)
        )
        async with listener, anyio.create_task_group() as accepted:
            accepted.start_soon(accepting.serve, talk, talking)
            await service.closing.wait()
            accepted.cancel_scope.cancel()

    async with anyio.create_task_group() as talking:
        talking.start_soon(listen)
        yield service
        talking.cancel_scope.cancel()


async def _talk(service: Service, answering: Answering, stream: AnyByteStream) -> None:
    heads = BufferedByteReceiveStream(stream)
    while True:
        try:
            text = (await heads.receive_until(b"\r\n\r\n", _MAX_HEAD_BYTES)).decode()
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            return
        line, *rest = text.split("\r\n")
        headers = {name.lower(): value for name, _, value in (h.partition(": ") for h in rest)}
        service.asked.append(Asked(line, headers))
        service.asked_at.append(anyio.current_time())
        reply = await answering(service, len(service.asked))
        await stream.send(reply.raw if reply.raw is not None else _encoded(reply))
        if reply.closes:
            return


def _encoded(reply: Reply) -> bytes:
    body = orjson.dumps(reply.document)
    more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    if reply.closes:
        more += "Connection: close\r\n"
    head = f"HTTP/1.1 {reply.status} X\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body
