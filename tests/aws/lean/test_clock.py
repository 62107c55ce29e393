"""A wrong clock is recognised by what services answer; requests are then signed with AWS's time."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from time import time

import anyio
import orjson
import pytest
import structlog
from anyio.abc import SocketAttribute, SocketStream

from aws.client import Client, Connection
from aws.errors import AwsError, Fatal, Rejected
from aws.lean.clock import AwsClock
from aws.sdk import open_client

NOW_S = 1_767_225_600
HOUR_S = 3600
SKEWED = "InvalidSignatureException"


def http_date(at_s: float) -> str:
    return format_datetime(datetime.fromtimestamp(at_s, UTC), usegmt=True)


@dataclass(slots=True)
class Server:
    """Refuses what was signed at another time than its own."""

    ahead_s: float = 0.0
    refuses: Callable[[float], bool] = lambda differs_s: abs(differs_s) > 300
    code: str = SKEWED
    status: int = 400
    date: Callable[[float], str | None] = http_date
    signed: list[float] = field(default_factory=list)
    """By how many seconds each request's time differed from the server's."""

    async def handle(self, stream: SocketStream) -> None:
        async with stream:
            received = b""
            try:
                while True:
                    while not received.endswith(b"\r\n\r\n{}"):
                        received += await stream.receive()
                    await stream.send(self._answer(received))
                    received = b""
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    def _answer(self, request: bytes) -> bytes:
        now_s = time() + self.ahead_s
        stamp = request.partition(b"x-amz-date: ")[2][:16].decode()
        at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        self.signed.append(at.timestamp() - now_s)
        is_refused = self.refuses(self.signed[-1])
        document = {"__type": f"com.amazon.coral.service#{self.code}", "message": "expired"}
        body = orjson.dumps(document if is_refused else {})
        date = self.date(now_s)
        head = [
            f"HTTP/1.1 {self.status if is_refused else 200} Whatever",
            *([] if date is None else [f"Date: {date}"]),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def client_of(server: Server, service: str = "dynamodb") -> AsyncIterator[Client]:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django
        connection = Connection("ap-northeast-2", f"http://127.0.0.1:{port}", "id", "secret")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, server.handle)
            async with open_client(service, connection) as client:
                yield client
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("ahead_s", [-HOUR_S, HOUR_S])
@pytest.mark.parametrize(
    ("service", "operation", "code", "status"),
    [
        ("dynamodb", "ListTables", "InvalidSignatureException", 400),
        ("sqs", "ListQueues", "SignatureDoesNotMatch", 403),
        ("sqs", "ListQueues", "RequestExpired", 400),
        ("events", "ListEventBuses", "RequestTimeTooSkewed", 403),
        ("events", "ListEventBuses", "RequestInTheFuture", 403),
    ],
)
async def test_a_call_signed_at_a_wrong_time_is_repeated_with_aws_s(
    service: str, operation: str, code: str, status: int, ahead_s: float
) -> None:
    server = Server(ahead_s=ahead_s, code=code, status=status)
    async with client_of(server, service) as client:
        with structlog.testing.capture_logs() as logged:
            for _ in range(3):
                assert await client.call(operation) == {}

    # The offset is kept: only the first call was refused.
    assert len(server.signed) == 4
    assert abs(server.signed[0]) > HOUR_S - 10
    assert max(map(abs, server.signed[1:])) < 10
    (line,) = logged
    assert (line["event"], line["log_level"]) == ("clock_skewed", "warning")
    assert line["service"] == service
    assert abs(line["offset_s"] - ahead_s) < 10


async def test_calls_refused_together_are_all_repeated_with_one_warning() -> None:
    server = Server(ahead_s=HOUR_S)
    async with client_of(server) as client:
        with structlog.testing.capture_logs() as logged:
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(client.call, "ListTables")

    assert len(logged) == 1


async def test_a_clock_that_is_set_right_later_is_followed() -> None:
    server = Server(ahead_s=HOUR_S)
    async with client_of(server) as client:
        await client.call("ListTables")
        server.ahead_s = 0.0
        with structlog.testing.capture_logs() as logged:
            await client.call("ListTables")
            await client.call("ListTables")

    assert len(server.signed) == 5
    assert abs(server.signed[-1]) < 10
    assert [line["event"] for line in logged] == ["clock_skewed"]


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("SignatureDoesNotMatch", 403, Fatal),
        ("AuthFailure", 401, Fatal),
        ("InvalidSignatureException", 400, Rejected),
        ("RequestExpired", 400, Rejected),
    ],
)
async def test_without_a_skew_such_an_error_is_what_its_code_says(
    code: str, status: int, kind: type[AwsError]
) -> None:
    server = Server(refuses=lambda _: True, code=code, status=status)
    async with client_of(server) as client:
        with structlog.testing.capture_logs() as logged, pytest.raises(AwsError) as caught:
            await client.call("ListTables")

    assert type(caught.value) is kind
    assert len(server.signed) == 1
    assert logged == []


@pytest.mark.parametrize("date", [None, "yesterday"])
async def test_without_a_date_there_is_no_other_time_to_sign_with(date: str | None) -> None:
    server = Server(ahead_s=HOUR_S, date=lambda _: date)
    async with client_of(server) as client:
        with pytest.raises(Rejected):
            await client.call("ListTables")

    assert len(server.signed) == 1


async def test_another_error_is_no_skew_whatever_the_date() -> None:
    server = Server(ahead_s=HOUR_S, code="ValidationException")
    async with client_of(server) as client:
        with pytest.raises(Rejected):
            await client.call("ListTables")

    assert len(server.signed) == 1


async def test_a_call_is_repeated_only_once() -> None:
    # Its date is not the time by which it judges.
    server = Server(refuses=lambda _: True, date=lambda now_s: http_date(now_s + HOUR_S))
    async with client_of(server) as client:
        with pytest.raises(Rejected) as caught:
            await client.call("ListTables")

    assert caught.value.code == SKEWED
    assert len(server.signed) == 2


@pytest.mark.parametrize(("differs_s", "is_skew"), [(240, False), (-240, False), (241, True)])
def test_a_small_difference_is_no_skew(differs_s: int, is_skew: bool) -> None:  # noqa: FBT001
    clock = AwsClock("sqs", lambda: NOW_S)

    assert clock.corrected(SKEWED, http_date(NOW_S + differs_s), NOW_S) is is_skew
    assert clock.time() == (NOW_S + differs_s if is_skew else NOW_S)


def test_a_request_that_was_sent_long_after_its_signature_needs_no_offset() -> None:
    """As after a pause of the whole process: the clock was right all the time."""
    clock = AwsClock("sqs", lambda: NOW_S + 600)

    with structlog.testing.capture_logs() as logged:
        assert clock.corrected(SKEWED, http_date(NOW_S + 600), NOW_S)

    assert clock.time() == NOW_S + 600
    assert logged == []
