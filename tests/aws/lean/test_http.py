"""The lean client's connections: kept, closed, cut, silent, encrypted, and never too many."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from zlib import crc32

import anyio
import pytest
import uvloop
from anyio.abc import SocketAttribute
from botocore.exceptions import (
    ChecksumError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aws.client import Connection
from aws.errors import Transient
from aws.lean import answer as answers
from aws.lean import http
from aws.lean.answer import Answer
from aws.sdk import open_client
from tests.aws.lean.service import OK, REQUEST, Visit, echo_ok, pool_to, serving


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with serving(echo_ok) as server, pool_to(server.port) as pool:
        for _ in range(5):
            answer = await pool.post(REQUEST)
            assert (answer.status, answer.body) == (200, b"ok")

        assert server.visits == 1


async def test_never_more_connections_than_allowed_and_every_call_is_answered() -> None:
    async with serving(echo_ok) as server, pool_to(server.port, connections=3) as pool:
        answers: list[Answer] = []

        async def call() -> None:
            answers.append(await pool.post(REQUEST))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call)

        assert len(answers) == 20
        assert server.most == server.visits == 3


async def test_closing_the_pool_closes_its_connections() -> None:
    async with serving(echo_ok) as server:
        async with pool_to(server.port) as pool:
            await pool.post(REQUEST)
            assert server.open == 1
        with anyio.fail_after(5):
            await server.left.wait()


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 4\r\n\r", b"\na", b"bcd"), b"abcd"),
        (
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
                b"1\r\nc\r\n0\r\n\r\n",
            ),
            b"abc",
        ),
        ((b"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n", OK), b"ok"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" + OK,), b"ok"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",), b""),
    ],
)
async def test_answers_in_any_framing_are_read_whole_and_the_connection_kept(
    parts: tuple[bytes, ...], body: bytes
) -> None:
    async def behave(visit: Visit) -> None:
        while True:
            await visit.read()
            await visit.send(*parts)

    async with serving(behave) as server, pool_to(server.port) as pool:
        for _ in range(2):
            answer = await pool.post(REQUEST)
            assert (answer.status, answer.body) == (200, body)
            assert answer.header("x-interim") is None
        assert server.visits == 1


async def test_a_connection_that_the_server_will_close_is_not_used_again() -> None:
    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await visit.read()  # none comes

    async with serving(behave) as server, pool_to(server.port) as pool:
        for _ in range(3):
            await pool.post(REQUEST)
        assert server.visits == 3


async def test_a_connection_closed_while_idle_is_replaced_without_an_error() -> None:
    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(OK)

    async with serving(behave) as server, pool_to(server.port) as pool:
        for visits in range(1, 4):
            assert (await pool.post(REQUEST)).status == 200
            assert server.visits == visits
            await asyncio.sleep(0.05)  # the server's goodbye has come by then


async def test_a_connection_that_has_been_idle_for_long_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(echo_ok) as server, pool_to(server.port) as pool:
        await pool.post(REQUEST)
        monkeypatch.setattr(http, "_IDLE_S", 0.0)
        await anyio.sleep(0.01)
        await pool.post(REQUEST)

        assert server.visits == 2


async def test_an_old_connection_finishes_its_request_and_is_then_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "_AGE_S", 0.0)
    async with serving(echo_ok) as server, pool_to(server.port) as pool:
        for visits in (1, 2, 3):
            assert (await pool.post(REQUEST)).body == b"ok"
            assert server.visits == visits
        assert len(pool._open) == 1


async def test_connections_of_one_moment_are_not_replaced_in_one_moment() -> None:
    async with serving(echo_ok) as server, pool_to(server.port, connections=20) as pool:
        began_s = asyncio.get_running_loop().time()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(pool.post, REQUEST)
        took_s = asyncio.get_running_loop().time() - began_s

        ages_s = sorted(connection.retires_at - began_s for connection in pool._idle)
        assert len(ages_s) == server.visits == 20
        assert 240 <= ages_s[0] < 280
        assert 340 < ages_s[-1] <= 360 + took_s


async def test_a_connection_closed_under_a_request_is_an_error_and_not_repeated() -> None:
    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(OK)
        await visit.read()  # and leaves without an answer

    async with serving(behave) as server, pool_to(server.port) as pool:
        await pool.post(REQUEST)
        with pytest.raises(ConnectionClosedError):
            await pool.post(REQUEST)
        assert server.visits == 1
        await pool.post(REQUEST)


@pytest.mark.parametrize(
    "half",
    [
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    ],
)
async def test_half_an_answer_is_an_error(half: bytes) -> None:
    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(half)

    async with serving(behave) as server, pool_to(server.port) as pool:
        with pytest.raises(ConnectionClosedError):
            await pool.post(REQUEST)


async def test_an_answer_that_is_not_http_is_an_error() -> None:
    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(b"SSH-2.0-OpenSSH\r\n")
        await visit.read()  # none comes: the client has left

    async with serving(behave) as server, pool_to(server.port) as pool:
        for visits in (1, 2):
            with pytest.raises(HTTPClientError):
                await pool.post(REQUEST)
            assert server.visits == visits


async def test_an_endless_answer_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWER_BYTES", 1000)

    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await visit.send(b"9\r\nnine more\r\n")

    async with serving(behave) as server, pool_to(server.port) as pool:
        with pytest.raises(HTTPClientError, match="1000 bytes"):
            await pool.post(REQUEST)
        with anyio.fail_after(5):
            await server.left.wait()


async def test_silence_is_a_timeout_and_the_connection_is_closed() -> None:
    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.stream.receive()

    async with (
        serving(behave) as server,
        pool_to(server.port, read_timeout_s=0.05) as pool,
    ):
        with pytest.raises(ReadTimeoutError):
            await pool.post(REQUEST)
        with anyio.fail_after(5):
            await server.left.wait()


async def test_a_cancelled_call_closes_its_connection_and_frees_its_slot() -> None:
    answers = anyio.Event()

    async def behave(visit: Visit) -> None:
        await visit.read()
        if visit.number == 1:
            await visit.stream.receive()
        answers.set()
        await visit.send(OK)

    async with serving(behave) as server, pool_to(server.port, connections=1) as pool:
        with anyio.move_on_after(0.05) as scope:
            await pool.post(REQUEST)
        assert scope.cancelled_caught
        with anyio.fail_after(5):
            assert (await pool.post(REQUEST)).body == b"ok"
        assert server.visits == 2


def checked(body: bytes, checksum: int, status: bytes = b"200 OK") -> bytes:
    lines = b"X-Amz-Crc32: %d\r\nContent-Length: %d\r\n\r\n" % (checksum, len(body))
    return b"HTTP/1.1 " + status + b"\r\n" + lines + body


async def test_a_body_that_is_what_was_sent_is_returned() -> None:
    body = b'{"Responses":[]}'

    async def behave(visit: Visit) -> None:
        while True:
            await visit.read()
            await visit.send(checked(body, 2_524_921_737))

    async with serving(behave) as server, pool_to(server.port) as pool:
        for _ in range(2):
            assert (await pool.post(REQUEST)).body == body
        assert server.visits == 1


@pytest.mark.parametrize("status", [b"200 OK", b"400 Bad Request"])
async def test_a_damaged_body_is_an_error_and_its_connection_is_closed(status: bytes) -> None:
    body = b'{"Responses":[]}'

    async def behave(visit: Visit) -> None:
        await visit.read()
        damaged = visit.number == 1
        await visit.send(checked(b"~" + body[1:] if damaged else body, crc32(body), status))
        await visit.read()  # none comes on the first connection: the client has left

    async with serving(behave) as server, pool_to(server.port) as pool:
        with pytest.raises(ChecksumError, match=str(crc32(body))):
            await pool.post(REQUEST)
        assert (await pool.post(REQUEST)).body == body
        assert server.visits == 2


@asynccontextmanager
async def silent_address() -> AsyncIterator[tuple[str, int]]:
    """An address that answers no attempt to connect: its queue of them is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address: tuple[str, int] = listener.getsockname()
        for _ in range(4):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)  # noqa: FBT003
            filling.connect_ex(address)
        await asyncio.sleep(0.01)
        yield address


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Make a name mean these addresses; an address still means itself (uvloop asks)."""

    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        stream = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        found = addresses if host == "aws.test" else ((host, port),)
        return [(*stream, address) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_an_address_that_is_silent_is_passed_over() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with silent_address() as silent, serving(echo_ok) as server:
            resolve_to(patch, silent, ("127.0.0.1", server.port))
            async with pool_to(1, host="aws.test", connect_timeout_s=5) as pool:
                with anyio.fail_after(3):
                    assert (await pool.post(REQUEST)).body == b"ok"


async def test_an_address_that_refuses_is_passed_over_immediately() -> None:
    with pytest.MonkeyPatch.context() as patch, socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        patch.setattr(http, "_NEXT_ADDRESS_S", 60.0)
        async with serving(echo_ok) as server:
            resolve_to(patch, unheard.getsockname(), ("127.0.0.1", server.port))
            async with pool_to(1, host="aws.test") as pool:
                assert (await pool.post(REQUEST)).body == b"ok"


async def test_addresses_that_are_all_silent_are_a_connect_timeout() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with silent_address() as silent:
            resolve_to(patch, silent, silent)
            async with pool_to(1, host="aws.test", connect_timeout_s=0.05) as pool:
                with pytest.raises(ConnectTimeoutError):
                    await pool.post(REQUEST)


async def test_a_closed_port_is_an_endpoint_that_cannot_be_reached() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django
    async with pool_to(port) as pool:
        with pytest.raises(EndpointConnectionError):
            await pool.post(REQUEST)


async def test_a_name_that_does_not_resolve_is_an_endpoint_that_cannot_be_reached() -> None:
    async with pool_to(443, host="no-such-host.invalid") as pool:
        with pytest.raises(EndpointConnectionError):
            await pool.post(REQUEST)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file; its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_encrypted_connections_are_kept_as_well(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        serving(echo_ok, server_side(certificate)) as server,
        pool_to(server.port, tls=trusting) as pool,
    ):
        for _ in range(3):
            assert (await pool.post(REQUEST)).body == b"ok"
        assert server.visits == 1


async def test_a_certificate_for_another_host_is_refused(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        serving(echo_ok, server_side(certificate)) as server,
        pool_to(server.port, tls=trusting, host="localhost") as pool,
    ):
        with pytest.raises(SSLError):
            await pool.post(REQUEST)


async def test_a_server_that_does_not_finish_the_handshake_is_a_connect_timeout() -> None:
    async def behave(visit: Visit) -> None:
        await anyio.sleep_forever()

    async with (
        serving(behave) as server,
        pool_to(server.port, tls=ssl.create_default_context(), connect_timeout_s=0.05) as pool,
    ):
        with pytest.raises(ConnectTimeoutError):
            await pool.post(REQUEST)


async def test_the_authorities_are_those_that_the_environment_names(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def behave(visit: Visit) -> None:
        await visit.stream.receive()
        await visit.send(OK.replace(b"ok", b"{}"))

    async with serving(behave, server_side(certificate)) as server:
        url = f"https://127.0.0.1:{server.port}"
        connection = Connection("ap-northeast-2", url, "id", "secret", client="lean")
        async with open_client("sqs", connection) as client:
            with pytest.raises(Transient, match="SSLError"):
                await client.call("ListQueues")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        async with open_client("sqs", connection) as client:
            assert await client.call("ListQueues") == {}


@pytest.mark.parametrize(
    "on_asyncio",
    [
        test_calls_one_after_the_other_share_a_connection,
        test_closing_the_pool_closes_its_connections,
        test_a_connection_closed_while_idle_is_replaced_without_an_error,
        test_a_connection_closed_under_a_request_is_an_error_and_not_repeated,
        test_silence_is_a_timeout_and_the_connection_is_closed,
        test_a_cancelled_call_closes_its_connection_and_frees_its_slot,
        test_an_address_that_is_silent_is_passed_over,
        test_an_address_that_refuses_is_passed_over_immediately,
        test_addresses_that_are_all_silent_are_a_connect_timeout,
        test_a_closed_port_is_an_endpoint_that_cannot_be_reached,
        test_a_name_that_does_not_resolve_is_an_endpoint_that_cannot_be_reached,
    ],
)
def test_it_is_the_same_on_the_loop_that_the_programs_run_on(
    on_asyncio: Callable[[], Coroutine[None, None, None]],
) -> None:
    uvloop.run(on_asyncio())


def test_encrypted_connections_are_the_same_on_the_loop_that_the_programs_run_on(
    certificate: Path,
) -> None:
    uvloop.run(test_encrypted_connections_are_kept_as_well(certificate))
    uvloop.run(test_a_certificate_for_another_host_is_refused(certificate))
    uvloop.run(test_a_server_that_does_not_finish_the_handshake_is_a_connect_timeout())
