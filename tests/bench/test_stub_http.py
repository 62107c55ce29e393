"""The stand-in's HTTP, however a client cuts its requests."""

import socket
from collections.abc import Iterator
from typing import Final

import pytest

from bench.stub_process import Stub

_PATIENCE_S: Final = 10.0
_PAUSE_S: Final = 0.05
"""Long enough for the stand-in to see a piece of a request alone."""

BODY = b'{"QueueName": "requests"}'


def request(*, body_first: bool = False) -> bytes:
    target, length = b"X-Amz-Target: AmazonSQS.GetQueueUrl\r\n", b"Content-Length: 25\r\n"
    headers = length + target if body_first else target + length
    return b"POST / HTTP/1.1\r\nHost: stub\r\n" + headers + b"\r\n" + BODY


@pytest.fixture
def connection(stub: Stub) -> Iterator[socket.socket]:
    address = ("127.0.0.1", int(stub.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=_PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def answers(connection: socket.socket, count: int) -> bytes:
    received = b""
    while received.count(b"/requests") < count:
        received += connection.recv(65536)
    assert received.count(b"HTTP/1.1 200 OK") == count
    return received


def test_whole_requests_and_pieces_may_follow_each_other(connection: socket.socket) -> None:
    whole = request()
    middle = whole.index(b"\r\n\r\n")
    for at in (middle - 40, middle + 2, middle + 4, len(whole) - 1):
        connection.sendall(whole[:at])
        connection.settimeout(_PAUSE_S)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(_PATIENCE_S)
        connection.sendall(whole[at:])
        answers(connection, 1)
        connection.sendall(whole)
        answers(connection, 1)


def test_headers_may_come_in_any_order_and_requests_together(connection: socket.socket) -> None:
    connection.sendall(request() + request(body_first=True) + request())
    answers(connection, 3)
    connection.sendall(request(body_first=True))
    answers(connection, 1)


def test_a_chunked_body_is_understood(connection: socket.socket) -> None:
    head = b"POST / HTTP/1.1\r\nx-amz-target: AmazonSQS.GetQueueUrl\r\n"
    connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n19\r\n" + BODY + b"\r\n0\r\n\r\n")
    answers(connection, 1)
