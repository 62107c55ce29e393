"""ASGI's types, and a whole answer."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON: Final = "application/json"


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first header of a name, in lower case; None where there is none."""
    for found, value in headers:
        if found == name:
            return value
    return None


class Answer:
    """An answer that is sent as it is; `more` are headers besides its type and length."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        *,
        media_type: str = JSON,
        more: Headers = (),
    ) -> None:
        self.body = body
        self.status = status
        self.headers: Headers = (
            (b"content-type", media_type.encode()),
            *more,
            (b"content-length", b"%d" % len(body)),
        )

    async def send(self, send: Send, more: Headers = ()) -> None:
        """Send it, with further headers."""
        headers = self.headers + more
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})
