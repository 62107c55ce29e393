"""The running service: starting, what it needs, draining, signals, and raw connections."""

import contextlib
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ingest import server
from runtime.program import StartError
from runtime.stop import ExitCode, Stop
from tests.faults.actions import Delay, Fault, Refuse
from tests.ingest.live import CLICK, Live, click, client_of
from tests.ingest.support import bearer
from tests.worker.support import until


async def test_it_passes_its_url_on_when_it_listens_and_answers_there(live: Live) -> None:
    async with live.ingest() as http:
        answers = [await http.get(path) for path in ("/healthz", "/readyz", "/metrics")]
        clicked = await click(http, "user-1")
        shown = await http.get(f"/requests/{clicked.json()['requestId']}", headers=bearer("user-1"))

    assert [answer.status_code for answer in answers] == [200] * 3
    assert clicked.status_code == 202
    assert shown.json()["status"] == "QUEUED"


async def test_figures_of_aws_calls_and_batches_are_there_under_the_same_names(
    live: Live,
) -> None:
    async with live.ingest() as http:
        before = (await http.get("/metrics")).text
        await click(http, "user-1")
        after = (await http.get("/metrics")).text

    for stage in ("insert", "send", "update", "load", "event"):
        assert f'ingest_batch_messages_count{{stage="{stage}"}} 0.0' in before
        for trigger in ("count", "linger", "idle", "close"):
            assert (
                f'ingest_batch_flushes_total{{stage="{stage}",trigger="{trigger}"}} 0.0' in before
            )
    assert 'ingest_batch_flushes_total{stage="send",trigger="idle"} 1.0' in after
    assert 'ingest_batch_messages_sum{stage="insert"} 1.0' in after
    assert 'aws_call_seconds_count{operation="SendMessageBatch",service="sqs"} 1.0' in after


async def test_what_blocks_the_event_loop_shows_in_its_figures(live: Live) -> None:
    async with live.ingest() as http:
        time.sleep(1)  # noqa: ASYNC251 - the blocking is what is measured
        figures = (await http.get("/metrics")).text

    [lag] = re.findall(r"^event_loop_lag_seconds (.+)$", figures, re.MULTILINE)
    assert float(lag) > 0.4


async def start_error(live: Live, **changes: Any) -> str:
    """Start with other settings and return why that fails."""
    with anyio.fail_after(20), pytest.raises(StartError) as caught:
        await server.serve(live.settings(**changes), connection=live.connection)
    return str(caught.value)


async def test_without_table_queue_and_bus_it_does_not_start_and_names_all_three(
    live: Live,
) -> None:
    text = await start_error(
        live,
        table_name="no-such-table",
        queue_url=f"{live.world.stack.queue_url}-missing",
        event_bus_name="no-such-bus",
        publish_requested_events=True,
    )

    assert "TABLE_NAME=no-such-table: DescribeTable failed with" in text
    assert "QUEUE_URL=" in text
    assert "EVENT_BUS_NAME=no-such-bus" in text


async def test_while_aws_cannot_be_reached_it_is_alive_and_not_ready_and_then_starts(
    live: Live,
) -> None:
    port = free_port()
    with live.proxy.add(Fault("*", Refuse())):
        async with (
            anyio.create_task_group() as tasks,
            client_of(f"http://127.0.0.1:{port}") as http,
        ):
            tasks.start_soon(serve_on, live, port)
            await until(lambda: asked(live, times=2))
            waiting = [await http.get(path) for path in ("/healthz", "/readyz")]
            clicked = await click(http, "user-1")
            live.proxy.clear()
            await until(lambda: is_ready(http))
            accepted = await click(http, "user-1")
            tasks.cancel_scope.cancel()

    assert [answer.status_code for answer in waiting] == [200, 503]
    assert (clicked.status_code, accepted.status_code) == (503, 202)


