"""One HTTP/1.1 answer read from a connection's bytes: strictly, within bounds, and nothing else."""

import re
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from botocore.exceptions import ChecksumError, HTTPClientError

from schema.values import value

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Four times what any of the services may answer (DynamoDB: 16 MB)."""
MAX_HEAD_BYTES: Final = 64 * 1024
"""Of an answer's head and the interim answers before it together; of its trailers again. Chunks'
heads may have as much, and as much as the body."""
_MAX_CHUNK_HEAD_BYTES: Final = 256


_END: Final = b"\r\n\r\n"
_BEGIN: Final = b"HTTP/1."
_VISIBLE: Final = rb"[!-~\x80-\xff]"
_TEXT: Final = rb"[\t -~\x80-\xff]*"
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: " + _TEXT + rb")?(?=\r\n)")
_FIELD: Final = re.compile(
    rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*"
    rb"(?:(" + _VISIBLE + rb"(?:" + _TEXT + _VISIBLE + rb")?)[\t ]*)?(?=\r\n)"
)
"""A header or trailer with the line break before it (RFC 9112 §5). No part of it can match in many
ways, so that a long line that does not match costs no more than one that does."""
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;" + _TEXT + rb")?")
_LENGTH: Final = re.compile(rb"[0-9]{1,10}")

_FIRST_FINAL_STATUS: Final = 200
_SWITCHING_PROTOCOLS: Final = 101
_BODILESS: Final = frozenset({204, 304})
"""They have no body, whatever their headers say (RFC 9112 §6.3)."""
_LENGTH_NAME: Final = b"content-length"
_CODING_NAME: Final = b"transfer-encoding"
_CONNECTION_NAME: Final = b"connection"
_CHECKSUM_NAME: Final = b"x-amz-crc32"
"""DynamoDB sends it with every answer: the sum over the body as it is sent."""
_NAMES: Final = frozenset({_LENGTH_NAME, _CODING_NAME, _CONNECTION_NAME, _CHECKSUM_NAME})


@value(frozen=True, slots=True)
class Answer:
    """One HTTP response, its headers as they were sent."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value; `name` is in lower case."""
        wanted = name.encode()
        return next((v.decode("latin-1") for n, v in self.headers if n.lower() == wanted), None)


