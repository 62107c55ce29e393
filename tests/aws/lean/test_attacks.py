"""What a torn, stray or endless answer can do to the lean client: end its own call, no other's."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
import uvloop
from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
)

from tests.aws.lean.service import OK, REQUEST, Visit, echo_ok, pool_to, serving

STRAY = b'HTTP/1.1 500 Oops\r\nX-Stray: 1\r\nContent-Length: 13\r\n\r\n{"__type":""}'
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def answering(first: bytes, *, then: bytes = b"") -> Callable[[Visit], Awaitable[None]]:
    """The first connection's answer is `first`, and then endlessly `then`; all others are OK."""

    async def behave(visit: Visit) -> None:
        if visit.number > 1:
            await echo_ok(visit)
        await visit.read()
        await visit.send(first)
        while then:
            await visit.stream.send(then)
        await visit.read()  # none comes: the client has left

    return behave


@pytest.mark.parametrize("answer", [OK, CHUNKED + b"2\r\nok\r\n0\r\n\r\n", OK[:-2] + b"{}"])
@pytest.mark.parametrize("more", [STRAY, STRAY[:20], OK, b"H", b"\r\n", b"\0"])
async def test_bytes_behind_an_answer_leave_its_call_without_one(
    answer: bytes, more: bytes
) -> None:
    async with serving(answering(answer + more)) as server, pool_to(server.port) as pool:
        with pytest.raises(HTTPClientError, match="after the answer"):
            await pool.post(REQUEST)
        assert (await pool.post(REQUEST)).body == b"ok"
        assert server.visits == 2


@pytest.mark.parametrize("more", [STRAY, STRAY[:20], b"\r\n"])
async def test_bytes_that_come_on_an_idle_connection_close_it(more: bytes) -> None:
    came = anyio.Event()

    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(OK, more if visit.number == 1 else b"")
        came.set()
        await visit.stream.receive()

    async with serving(behave) as server, pool_to(server.port) as pool:
        assert (await pool.post(REQUEST)).status == 200
        await came.wait()
        answer = await pool.post(REQUEST)
        assert (answer.status, answer.header("x-stray")) == (200, None)
        assert server.visits == 2