async def test_a_stop_ends_it_while_it_waits_for_aws(live: Live) -> None:
    live.proxy.add(Fault("*", Refuse()))
    stop = Stop()
    codes: list[ExitCode] = []

    async def serve() -> None:
        codes.append(await server.serve(live.settings(), connection=live.connection, stop=stop))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            await until(lambda: asked(live, times=1))
            stop.request()

    assert codes == [ExitCode.DRAINED]


async def asked(live: Live, times: int) -> bool:
    """Whether the table was asked for so often."""
    return live.proxy.count("DescribeTable") >= times


async def is_ready(http: httpx.AsyncClient) -> bool:
    """Whether it takes requests."""
    return (await http.get("/readyz")).status_code == 200


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def serve_on(live: Live, port: int) -> None:
    """Serve on a port, until cancelled."""
    await server.serve(live.settings(http_port=port), connection=live.connection)


async def test_a_port_that_is_taken_is_one_clear_sentence(live: Live) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = await start_error(live, http_port=port)

    assert text.startswith(f"HTTP_PORT={port} on 127.0.0.1: ")


async def test_cancelling_it_answers_what_it_accepted(live: Live) -> None:
    answers: list[httpx.Response] = []
    ended: list[str] = []

    async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
        try:
            await server.serve(live.settings(), connection=live.connection, task_status=task_status)
        finally:
            ended.append("serve")

    async def send_click(url: str) -> None:
        async with client_of(url) as http:
            answers.append(await click(http, "user-1"))

    async with anyio.create_task_group() as tasks:
        with live.proxy.hold("SendMessageBatch") as gate:
            async with anyio.create_task_group() as serving:
                url: str = await serving.start(serve)
                tasks.start_soon(send_click, url)
                await gate.reached()
                serving.cancel_scope.cancel()
                tasks.start_soon(release_soon, gate)
    assert ended == ["serve"]
    assert [answer.status_code for answer in answers] == [202]


async def release_soon(gate: Any) -> None:
    await anyio.sleep(0.3)
    gate.release()


async def test_cancelling_it_while_it_starts_ends_it_immediately(live: Live) -> None:
    with live.proxy.hold("DescribeTable") as gate:
        with anyio.fail_after(2):
            async with anyio.create_task_group() as tasks:

                async def serve() -> None:
                    await server.serve(live.settings(), connection=live.connection)

                tasks.start_soon(serve)
                await gate.reached()
                tasks.cancel_scope.cancel()
        gate.release()


async def test_sigterm_takes_no_new_connections_answers_what_was_accepted_and_exits_0(
    live: Live,
) -> None:
    answers: list[httpx.Response] = []

    async def send_click(url: str, user: str) -> None:
        async with client_of(url) as http:
            answers.append(await click(http, user))

    async with live.program() as (program, url):
        with live.proxy.hold("SendMessageBatch") as gate:
            async with anyio.create_task_group() as tasks:
                for user in ("user-1", "user-2"):
                    tasks.start_soon(send_click, url, user)
                await gate.reached()
                program.send(signal.SIGTERM)
                await refuses_connections(url)
                gate.release()
            ended = await program.ended()

    assert [answer.status_code for answer in answers] == [202, 202]
    assert ended.exit_code == ExitCode.DRAINED
    assert ended.logs[-1]["event"] == "ingest_stopped"


async def refuses_connections(url: str) -> None:
    """Wait until nobody listens any more."""
    async with client_of(url) as http:
        with anyio.fail_after(10):
            while True:
                try:
                    await http.get("/healthz")
                except httpx.TransportError:
                    return
                await anyio.sleep(0.02)


