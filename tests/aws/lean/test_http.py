"""The lean client's connections: kept, closed, cut, silent, encrypted, and never too many."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import anyio
import pytest
import uvloop
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener
from botocore.exceptions import (
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
from aws.lean import http
from aws.lean.http import Answer, Endpoint, Pool
from aws.sdk import open_client

REQUEST = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Behaviour = Callable[["Visit"], Awaitable[None]]


@dataclass(slots=True)
class Visit:
    """One connection, from the server's side."""

    number: int
    stream: anyio.abc.ByteStream

    async def read(self) -> None:
        """Read one request."""
        received = b""
        while not received.endswith(b"{}"):
            received += await self.stream.receive()
        assert received == REQUEST

    async def send(self, *parts: bytes) -> None:
        """Send bytes, each in a segment of its own."""
        for part in parts:
            await self.stream.send(part)
            await anyio.sleep(0.005)


@dataclass(slots=True)
class Server:
    """Counts its connections."""

    port: int
    behave: Behaviour
    visits: int = 0
    open: int = 0
    most: int = 0
    left: anyio.Event = field(default_factory=anyio.Event)

    async def handle(self, stream: anyio.abc.ByteStream) -> None:
        self.visits += 1
        self.open += 1
        self.most = max(self.most, self.open)
        async with stream:
            try:
                await self.behave(Visit(self.visits, stream))
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
            finally:
                self.open -= 1
                if not self.open:
                    self.left.set()


@asynccontextmanager
async def serving(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as plain:
        server = Server(plain.extra(SocketAttribute.local_port), behave)  # noqa: S610
        listener = plain if tls is None else TLSListener(plain, tls, standard_compatible=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, server.handle)
            yield server
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def pool_to(
    port: int,
    *,
    connections: int = 4,
    read_timeout_s: float = 5.0,
    connect_timeout_s: float = 5.0,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Pool]:
    url = f"{'https' if tls else 'http'}://{host}:{port}"
    pool = Pool(Endpoint(url, host, port, tls, connect_timeout_s, read_timeout_s), connections)
    try:
        yield pool
    finally:
        await pool.aclose()


async def echo_ok(visit: Visit) -> None:
    while True:
        await visit.read()
        await visit.send(OK)


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


async def test_a_body_that_ends_with_its_connection_is_read_whole() -> None:
    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(b"HTTP/1.1 200 OK\r\n\r\nall ", b"of it")

    async with serving(behave) as server, pool_to(server.port) as pool:
        for _ in range(2):
            assert (await pool.post(REQUEST)).body == b"all of it"
        assert server.visits == 2


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
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1000)

    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await visit.send(b"x" * 100)

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


async def test_a_slow_answer_is_no_timeout_while_it_continues() -> None:
    async def behave(visit: Visit) -> None:
        await visit.read()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", *[b"x"] * 100)

    async with serving(behave) as server, pool_to(server.port, read_timeout_s=0.3) as pool:
        began = asyncio.get_running_loop().time()
        assert (await pool.post(REQUEST)).body == b"x" * 100
        assert asyncio.get_running_loop().time() - began > 0.4


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
        test_a_body_that_ends_with_its_connection_is_read_whole,
        test_a_connection_closed_while_idle_is_replaced_without_an_error,
        test_a_connection_closed_under_a_request_is_an_error_and_not_repeated,
        test_silence_is_a_timeout_and_the_connection_is_closed,
        test_a_cancelled_call_closes_its_connection_and_frees_its_slot,
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
