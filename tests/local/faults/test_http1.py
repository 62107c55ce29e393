"""Messages keep their bytes, or get another body with a head that fits."""

from asyncio import IncompleteReadError, StreamReader
from zlib import crc32

import pytest

from local.faults import http1
from local.faults.http1 import Message

HEAD = b"POST /path HTTP/1.1\r\nhost: a\r\nX-Amz-Target: S.Op\r\nContent-Length: 3\r\n\r\n"


def _reader(*parts: bytes) -> StreamReader:
    reader = StreamReader()
    for part in parts:
        reader.feed_data(part)
    reader.feed_eof()
    return reader


async def _read_request(reader: StreamReader) -> Message:
    head = await http1.read_head(reader)
    assert head is not None
    return await http1.read_request_body(reader, head)


async def test_a_message_passes_byte_for_byte() -> None:
    reader = _reader(HEAD + b"abc" + HEAD, b"def")
    assert (await _read_request(reader)).wire == HEAD + b"abc"
    assert (await _read_request(reader)).body == b"def"
    assert await http1.read_head(reader) is None


def test_headers_are_found_by_any_spelling() -> None:
    message = Message(HEAD)
    assert message.header("HOST") == "a"
    assert message.header("x-amz-target") == "S.Op"
    assert message.header("Amz-Target") is None
    assert message.method == "POST"


def test_another_body_has_its_own_length_and_checksum() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Amz-Crc32: 1\r\ncontent-length: 3\r\nA: b\r\n\r\n"
    changed = Message(head, b"abc").with_body(b"other")
    assert changed.header("Content-Length") == "5"
    assert changed.header("x-amz-crc32") == str(crc32(b"other"))
    assert changed.header("A") == "b"
    assert changed.head.lower().count(b"content-length") == 1
    assert changed.status == 200


async def test_chunks_are_joined_into_one_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"3\r\nabc\r\nA;note\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
    message = await http1.read_response(_reader(head, chunks), "GET")
    assert message.body == b"abc0123456789"
    assert message.header("Content-Length") == "13"
    assert message.header("Transfer-Encoding") is None


@pytest.mark.parametrize(
    ("head", "method"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "POST"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET"),
    ],
)
async def test_a_response_without_a_body_is_not_waited_for(head: bytes, method: str) -> None:
    reader = _reader(head, b"next")
    assert (await http1.read_response(reader, method)).wire == head
    assert await reader.read() == b"next"


async def test_a_response_without_a_length_ends_with_the_connection() -> None:
    message = await http1.read_response(_reader(b"HTTP/1.1 200 OK\r\n\r\n", b"ab", b"c"), "GET")
    assert message.body == b"abc"


async def test_a_response_that_ends_early_is_an_error() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    with pytest.raises(IncompleteReadError):
        await http1.read_response(_reader(head, b"abc"), "GET")
