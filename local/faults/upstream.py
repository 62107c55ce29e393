"""The proxy's own connections to the emulator, kept open between calls."""

import asyncio
from asyncio import StreamReader, StreamWriter
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from local.faults import http1
from local.faults.http1 import Message

_BUFFER_BYTES: Final = 2**20
# Well below any server's keep-alive timeout, so that no call meets a connection just closed:
# repeating it would be wrong, since the emulator might have executed it.
_MAX_IDLE_S: Final = 2.0


class Unreachable(Exception):
    """The emulator gave no answer."""


class Upstream:
    """A pool of connections to one server, as many as there are simultaneous calls."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname
        self._port = parts.port or 80
        self._idle: list[tuple[float, StreamReader, StreamWriter]] = []

    async def exchange(self, request: Message) -> Message:
        """Send a request and read the answer; raises Unreachable."""
        writer: StreamWriter | None = None
        reusable = False
        try:
            reader, writer = await self._connection()
            writer.write(request.wire)
            await writer.drain()
            answer = await http1.read_response(reader, request.method)
            reusable = (answer.header("Connection") or "").lower() != "close"
        except (OSError, EOFError) as error:
            raise Unreachable(str(error)) from error
        else:
            return answer
        finally:
            # A cancelled exchange leaves an answer under way: that connection cannot be reused.
            if writer is not None and reusable:
                self._idle.append((monotonic(), reader, writer))
            elif writer is not None:
                writer.close()

    def close(self) -> None:
        """Close the idle connections."""
        for _, _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _connection(self) -> tuple[StreamReader, StreamWriter]:
        while self._idle:
            idle_since_s, reader, writer = self._idle.pop()
            if monotonic() - idle_since_s < _MAX_IDLE_S and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port, limit=_BUFFER_BYTES)
