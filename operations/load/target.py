"""Where clicks go: ingest's address by name, its connections, and the request that is a click."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Final
from urllib.parse import quote, urlsplit

import anyio
from aiohappyeyeballs import start_connection

from config.urls import masked
from operations.load.connection import Connection, Owner

_NEXT_ADDRESS_S: Final = 0.25
"""How long an address may stay silent before the next one is tried beside it (RFC 8305 §5)."""
_RESOLVED_FOR_S: Final = 30.0
"""A load balancer that grows under load has more addresses a minute later (AWS: a TTL of 60 s)."""
_PORTS: Final = {"http": 80, "https": 443}


class LoadError(Exception):
    """The load cannot be made; the text says what to do."""


class Target:
    """An event of an ingest service."""

    def __init__(self, url: str, event_id: str) -> None:
        """Raises LoadError for a URL that is none of a service."""
        self.host, self.port, self._tls, path = _parts(url)
        name = f"[{self.host}]" if ":" in self.host else self.host
        default = _PORTS["http" if self._tls is None else "https"]
        host = name if self.port == default else f"{name}:{self.port}"
        self._head = head(f"{path}/events/{quote(event_id, safe='')}/participations", host)
        self._addresses: Sequence[Any] = ()
        self._resolved_at = -_RESOLVED_FOR_S
        self._turn = 0

    def click(self, token: str) -> bytes:
        """The request that is a user's click."""
        return self._head + token.encode() + b"\r\n\r\n"

    async def connect(self, owner: Owner, within_s: float) -> Connection:
        """Open a connection, to the service's addresses in turns.

        Raises OSError, and TimeoutError, which is one.
        """
        loop = asyncio.get_running_loop()
        with anyio.fail_after(within_s):
            addresses = await self._resolved()
            self._turn = (self._turn + 1) % len(addresses)
            in_turn = [*addresses[self._turn :], *addresses[: self._turn]]
            connected = await start_connection(in_turn, happy_eyeballs_delay=_NEXT_ADDRESS_S)
            _, connection = await loop.create_connection(
                lambda: Connection(owner),
                sock=connected,
                ssl=self._tls,
                server_hostname=self.host if self._tls else None,
            )
        return connection

    async def _resolved(self) -> Sequence[Any]:
        now = perf_counter()
        if now - self._resolved_at >= _RESOLVED_FOR_S:
            # Before the answer is there: others go on with the addresses known so far.
            self._resolved_at = now if self._addresses else self._resolved_at
            loop = asyncio.get_running_loop()
            try:
                self._addresses = await loop.getaddrinfo(
                    self.host, self.port, type=socket.SOCK_STREAM
                )
            except OSError:
                if not self._addresses:
                    raise
            self._resolved_at = now
        return self._addresses


def head(path: str, host: str) -> bytes:
    """A click up to its token, which two line ends must follow."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: participation-load\r\n"
        "Content-Length: 0\r\nAuthorization: Bearer "
    ).encode()


def _parts(url: str) -> tuple[str, int, ssl.SSLContext | None, str]:
    """Host, port, TLS and the path's beginning."""
    wanted = "give it as https://host or http://host:port"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # the parser's words may repeat a password
        raise LoadError(f"{masked(url)!r} is not a URL: {wanted}") from None
    is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in _PORTS or not parts.hostname or not is_plain or not url.isprintable():
        raise LoadError(f"{masked(url)!r} is not the URL of a service: {wanted}")
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    path = quote(parts.path.rstrip("/"), safe="/%")
    return parts.hostname, port or _PORTS[parts.scheme], tls, path