async def test_what_cannot_be_answered_in_time_is_503_and_makes_the_exit_code_1(
    live: Live,
) -> None:
    answers: list[httpx.Response] = []
    async with live.program(SHUTDOWN_TIMEOUT_S="1") as (program, url):
        # Each step is slow, but not slow enough to be given up.
        with live.proxy.add(Fault("*", Delay(before_s=0.8))):
            async with client_of(url) as http, anyio.create_task_group() as tasks:

                async def send_click() -> None:
                    answers.append(await click(http, "user-1"))

                tasks.start_soon(send_click)
                await anyio.sleep(0.3)
                program.send(signal.SIGTERM)
                ended = await program.ended(timeout_s=15)

    [answer] = answers
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the service is stopping"
    assert ended.exit_code == ExitCode.DEADLINE
    assert "Traceback" not in ended.output


async def test_a_second_signal_ends_it_immediately(live: Live) -> None:
    async with live.program() as (program, url):
        with live.proxy.hold("SendMessageBatch") as gate:
            async with client_of(url) as http, anyio.create_task_group() as tasks:

                async def click_in_vain() -> None:
                    with pytest.raises(httpx.TransportError):
                        await click(http, "user-1")

                tasks.start_soon(click_in_vain)
                await gate.reached()
                program.send(signal.SIGTERM)
                await refuses_connections(url)
                program.send(signal.SIGINT)
                ended = await program.ended(timeout_s=5)
            gate.release()

    assert ended.exit_code == ExitCode.INTERRUPTED


async def test_a_program_that_cannot_start_says_why_and_exits_2(live: Live) -> None:
    with pytest.raises(AssertionError) as caught:
        async with live.program(TABLE_NAME="no-such-table"):
            pass

    assert "cannot_run" in str(caught.value)
    assert "TABLE_NAME=no-such-table" in str(caught.value)


async def exchange(url: str, request: bytes) -> bytes:
    """Send raw bytes on a connection and return what comes back until it ends."""
    host, port = url.removeprefix("http://").split(":")
    answer = b""
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(request)
        with anyio.move_on_after(2):
            try:
                while True:
                    answer += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
    return answer


async def test_a_body_is_400_on_every_path_and_takes_no_effect_and_an_empty_one_is_none(
    live: Live,
) -> None:
    json = {**bearer("user-1"), "Content-Type": "application/json"}

    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    async with live.ingest() as http:
        refused = [
            await http.post(path, headers=bearer("user-1"), content=content)
            for path in (CLICK, "/nowhere", "/healthz")
            for content in (b"{}", b"x" * 100_000, chunks())
        ]
        empty = [
            await http.post(CLICK, headers=json, content=content)
            for content in (b"", b"{}", chunks())
        ]
        figures = (await http.get("/metrics")).text

    for answer in refused:
        assert (answer.status_code, answer.headers["connection"]) == (400, "close")
        assert answer.json()["type"] == "urn:participation:problem:body-not-allowed"
    assert [answer.status_code for answer in empty] == [202] * 3
    assert [answer.json()["isDuplicate"] for answer in empty] == [False, True, True]
    assert 'ingest_refused_total{reason="body"} 9.0' in figures
    assert 'ingest_refused_total{reason="unread"} 0.0' in figures


async def test_after_a_refused_body_the_connection_carries_no_second_request(live: Live) -> None:
    smuggled = f"POST {CLICK} HTTP/1.1\r\nHost: x\r\n\r\n"
    authorization = bearer("user-1")["Authorization"]
    request = (
        f"POST {CLICK} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n"
        f"Content-Length: {len(smuggled)}\r\n\r\n{smuggled}"
    )
    async with live.ingest() as http:
        answer = await exchange(str(http.base_url), request.encode())

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "request_line",
    [b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET / HTTP/9.9\r\n\r\n"],
)
async def test_what_is_not_http_is_answered_400_or_closed(live: Live, request_line: bytes) -> None:
    async with live.ingest() as http:
        answer = await exchange(str(http.base_url), request_line)
        healthy = await http.get("/healthz")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert orjson.loads(body)["status"] == 400
    assert healthy.status_code == 200


