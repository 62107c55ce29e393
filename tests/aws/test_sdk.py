"""The client over real sockets: translated errors, observed calls, no retries of the SDK's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import get_args

import anyio
import orjson
import pytest
from anyio.abc import SocketAttribute, SocketStream
from botocore.loaders import JSONFileLoader

from aws.client import ClientKind, ClientOptions, Connection
from aws.errors import Fatal, Throttle, Transient
from aws.sdk import open_client

KINDS: tuple[ClientKind, ...] = get_args(ClientKind)


@dataclass(slots=True)
class Observed:
    """The calls that an observer saw."""

    calls: list[tuple[str, str, float, str | None]] = field(default_factory=list)
    throttles: list[tuple[str, str, Throttle]] = field(default_factory=list)

    def observe(self, service: str, operation: str, seconds: float, code: str | None) -> None:
        self.calls.append((service, operation, seconds, code))

    def throttled(self, service: str, operation: str, throttle: Throttle) -> None:
        self.throttles.append((service, operation, throttle))


@dataclass(slots=True)
class Server:
    """A server that gives every request the same answer, or none."""

    answer: bytes | None
    requests: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)

    async def asked(self, times: int) -> None:
        """Return once that number of requests has come; fails after ten seconds."""
        with anyio.fail_after(10):
            while self.requests < times:
                await self.changed.wait()

    async def handle(self, stream: SocketStream) -> None:
        async with stream:
            received = b""
            try:
                while b"\r\n\r\n" not in received:
                    received += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return
            self.requests += 1
            self.changed.set()
            self.changed = anyio.Event()
            if self.answer is None:
                await anyio.sleep_forever()
            elif self.answer:
                await stream.send(self.answer)


def http(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def serving(answer: bytes | None) -> AsyncIterator[tuple[Server, Connection]]:
    server = Server(answer)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, server.handle)
            yield server, Connection("ap-northeast-2", f"http://127.0.0.1:{port}", "id", "secret")
            tasks.cancel_scope.cancel()


async def test_another_client_reads_none_of_the_sdk_s_models_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def open_one() -> None:
        async with open_client("dynamodb", Connection("ap-northeast-2", None, "id", "secret")):
            pass

    await open_one()
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda _, path: pytest.fail(f"reads {path}"))
    await open_one()


async def test_a_success_is_observed_without_a_code() -> None:
    observed = Observed()
    async with (
        serving(http("200 OK", b"{}")) as (_, connection),
        open_client("dynamodb", connection, observer=observed) as client,
    ):
        await client.call("ListTables")

    ((service, operation, seconds, code),) = observed.calls
    assert (service, operation, code) == ("dynamodb", "ListTables", None)
    assert 0 < seconds < 60


async def test_a_failure_is_observed_with_its_code() -> None:
    observed = Observed()
    body = b'{"__type":"com.amazonaws.dynamodb#ResourceNotFoundException","message":"no"}'
    async with (
        serving(http("400 Bad Request", body)) as (_, connection),
        open_client("dynamodb", connection, observer=observed) as client,
    ):
        with pytest.raises(Fatal, match=r"dynamodb\.DescribeTable: ResourceNotFoundException: no"):
            await client.call("DescribeTable", TableName="T")

    assert [code for *_, code in observed.calls] == ["ResourceNotFoundException"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("code", "field"),
    [
        ("ThrottlingException", "throttlingReasons"),
        ("ProvisionedThroughputExceededException", "ThrottlingReasons"),
    ],
)
async def test_a_throttle_is_observed_with_its_reason_by_either_client(
    kind: ClientKind, code: str, field: str
) -> None:
    """The fields' names are those of the service's model."""
    observed = Observed()
    reason = {
        "reason": "IndexWriteKeyRangeThroughputExceeded",
        "resource": "arn:aws:dynamodb:ap-northeast-2:123456789012:table/T/index/GSI2",
    }
    body = orjson.dumps({"__type": f"a#{code}", "message": "slow", field: [reason]})
    async with (
        serving(http("400 Bad Request", body)) as (_, connection),
        open_client("dynamodb", replace(connection, client=kind), observer=observed) as client,
    ):
        with pytest.raises(Transient, match="Exceeded of table/T/index/GSI2"):
            await client.call("UpdateItem", TableName="T", Key={})

    throttle = Throttle("IndexWriteKeyRangeThroughputExceeded", "table/T/index/GSI2")
    assert observed.throttles == [("dynamodb", "UpdateItem", throttle)]


async def test_a_server_error_is_transient_and_not_retried_by_the_sdk() -> None:
    async with (
        serving(http("500 Internal Server Error", b"{}")) as (server, connection),
        open_client("dynamodb", connection) as client,
    ):
        with pytest.raises(Transient):
            await client.call("ListTables")

        assert server.requests == 1


async def test_a_connection_cut_before_the_answer_is_transient() -> None:
    async with (
        serving(b"") as (server, connection),
        open_client("dynamodb", connection) as client,
    ):
        with pytest.raises(Transient) as caught:
            await client.call("ListTables")

        assert server.requests == 1
    assert not caught.value.response
    assert not caught.value.is_throttle


async def test_an_answer_that_never_comes_is_transient_after_the_read_timeout() -> None:
    async with (
        serving(None) as (_, connection),
        open_client("dynamodb", connection, ClientOptions(read_timeout_s=0.05)) as client,
    ):
        with pytest.raises(Transient, match="Timeout"):
            await client.call("ListTables")


async def test_a_refused_connection_is_transient() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django
    connection = Connection("ap-northeast-2", f"http://127.0.0.1:{port}", "id", "secret")

    async with open_client("sqs", connection) as client:
        with pytest.raises(Transient, match="EndpointConnectionError"):
            await client.call("ReceiveMessage", QueueUrl=f"http://127.0.0.1:{port}/q")


async def test_a_cancelled_call_is_observed_as_such() -> None:
    observed = Observed()
    async with (
        serving(None) as (_, connection),
        open_client("dynamodb", connection, observer=observed) as client,
    ):
        with anyio.move_on_after(0.05):
            await client.call("ListTables")

    assert [code for *_, code in observed.calls] == ["Cancelled"]


async def test_a_client_s_own_endpoint_overrides_the_connection_s() -> None:
    async with serving(http("200 OK", b'{"Entries":[]}')) as (server, connection):
        elsewhere = Connection("ap-northeast-2", "http://127.0.0.1:1", "id", "secret")
        options = ClientOptions(endpoint_url=connection.endpoint_url)
        async with open_client("events", elsewhere, options) as client:
            await client.call("PutEvents", Entries=[])

        assert server.requests == 1


async def test_as_many_calls_are_under_way_as_the_pool_has_connections() -> None:
    async with (
        serving(None) as (server, connection),
        open_client("sqs", connection, ClientOptions(max_connections=20)) as client,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(20):
            tasks.start_soon(partial(client.call, "ReceiveMessage", QueueUrl="http://queue"))
        await server.asked(20)
        tasks.cancel_scope.cancel()
