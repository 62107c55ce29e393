"""The connections to the emulator are reused while they are sound, and not a moment longer."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from local.faults import http1
from local.faults.http1 import Message
from local.faults.upstream import Unreachable, Upstream

REQUEST = Message(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
ANSWER = http1.response(200, "text/plain", b"fine")


class Server:
    """Answers every request alike, and counts its connections."""

    def __init__(self, answer: Message, *, closes: bool) -> None:
        self._answer = answer
        self._closes = closes
        self._writers: list[StreamWriter] = []

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return len(self._writers)

    def close(self) -> None:
        """Close the connections that are left."""
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection."""
        self._writers.append(writer)
        while await http1.read_head(reader) is not None:
            writer.write(self._answer.wire)
            if self._closes:
                break
        writer.close()


@asynccontextmanager
async def _running(server: Server) -> AsyncIterator[Upstream]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    upstream = Upstream(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    try:
        yield upstream
    finally:
        upstream.close()
        server.close()
        listener.close()
        await listener.wait_closed()


async def test_calls_one_after_another_share_a_connection() -> None:
    server = Server(ANSWER, closes=False)
    async with _running(server) as upstream:
        for _ in range(3):
            assert (await upstream.exchange(REQUEST)).body == b"fine"
    assert server.connections == 1


@pytest.mark.parametrize("says_so", [True, False])
async def test_a_connection_that_the_server_closes_is_not_used_again(says_so: bool) -> None:  # noqa: FBT001
    answer = ANSWER.with_header("Connection", "close") if says_so else ANSWER
    server = Server(answer, closes=True)
    async with _running(server) as upstream:
        for _ in range(3):
            assert (await upstream.exchange(REQUEST)).body == b"fine"
            if not says_so:
                await anyio.sleep(0.05)  # for the close to cross the socket
    assert server.connections == 3


async def test_an_answer_cut_short_is_no_answer() -> None:
    cut = Message(ANSWER.head, ANSWER.body[:2])
    async with _running(Server(cut, closes=True)) as upstream:
        with pytest.raises(Unreachable):
            await upstream.exchange(REQUEST)