@pytest.mark.parametrize(
    "endless",
    [b"GET /" + b"x" * 1_000_000, b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000],
    ids=["path", "header"],
)
async def test_a_head_without_an_end_is_431_and_the_connection_is_closed(
    live: Live, endless: bytes
) -> None:
    async with live.ingest() as http:
        host, port = str(http.base_url).removeprefix("http://").split(":")
        answer = b""
        async with await anyio.connect_tcp(host, int(port)) as stream:
            with anyio.fail_after(5), contextlib.suppress(anyio.BrokenResourceError):
                for start in range(0, len(endless), 50_000):
                    await stream.send(endless[start : start + 50_000])
                    await anyio.sleep(0.01)
            with anyio.fail_after(5):
                with contextlib.suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                    while True:
                        answer += await stream.receive()
        healthy = await http.get("/healthz")

    # The rest of what was sent may make the kernel drop the answer (RST); the end is the same.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert healthy.status_code == 200


@pytest.mark.parametrize("begun", [b"POST /events/event-1/partici", b"GET / HTTP/1.1\r\nA: b"])
async def test_a_head_that_does_not_arrive_in_time_is_408(live: Live, begun: bytes) -> None:
    async with live.ingest(head_timeout_s=0.2) as http:
        host, port = str(http.base_url).removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(begun)
            answer = b""
            with anyio.fail_after(5), contextlib.suppress(anyio.EndOfStream):
                while True:
                    answer += await stream.receive()

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_later_head_on_a_connection_has_to_arrive_in_time_as_well(
    live: Live,
) -> None:
    async with live.ingest(head_timeout_s=0.2) as http:
        host, port = str(http.base_url).removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await stream.receive()).startswith(b"HTTP/1.1 200 ")
            await stream.send(b"GET /healthz HTTP/1.1\r\nHost")
            with anyio.fail_after(5):
                answer = await stream.receive()

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_connection_that_is_kept_open_is_not_taken_for_a_late_head(
    live: Live,
) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with live.ingest(head_timeout_s=0.2) as http:
        host, port = str(http.base_url).removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            for _ in range(2):
                await stream.send(request[:20])
                await anyio.sleep(0.05)
                await stream.send(request[20:])
                assert (await stream.receive()).startswith(b"HTTP/1.1 200 ")
                await anyio.sleep(0.4)


async def test_a_wish_for_another_protocol_is_answered_as_plain_http(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    async with live.ingest() as http:
        answer = await http.get(
            "/healthz", headers={"Connection": "Upgrade", "Upgrade": "websocket"}
        )

    assert answer.status_code == 200
    assert caplog.records == []


async def test_pipelined_requests_are_answered_in_order(live: Live) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    async with live.ingest() as http:
        answer = await exchange(str(http.base_url), request)

    assert answer.index(b"HTTP/1.1 200") < answer.index(b"HTTP/1.1 404")


async def test_with_a_key_set_url_tokens_of_its_keys_are_accepted_and_hs256_is_not(
    live: Live,
) -> None:
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    document = httpx.Response(200, json={"keys": [{**jwk, "kid": "one"}]}).content

    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(document)}\r\n\r\n"
            await stream.send(head.encode() + document)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - it is no Django
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        url = f"http://127.0.0.1:{port}/jwks.json"
        async with live.ingest(jwt_secret=None, jwks_url=url) as http:
            claims = {"sub": "user-1", "exp": 2_000_000_000}
            token = jwt.encode(claims, private, "RS256", {"kid": "one"})
            accepted = await http.post(CLICK, headers={"Authorization": f"Bearer {token}"})
            refused = await http.post(CLICK, headers=bearer("user-1"))
        tasks.cancel_scope.cancel()

    assert accepted.status_code == 202
    assert refused.status_code == 401


async def test_a_key_set_that_cannot_be_fetched_keeps_it_from_starting(live: Live) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/jwks.json"
        text = await start_error(live, jwt_secret=None, jwks_url=url)

    assert text.startswith(f"JWKS_URL: {url}: ConnectError")
