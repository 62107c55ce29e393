"""Which bytes are an answer: framing by RFC 9112, its bounds, and when a connection is kept."""

import re

import pytest
from botocore.exceptions import HTTPClientError

from aws.lean import answer
from aws.lean.answer import MAX_HEAD_BYTES, AnswerReader

LINE = b"HTTP/1.1 200 OK\r\n"
SIZED = LINE + b"Content-Length: 2\r\n"
CHUNKED = LINE + b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "received",
    [
        SIZED + b"Content-Length: 2\r\n\r\nok",
        SIZED + b"Content-Length: 3\r\n\r\nok!",
        SIZED + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"Content-Length: 17\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        CHUNKED.replace(b"1.1", b"1.0") + b"\r\n2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"\r\n2\r\nok!!0\r\n\r\n",
        CHUNKED + b"\r\n2\r\nok\r\n0\r\nno trailer\r\n\r\n",
        CHUNKED + b"\r\n2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n",
        CHUNKED + b"\r\n" + b"0" * 256,
        CHUNKED + b"\r\n" + (b"1;" + b"a" * 200 + b"\r\n!\r\n") * 400,
        SIZED + b"a: " + b"b" * 65_536 + b"\r\n\r\nok",
        b"HTTP/1.1 100 -\r\nContent-Length: 2\r\n\r\n" + SIZED + b"\r\nok",
        b"HTTP/1.1 100 -\r\n\r\n" * 4000 + SIZED + b"\r\nok",
        LINE + b"Content-Length: 67108865\r\n\r\n",
        CHUNKED + b"\r\n4000001\r\n",
        b"\r\n" + SIZED + b"\r\nok",
        b"SSH-2.0",
        b"HTTP/2",
    ],
)
def test_what_is_not_exactly_one_whole_answer_is_refused_immediately(received: bytes) -> None:
    with pytest.raises(HTTPClientError):
        AnswerReader().feed(received)


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        (SIZED, True),
        (SIZED + b"Connection: Keep-Alive \r\n", True),
        (SIZED + b"Connection: close\r\n", False),
        (SIZED + b"Connection: close\r\nConnection: keep-alive\r\n", False),
        (SIZED + b"Connection: keep-alive, Close\r\n", False),
        (SIZED.replace(b"1.1", b"1.0"), False),
        (SIZED.replace(b"1.1", b"1.0") + b"Connection: keep-alive\r\n", False),
    ],
)
def test_a_connection_is_kept_where_the_service_keeps_it(head: bytes, *, is_kept: bool) -> None:
    reader = AnswerReader()
    answer = reader.feed(head + b"\r\nok")
    assert answer is not None
    assert answer.body == b"ok"
    assert reader.keeps is is_kept


def test_headers_are_found_whatever_their_case_and_blanks() -> None:
    answer = AnswerReader().feed(SIZED + b"x-A: \r\nX-Amzn-RequestId:\t an id \t\r\n\r\nok")
    assert answer is not None
    assert answer.header("x-amzn-requestid") == "an id"
    assert answer.header("x-a") == ""
    assert answer.header("amzn-requestid") is None


def test_no_group_is_repeated_possessively_which_the_first_pythons_3_11_get_wrong() -> None:
    patterns = [found for found in vars(answer).values() if isinstance(found, re.Pattern)]
    assert patterns
    assert not [found for found in patterns if re.search(rb"\)[*+?]\+", found.pattern)]


@pytest.mark.parametrize(
    "line", [b"a:", b"connection:", b"connection: keep-alive", b"connection:  keep-alive  "]
)
def test_a_malformed_head_costs_no_more_than_its_length(line: bytes) -> None:
    """Were there two ways to read a line, there would be millions to read thirty."""
    lines = (MAX_HEAD_BYTES - 1_000) // (len(line) + 2)
    head = b"HTTP/1.1 200 OK\r\n" + lines * (line + b"\r\n") + b"no field\r\n\r\n"

    with pytest.raises(HTTPClientError, match="malformed head"):
        AnswerReader().feed(head)