@pytest.mark.parametrize("more", [STRAY, b"H", None])
async def test_what_the_loop_has_not_read_yet_is_not_the_next_call_s_answer(
    more: bytes | None,
) -> None:
    """It arrives (None: the connection's end) after the last look at the socket."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # noqa: FBT003

        async def answer_one() -> socket.socket:
            visitor, _ = await loop.sock_accept(listener)
            assert await loop.sock_recv(visitor, 1000) == REQUEST
            await loop.sock_sendall(visitor, OK)
            return visitor

        async with pool_to(listener.getsockname()[1]) as pool:
            _, first = await asyncio.gather(pool.post(REQUEST), answer_one())
            async with asyncio.TaskGroup() as tasks:
                second = tasks.create_task(answer_one())
                with first:
                    first.shutdown(socket.SHUT_WR) if more is None else first.send(more)
                    answer = await pool.post(REQUEST)
            second.result().close()

    assert (answer.status, answer.body) == (200, b"ok")


@pytest.mark.parametrize(
    ("begin", "then"),
    [
        (HEAD, b"a: " + b"b" * 1000 + b"\r\n"),
        (HEAD + b"a: ", b"b" * 1000),
        (b"HTTP/1.1 200 ", b"b" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\na: " + b"b" * 1000 + b"\r\n\r\n"),
        (CHUNKED + b"2", b";" + b"b" * 1000),
        (CHUNKED + b"0", b"0" * 1000),
        (CHUNKED + b"2\r\nok\r\n0\r\n", b"a: " + b"b" * 1000 + b"\r\n"),
        (CHUNKED, b"1;" + b"b" * 200 + b"\r\n!\r\n"),
        (CHUNKED, b"FFFF\r\n" + b"b" * 0xFFFF + b"\r\n"),
    ],
)
async def test_an_answer_without_end_is_abandoned(begin: bytes, then: bytes) -> None:
    async with (
        serving(answering(begin, then=then)) as server,
        pool_to(server.port, read_timeout_s=60) as pool,
    ):
        with anyio.fail_after(10), pytest.raises(HTTPClientError):
            await pool.post(REQUEST)
        assert (await pool.post(REQUEST)).body == b"ok"


@pytest.mark.parametrize("headers", [b"", b"Connection: upgrade\r\nUpgrade: x\r\n"])
async def test_a_switch_of_protocols_is_an_error_of_the_call_alone(
    headers: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(answering(SWITCH + headers + b"\r\n" + OK)) as server,
        pool_to(server.port) as pool,
    ):
        with pytest.raises(HTTPClientError, match="101"):
            await pool.post(REQUEST)
        assert (await pool.post(REQUEST)).body == b"ok"

    assert not caplog.records


@pytest.mark.parametrize(
    "head", [HEAD, HEAD + b"Connection: close\r\n", HEAD + b"Transfer-Encoding: gzip\r\n"]
)
async def test_a_body_of_unknown_length_is_no_answer(head: bytes) -> None:
    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(head + b"\r\n", b'{"Entries":[]}')

    async with serving(behave) as server, pool_to(server.port) as pool:
        with pytest.raises(HTTPClientError, match=r"length|malformed"):
            await pool.post(REQUEST)


@pytest.mark.parametrize(
    "begin",
    [b"", HEAD + b"a: ", HEAD + b"Content-Length: 1000000\r\n\r\n", CHUNKED + b"FFFFF\r\n"],
)
async def test_a_byte_now_and_then_does_not_prolong_a_call(begin: bytes) -> None:
    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(begin)
        for byte in HEAD + b"a: " if not begin else b"b" * 1_000_000:
            await visit.send(bytes([byte]))
        while True:
            await visit.send(b"b")

    async with serving(behave) as server, pool_to(server.port, read_timeout_s=0.1) as pool:
        with anyio.fail_after(10), pytest.raises(ReadTimeoutError):
            await pool.post(REQUEST)
        with anyio.fail_after(10):
            await server.left.wait()


async def test_an_earlier_call_s_alarm_does_not_end_a_later_one() -> None:
    asked, go = anyio.Event(), anyio.Event()

    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(OK)
        await visit.read()
        asked.set()
        await go.wait()
        await visit.send(OK)

    async with serving(behave) as server, pool_to(server.port) as pool:
        await pool.post(REQUEST)
        (connection,) = pool._open
        async with asyncio.TaskGroup() as tasks:
            later = tasks.create_task(pool.post(REQUEST))
            await asked.wait()
            connection._check()  # as the first call's alarm does
            go.set()
        assert later.result().body == b"ok"


async def test_a_service_that_does_not_read_is_a_timeout_and_keeps_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        async with pool_to(deaf.getsockname()[1], read_timeout_s=0.1) as pool:
            with pytest.raises(ReadTimeoutError):
                await pool.post(b"x" * 32 * 1024 * 1024)
            await until(lambda: not pool._open)


async def test_whatever_ends_a_call_its_slot_comes_back_and_no_connection_stays() -> None:
    spoilt = [OK + OK, b"", b"nonsense", HEAD, CHUNKED + b"2\r\nok\r\n0\r\n", SWITCH + b"\r\n"]
    endings = [OK, *spoilt]

    async def behave(visit: Visit) -> None:
        await visit.read()
        ending = endings[visit.number % len(endings)]
        await visit.send(ending)
        if ending == OK:
            await echo_ok(visit)

    before = open_sockets()
    async with (
        serving(behave) as server,
        pool_to(server.port, connections=1, read_timeout_s=60) as pool,
        pool_to(server.port, connections=1, connect_timeout_s=0.0) as hasty,
    ):
        for cancelled_after_s in (60, 0.002, 0.0, 60):
            for _ in endings:
                with anyio.move_on_after(cancelled_after_s), suppress(BotoCoreError):
                    await pool.post(REQUEST)
        with pytest.raises(ConnectTimeoutError):
            await hasty.post(REQUEST)
        await until(lambda: len(pool._open | hasty._open) <= 1 and server.open <= 1)
        endings[:] = [OK]
        assert (await pool.post(REQUEST)).body == b"ok"
    await until(lambda: open_sockets() <= before)


def open_sockets() -> int:
    return sum(file.is_socket() for file in Path("/dev/fd").iterdir())


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not holds():  # noqa: ASYNC110 - sockets close without an event of ours
            await anyio.sleep(0.01)


@pytest.mark.parametrize(
    "on_asyncio",
    [
        lambda: test_bytes_behind_an_answer_leave_its_call_without_one(OK, STRAY),
        lambda: test_bytes_that_come_on_an_idle_connection_close_it(STRAY),
        lambda: test_what_the_loop_has_not_read_yet_is_not_the_next_call_s_answer(STRAY),
        test_a_service_that_does_not_read_is_a_timeout_and_keeps_no_connection,
        test_whatever_ends_a_call_its_slot_comes_back_and_no_connection_stays,
    ],
)
def test_it_is_the_same_on_the_loop_that_the_programs_run_on(
    on_asyncio: Callable[[], Coroutine[None, None, None]],
) -> None:
    uvloop.run(on_asyncio())