class AnswerReader:
    """Reads the answer to one request; its errors are the SDK's own classes.

    Whatever is not exactly one whole answer is an error, also where others are lenient: a body
    that ends with its connection cannot be told from one that was cut, and bytes behind an answer
    leave open which request it belongs to, and where it ends (RFC 9112 §6.3, §9.2).
    """

    def __init__(self) -> None:
        self.keeps = False
        """Whether the service takes another request on the connection."""
        self._status = 0
        """The final one; 0 until its head has come."""
        self._headers: Sequence[tuple[bytes, bytes]] = ()
        self._checksum: bytes | None = None
        self._is_chunked = False
        self._head_bytes = 0
        self._head = b""
        """What has come of an incomplete head."""
        self._left = MAX_ANSWER_BYTES
        """How many bytes may still come."""
        self._chunks = bytearray()
        """What has come of an incomplete chunk and all behind it."""
        self._body = bytearray()

    def feed(self, data: bytes) -> Answer | None:
        """Take what has been received; returns the answer when it is complete."""
        if not self._status:
            rest = self._read_heads(self._head + data)
            if rest is None:
                return None
            data = rest
        self._left -= len(data)
        if self._is_chunked:
            return self._read_chunks(data)
        if self._left < 0:
            raise _broken("bytes after the answer")
        if self._left == 0 and not self._body:
            return self._complete(data)  # the usual answer comes in one piece
        self._body += data
        return None if self._left else self._complete(bytes(self._body))

    def _read_heads(self, received: bytes) -> bytes | None:
        """Read interim answers' heads and the final one's; returns what is behind that."""
        while (end := received.find(_END)) >= 0:
            head, received = received[: end + 2], received[end + 4 :]
            self._head_bytes += end + 4
            if self._head_bytes > MAX_HEAD_BYTES:
                break
            line = _STATUS.match(head)
            if line is None:
                raise _broken("no HTTP answer")
            headers = _fields(head, line.end(), end + 2)
            status = int(line[2])
            if status >= _FIRST_FINAL_STATUS:
                self._begin(status, headers, is_current=line[1] == b"1")
                return received
            if status == _SWITCHING_PROTOCOLS:
                raise _broken("an unasked switch of protocols (101)")
        if self._head_bytes + len(received) > MAX_HEAD_BYTES:
            raise _broken(f"a head of over {MAX_HEAD_BYTES} bytes")
        if not received.startswith(_BEGIN[: len(received)]):
            raise _broken("no HTTP answer")
        self._head = received
        return None

    def _begin(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], *, is_current: bool
    ) -> None:
        """Find out how the body is framed (RFC 9112 §6.3); `is_current` means HTTP/1.1."""
        found: dict[bytes, bytes] = {}
        for name, text in headers:
            key = name.lower()
            if key in _NAMES:
                found[key] = b"%b,%b" % (found[key], text) if key in found else text
        length, coding = found.get(_LENGTH_NAME), found.get(_CODING_NAME)
        if status in _BODILESS:
            self._left = 0
        elif coding is not None and coding.lower() == b"chunked" and length is None and is_current:
            self._is_chunked = True
        elif coding is None and length is not None and _LENGTH.fullmatch(length):
            self._left = int(length)
        else:
            raise _broken("an answer without a length")
        if self._left > MAX_ANSWER_BYTES:
            raise _too_long()
        self._status, self._headers = status, headers
        self._checksum = found.get(_CHECKSUM_NAME)
        self.keeps = is_current and b"close" not in found.get(_CONNECTION_NAME, b"").lower()

    def _read_chunks(self, data: bytes) -> Answer | None:
        if self._left < 0:
            raise _too_long()
        received, at = self._chunks, 0
        received += data
        while (end := received.find(b"\r\n", at, at + _MAX_CHUNK_HEAD_BYTES)) >= 0:
            head = _CHUNK.fullmatch(received, at, end)
            if head is None:
                raise _broken("no chunk")
            size = int(head[1], 16)
            if not size:
                del received[:at]
                return self._read_trailers(received, end - at)
            if size > MAX_ANSWER_BYTES:
                raise _too_long()
            begin, behind = end + 2, end + 2 + size
            if len(received) < behind + 2:
                break
            if received[behind : behind + 2] != b"\r\n":
                raise _broken("a chunk of another size")
            self._body += received[begin:behind]
            self._head_bytes += begin - at
            if self._head_bytes > MAX_HEAD_BYTES + len(self._body):
                raise _broken("chunks of almost nothing")
            at = behind + 2
        else:
            if len(received) - at >= _MAX_CHUNK_HEAD_BYTES:
                raise _broken(f"a chunk's head of over {_MAX_CHUNK_HEAD_BYTES} bytes")
        del received[:at]
        return None

    def _read_trailers(self, received: bytearray, begin: int) -> Answer | None:
        """Read what is behind the last chunk's head; trailers must be well formed, and are dropped.

        The last chunk and an incomplete part of the trailers stay where they are.
        """
        end = received.find(_END, begin)
        if (end if end >= 0 else len(received)) - begin > MAX_HEAD_BYTES:
            raise _broken(f"trailers of over {MAX_HEAD_BYTES} bytes")
        if end < 0:
            return None
        _fields(received, begin, end + 2)
        if len(received) > end + len(_END):
            raise _broken("bytes after the answer")
        return self._complete(bytes(self._body))

    def _complete(self, body: bytes) -> Answer:
        if self._checksum is not None:
            found = b"%d" % crc32(body)
            if found != self._checksum:
                raise ChecksumError(
                    checksum_type="CRC32",
                    expected_checksum=self._checksum.decode("latin-1"),
                    actual_checksum=found.decode(),
                )
        return Answer(self._status, self._headers, body)


def _fields(lines: bytes | bytearray, begin: int, end: int) -> Sequence[tuple[bytes, bytes]]:
    """The header or trailer fields from one line break to another."""
    found = _FIELD.findall(lines, begin, end)
    if len(found) != lines.count(b"\r\n", begin, end) - 1:
        raise _broken("a malformed header")
    return found


def _broken(reason: str) -> HTTPClientError:
    return HTTPClientError(error=reason)


def _too_long() -> HTTPClientError:
    return _broken(f"an answer of over {MAX_ANSWER_BYTES} bytes")
