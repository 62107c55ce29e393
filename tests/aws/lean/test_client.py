"""The lean client gives its callers what aioboto3 would, for answers and failures alike."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args
from uuid import uuid4

import anyio
import orjson
import pytest
from anyio.abc import SocketAttribute, SocketStream

from aws.client import Client, ClientKind, ClientOptions, Connection
from aws.errors import AwsError, Fatal, Rejected, Transient
from aws.lean import json
from aws.lean.client import LeanClient
from aws.sdk import SdkClient, open_client

KINDS: tuple[ClientKind, ...] = get_args(ClientKind)
JSON = "application/x-amz-json-1.0"


@dataclass(slots=True)
class Server:
    """Answers every request with the same bytes, and keeps the requests."""

    answer: bytes
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def handle(self, stream: SocketStream) -> None:
        async with stream:
            received = b""
            try:
                while True:
                    while b"\r\n\r\n" not in received:
                        received += await stream.receive()
                    head, _, received = received.partition(b"\r\n\r\n")
                    lines = head.lower().split(b"\r\n")
                    length = next(int(v[15:]) for v in lines if v.startswith(b"content-length:"))
                    while len(received) < length:
                        received += await stream.receive()
                    self.requests.append((head, received[:length]))
                    received = received[length:]
                    await stream.send(self.answer)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return


def http(
    status: int, body: bytes, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> bytes:
    lines = {"Content-Type": media_type, "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[tuple[Server, Connection]]:
    server = Server(answer)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, server.handle)
            yield server, Connection("ap-northeast-2", f"http://127.0.0.1:{port}", "id", "secret")
            tasks.cancel_scope.cancel()


Call = Callable[[Client], Awaitable[dict[str, Any]]]


async def both(
    service: str, connection: Connection, call: Call
) -> list[dict[str, Any] | AwsError | AttributeError]:
    """What each kind of client answers, or raises."""
    outcomes: list[dict[str, Any] | AwsError | AttributeError] = []
    for kind in KINDS:
        async with open_client(service, replace(connection, client=kind)) as client:
            assert isinstance(client, LeanClient if kind == "lean" else SdkClient)
            try:
                outcomes.append(await call(client))
            except (AwsError, AttributeError) as error:
                outcomes.append(error)
    return outcomes


def visible(outcome: object) -> tuple[object, ...]:
    """What callers can see of an error."""
    assert isinstance(outcome, AwsError), outcome
    response = {k: v for k, v in outcome.response.items() if k.lower() != "message"}
    metadata = response.pop("ResponseMetadata", {})
    seen = (metadata.get("HTTPStatusCode"), metadata.get("RequestId"))
    assert outcome.request_id == metadata.get("RequestId")
    return type(outcome), outcome.code, outcome.message, outcome.throttles, response, seen


ERRORS = [
    http(400, b'{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}'),
    http(400, b'{"__type":"a#ProvisionedThroughputExceededException:http://x/","message":"m"}'),
    http(400, b'{"__type":"ThrottlingException","Message":"capital"}'),
    http(
        400,
        b'{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",'
        b'"Message":"no","CancellationReasons":[{"Code":"None"},'
        b'{"Code":"ConditionalCheckFailed","Message":"failed","Item":{"PK":{"S":"p"}}}]}',
        headers={"x-amzn-RequestId": "the-id"},
    ),
    http(
        400,
        b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The queue"}',
        headers={"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"},
    ),
    http(400, b'{"__type":"a#B","message":"m"}', headers={"X-Amzn-Query-Error": "nonsense"}),
    http(400, b'{"message":"no type"}'),
    http(400, b""),
    http(400, b"not JSON"),
    http(403, b'{"__type":"AccessDeniedException","Message":"not you"}'),
    http(413, b""),
    http(500, b'{"__type":"InternalServerError","message":"oops"}'),
    http(500, b"{}"),
    http(500, b"not JSON"),
    http(503, b""),
    http(503, b"<html><body>Service Unavailable</body></html>", "text/html"),
    http(599, b""),
]


async def test_error_documents_are_read_as_aioboto3_reads_them() -> None:
    outcomes: dict[ClientKind, list[tuple[object, ...]]] = {}
    async with serving(b"") as (server, connection):
        for kind in KINDS:
            # One client for all of them: opening it takes a hundred times as long as a call.
            async with open_client("dynamodb", replace(connection, client=kind)) as client:
                outcomes[kind] = []
                for answer in ERRORS:
                    server.answer = answer
                    with pytest.raises(AwsError) as caught:
                        await client.call("TransactWriteItems", TransactItems=[])
                    outcomes[kind].append(visible(caught.value))

    for answer, lean, sdk in zip(ERRORS, outcomes["lean"], outcomes["aioboto3"], strict=True):
        assert lean == sdk, answer


async def test_a_queue_s_error_has_the_code_that_aioboto3_reports(connection: Connection) -> None:
    url = f"{connection.endpoint_url}/000000000000/no-such-queue"
    lean, sdk = await both("sqs", connection, lambda c: c.call("GetQueueAttributes", QueueUrl=url))

    assert isinstance(sdk, Fatal)
    assert visible(lean)[:3] == visible(sdk)[:3]


@pytest.fixture
async def table(connection: Connection) -> str:
    """A table with one item."""
    name = f"lean-{uuid4().hex[:12]}"
    async with open_client("dynamodb", replace(connection, client="aioboto3")) as client:
        await client.call(
            "CreateTable",
            TableName=name,
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        await client.call("PutItem", TableName=name, Item={"PK": {"S": "a"}, "n": {"N": "1"}})
    return name


def put_if_absent(table: str, key: str) -> dict[str, Any]:
    return {
        "TableName": table,
        "Item": {"PK": {"S": key}},
        "ConditionExpression": "attribute_not_exists(PK)",
    }


async def test_the_emulator_s_errors_look_the_same(connection: Connection, table: str) -> None:
    transaction = [{"Put": put_if_absent(table, key)} for key in ("b", "a")]
    transaction[1]["Put"]["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    calls: list[Call] = [
        lambda c: c.call("DescribeTable", TableName="no-such-table"),
        lambda c: c.call("PutItem", **put_if_absent(table, "a")),
        lambda c: c.call("TransactWriteItems", TransactItems=transaction),
        lambda c: c.call("Query", TableName=table, KeyConditionExpression="nonsense"),
    ]
    codes = []
    for call in calls:
        lean, sdk = await both("dynamodb", connection, call)
        assert visible(lean)[:5] == visible(sdk)[:5]
        assert isinstance(lean, AwsError)
        codes.append(lean.code)

    assert codes == [
        "ResourceNotFoundException",
        "ConditionalCheckFailedException",
        "TransactionCanceledException",
        "ValidationException",
    ]


async def test_answers_are_the_same_except_for_the_sdk_s_metadata(
    connection: Connection, table: str
) -> None:
    statement = f'UPDATE "{table}" SET "n"=? WHERE "PK"=? AND "n"=?'  # noqa: S608 - our own name
    values = [{"N": "2"}, {"S": "a"}, {"N": "7"}]
    calls: list[Call] = [
        lambda c: c.call("GetItem", TableName=table, Key={"PK": {"S": "a"}}),
        lambda c: c.call("GetItem", TableName=table, Key={"PK": {"S": "nobody"}}),
        lambda c: c.call("BatchGetItem", RequestItems={table: {"Keys": [{"PK": {"S": "a"}}]}}),
        lambda c: c.call("Scan", TableName=table),
        lambda c: c.call(
            "BatchExecuteStatement", Statements=[{"Statement": statement, "Parameters": values}]
        ),
    ]
    for call in calls:
        lean, sdk = await both("dynamodb", connection, call)
        assert isinstance(sdk, dict)
        sdk.pop("ResponseMetadata")
        assert lean == sdk


async def test_both_clients_send_the_same_documents(connection: Connection) -> None:
    times = [
        datetime(2026, 1, 2, 3, 4, 5, 999_999, UTC),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=9))),
        datetime(1969, 12, 31, 23, 59, 58, 500_000, UTC),
        datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - both must take it for local time
    ]
    entries = [{"Source": "s", "Detail": '{"name":"é"}', "Time": time} for time in times]
    async with serving(http(200, b'{"Entries":[]}')) as (server, there):
        await both("events", there, lambda c: c.call("PutEvents", Entries=entries))

    (_, lean), (_, sdk) = server.requests
    assert orjson.loads(lean) == orjson.loads(sdk)


async def test_the_headers_that_select_the_protocol_are_the_sdk_s() -> None:
    async with serving(http(200, b"{}")) as (server, there):
        for service, operation in (
            ("sqs", "ReceiveMessage"),
            ("dynamodb", "Query"),
            ("events", "PutEvents"),
        ):
            server.requests.clear()
            await both(service, there, lambda c, o=operation: c.call(o))  # type: ignore[misc]
            lean, sdk = (_headers(head) for head, _ in server.requests)
            for name in ("content-type", "x-amz-target", "x-amzn-query-mode", "host"):
                assert lean.get(name) == sdk.get(name), name
            assert lean["user-agent"] == sdk["user-agent"]


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[1]", b'"text"', b'{"cut":'])
async def test_a_success_without_a_document_is_an_unknown_outcome(body: bytes) -> None:
    async with (
        serving(http(200, body)) as (_, connection),
        open_client("dynamodb", replace(connection, client="lean")) as client,
    ):
        with pytest.raises(Transient) as caught:
            await client.call("TransactWriteItems", TransactItems=[])

    assert caught.value.code == "ResponseParserError"


@pytest.mark.parametrize(
    "status", [201, 202, 203, 204, 205, 206, 299, 300, 301, 302, 303, 304, 307, 308, 399]
)
@pytest.mark.parametrize("body", [b"", b"{}", b'{"__type":"ValidationException"}'])
async def test_a_status_that_is_no_error_and_not_200_is_an_unknown_outcome(
    status: int, body: bytes
) -> None:
    answer = http(status, b"" if status in {204, 304} else body, headers={"Location": "/"})
    async with (
        serving(answer) as (server, connection),
        open_client("dynamodb", replace(connection, client="lean")) as client,
    ):
        with pytest.raises(Transient, match=str(status)) as caught:
            await client.call("TransactWriteItems", TransactItems=[])

    assert caught.value.code == "ResponseParserError"
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_an_operation_without_output_may_be_answered_by_nothing(body: bytes) -> None:
    async with serving(http(200, body)) as (_, connection):
        for service, operation in (("sqs", "DeleteMessage"), ("events", "TagResource")):
            lean, sdk = await both(service, connection, lambda c, o=operation: c.call(o))  # type: ignore[misc]
            assert isinstance(sdk, dict)
            sdk.pop("ResponseMetadata")
            assert lean == sdk == {}


async def test_a_damaged_answer_is_an_unknown_outcome() -> None:
    async with (
        serving(http(200, b'{"Responses":[{}]}', headers={"x-amz-crc32": "1"})) as (_, connection),
        open_client("dynamodb", replace(connection, client="lean")) as client,
    ):
        with pytest.raises(Transient) as caught:
            await client.call("BatchExecuteStatement", Statements=[])

    assert caught.value.code == "ChecksumError"
    assert not caught.value.is_throttle


async def test_null_fields_are_left_out() -> None:
    body = b'{"Failed":null,"Successful":[{"Id":"null","Code":null}]}'
    async with serving(http(200, body)) as (_, connection):
        lean, sdk = await both(
            "sqs", connection, lambda c: c.call("DeleteMessageBatch", QueueUrl="u", Entries=[])
        )

    assert isinstance(sdk, dict)
    sdk.pop("ResponseMetadata")
    assert lean == sdk == {"Successful": [{"Id": "null"}]}


async def test_an_unknown_operation_is_the_caller_s_mistake(connection: Connection) -> None:
    for outcome in await both("sqs", connection, lambda c: c.call("NoSuchOperation")):
        assert isinstance(outcome, AttributeError)


@pytest.mark.parametrize("value", ["\ud800", 2**70, object(), b"bytes"])
def test_what_json_cannot_hold_is_rejected(value: object) -> None:
    with pytest.raises(Rejected) as caught:
        json.encode("sqs", "SendMessage", {"MessageBody": value})

    assert caught.value.code == "ParamValidationError"


@pytest.mark.parametrize("kind", KINDS)
async def test_without_credentials_calls_are_fatal(
    kind: ClientKind, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    connection = Connection("ap-northeast-2", "http://127.0.0.1:1", client=kind)
    async with open_client("sqs", connection) as client:
        with pytest.raises(Fatal) as caught:
            await client.call("ListQueues")

    assert caught.value.code == "NoCredentialsError"


async def test_temporary_credentials_are_renewed_when_they_expire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As an ECS task gets them: from an address in the environment, again and again."""
    expiry = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {"AccessKeyId": "task", "SecretAccessKey": "s", "Token": "t", "Expiration": expiry}
    async with AsyncExitStack() as stack:
        there = stack.enter_async_context
        role, role_at = await there(serving_role(orjson.dumps(document)))
        server, connection = await there(serving(http(200, b"{}")))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role_at)
        keyless = replace(connection, access_key_id=None, secret_access_key=None, client="lean")
        client = await there(open_client("sqs", keyless))
        asked = role.asked
        await client.call("ListQueues")
        await client.call("ListQueues")

    # Keys with a minute to live are renewed before every call.
    assert role.asked == asked + 2
    for head, _ in server.requests:
        headers = _headers(head)
        assert headers["x-amz-security-token"] == "t"
        assert "Credential=task/" in headers["authorization"]


