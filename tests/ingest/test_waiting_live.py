"""Waiting for decisions over sockets: the worker's decision, clients that go, and a drain."""

import signal
from time import perf_counter
from typing import Final

import anyio
import httpx
from anyio.abc import SocketStream

from ingest.waiting import MAX_WAIT_S
from runtime.stop import ExitCode
from tests.ingest.live import Live, click, client_of
from tests.ingest.support import bearer, token
from tests.worker.support import until

_WAITING: Final = "ingest_waiting_requests"


async def waiting(http: httpx.AsyncClient, count: int) -> bool:
    """Whether so many wait for a decision."""
    return f"{_WAITING} {count}.0" in (await http.get("/metrics")).text.splitlines()


async def three_that_wait(http: httpx.AsyncClient) -> tuple[list[SocketStream], bytes]:
    """Connections of one user, each of which waits for its decision, and what each has sent."""
    location = (await click(http, "user-1")).headers["location"]
    head = f"GET {location} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token('user-1')}\r\n"
    request = f"{head}\r\n".encode()
    host, port = http.base_url.host, http.base_url.port
    assert port is not None
    streams = [await anyio.connect_tcp(host, port) for _ in range(3)]
    for stream in streams:
        await stream.send(request)
    await until(lambda: waiting(http, 3))
    return streams, request


async def test_a_click_s_location_is_answered_with_the_workers_decision(live: Live) -> None:
    async with live.ingest() as http, anyio.create_task_group() as tasks:
        location = (await click(http, "user-1")).headers["location"]
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await http.get(location, headers=bearer("user-1")))

        tasks.start_soon(ask)
        await until(lambda: waiting(http, 1))
        async with live.world.worker():
            await until(lambda: waiting(http, 0))

    assert [answer.json()["resultCode"] for answer in answers] == ["SUCCESS"]


async def test_clients_that_close_or_half_close_are_waited_for_no_longer(live: Live) -> None:
    async with live.ingest() as http:
        streams, _ = await three_that_wait(http)
        await streams[0].aclose()
        await until(lambda: waiting(http, 2))
        await streams[1].send_eof()
        with anyio.fail_after(5):
            answer = await streams[1].receive()
        await until(lambda: waiting(http, 1))
        for stream in streams:
            await stream.aclose()
        await until(lambda: waiting(http, 0))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"status":"QUEUED"' in answer


async def test_who_has_sent_more_and_gone_is_waited_for_no_longer(live: Live) -> None:
    """What is behind a request stays unread until it is answered, and so does the end."""
    async with live.ingest() as http:
        began = perf_counter()
        streams, request = await three_that_wait(http)
        for stream, more in zip(streams, (b"G", b"GET", request), strict=True):
            await stream.send(more)
            await stream.aclose()
        await until(lambda: waiting(http, 0))

    assert perf_counter() - began < MAX_WAIT_S


async def test_sigterm_ends_the_waits_with_the_state_and_closes_their_connections(
    live: Live,
) -> None:
    answers: list[httpx.Response] = []
    users = [f"user-{number}" for number in range(20)]
    async with live.program() as (program, url), client_of(url) as http:
        locations = {user: (await click(http, user)).headers["location"] for user in users}

        async def ask(user: str) -> None:
            answers.append(await http.get(locations[user], headers=bearer(user)))

        async with anyio.create_task_group() as tasks:
            for user in users:
                tasks.start_soon(ask, user)
            await until(lambda: waiting(http, 20))
            program.send(signal.SIGTERM)
            began_s = perf_counter()
        ended = await program.ended()
        took_s = perf_counter() - began_s

    assert [answer.status_code for answer in answers] == [200] * 20
    assert {answer.json()["status"] for answer in answers} == {"QUEUED"}
    assert {answer.headers["connection"] for answer in answers} == {"close"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert ended.exit_code == ExitCode.DRAINED
    # Those who wait would have waited for 20 seconds.
    assert took_s < 15