@dataclass(slots=True)
class Role:
    """The address at which a task finds its keys."""

    body: bytes
    asked: int = 0

    async def handle(self, stream: SocketStream) -> None:
        async with stream:
            try:
                while b"\r\n\r\n" not in await stream.receive():
                    pass
            except anyio.EndOfStream:
                return
            self.asked += 1
            await stream.send(http(200, self.body, headers={"Connection": "close"}))


@asynccontextmanager
async def serving_role(body: bytes) -> AsyncIterator[tuple[Role, str]]:
    role = Role(body)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, role.handle)
            yield role, f"http://127.0.0.1:{port}/keys"
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("variables", "path", "expected"),
    [
        ({}, "", LeanClient),
        ({}, "/", LeanClient),
        ({}, "/below", SdkClient),
        ({"HTTP_PROXY": "http://127.0.0.1:1"}, "", SdkClient),
        ({"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "aws.test"}, "", LeanClient),
    ],
)
async def test_what_the_lean_client_cannot_do_is_left_to_the_sdk(
    variables: dict[str, str], path: str, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    connection = Connection("ap-northeast-2", f"http://aws.test{path}", "id", "secret")
    async with open_client("sqs", replace(connection, client="lean")) as client:
        assert isinstance(client, expected)


async def test_other_services_stay_with_the_sdk() -> None:
    connection = Connection("ap-northeast-2", None, "id", "secret", client="lean")
    async with open_client("athena", connection, ClientOptions()) as client:
        assert isinstance(client, SdkClient)


async def test_without_an_endpoint_the_service_s_own_is_called() -> None:
    connection = Connection("ap-northeast-2", None, "id", "secret", client="lean")
    async with open_client("dynamodb", connection) as client:
        assert isinstance(client, LeanClient)
        assert client.url == "https://dynamodb.ap-northeast-2.amazonaws.com"
