"""One HTTP/1.1 answer read from a connection's bytes: strictly, within bounds, and nothing else."""

import re
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
# Nothing here can match in two ways: what does not match costs no more than what does. No group is
# repeated possessively, which CPython 3.11.0 to 3.11.4 get wrong (python/cpython#106052).
_TEXT: Final = rb"[\t -~\x80-\xff]*+"
_FIELD: Final = (
    # What frames a body is good in its own place and form, or the head is malformed.
    rb"(?!(?i:content-length|transfer-encoding|x-amz-crc32):)"
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:" + _TEXT
)
# One pass, since it is half of what reading an answer costs. `(?(4)(?!))` refuses a repetition.
_HEAD: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: " + _TEXT + rb")?((?:\r\n(?:"
    rb"(?i:content-length):(?(4)(?!))[\t ]*+([0-9]{1,10}+)[\t ]*+(?=\r)"
    rb"|(?i:transfer-encoding):(?(5)(?!))[\t ]*+((?i:chunked))[\t ]*+(?=\r)"
    rb"|(?i:x-amz-crc32):(?(6)(?!))[\t ]*+([0-9]{1,10}+)[\t ]*+(?=\r)"
    rb"|(?i:connection):[\t ]*+(?:(?i:keep-alive)[\t ]*+(?=\r)|"
    rb"(?!(?i:keep-alive)[\t ]*+\r)(" + _TEXT + rb"))"
    rb"|(?!(?i:connection):)" + _FIELD + rb"))*)\r\n\r\n"
)
_TRAILERS: Final = re.compile(rb"(?:\r\n" + _FIELD + rb")*\r\n\r\n")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8}+)(?:;" + _TEXT + rb")?")

_FIRST_FINAL_STATUS: Final = 200
_SWITCHING_PROTOCOLS: Final = 101
_BODILESS: Final = frozenset({204, 304})
"""They have no body, whatever their headers say (RFC 9112 §6.3)."""


@value(frozen=True, slots=True)
class Answer:
    """One HTTP response."""

    status: int
    headers: bytes
    """As they were sent, each after a line break: successes are seldom asked for one."""
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value; `name` is in lower case."""
        wanted = rb"(?i)\r\n" + re.escape(name).encode() + rb":[\t ]*([^\r]*)"
        found = re.search(wanted, self.headers)
        return None if found is None else found[1].rstrip(b"\t ").decode("latin-1")


class AnswerReader:
    """Reads the answer to one request; its errors are the SDK's own classes.

    Whatever is not exactly one whole answer is an error, also where others are lenient: a body
    that ends with its connection looks like one that was cut, and bytes behind an answer leave
    open which request it belongs to, and where it ends (RFC 9112 §6.3, §9.2).
    """

    def __init__(self) -> None:
        self.keeps = False
        """Whether the service takes another request on the connection."""
        self._status = 0
        """The final one; 0 until its head has come."""
        self._headers = b""
        self._checksum: bytes | None = None
        """DynamoDB sends it with every answer: the CRC-32 of the body as it is sent."""
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
        while (end := received.find(_END) + len(_END)) >= len(_END):
            self._head_bytes += end
            if self._head_bytes > MAX_HEAD_BYTES:
                raise _broken(f"a head of over {MAX_HEAD_BYTES} bytes")
            head = _HEAD.match(received)
            if head is None:
                raise _broken("a malformed head")
            received = received[end:]
            status = int(head[2])
            if status >= _FIRST_FINAL_STATUS:
                self._status = status
                self._begin_body(head)
                return received
            if status == _SWITCHING_PROTOCOLS:
                raise _broken("an unasked switch of protocols (101)")
            if head[4] or head[5]:
                raise _broken("an interim answer with a body")
        if self._head_bytes + len(received) > MAX_HEAD_BYTES:
            raise _broken(f"a head of over {MAX_HEAD_BYTES} bytes")
        if not received.startswith(_BEGIN[: len(received)]):
            raise _broken("a malformed head")
        self._head = received
        return None

    def _begin_body(self, head: re.Match[bytes]) -> None:
        """Find out how the body is framed (RFC 9112 §6.3)."""
        minor, _, self._headers, length, coding, self._checksum, connection = head.groups()
        is_current = minor == b"1"
        if length is not None and coding is None:
            self._left = int(length)
        elif coding is not None and length is None and is_current:
            self._is_chunked = True
        elif length or coding or self._status not in _BODILESS:
            raise _broken("an answer without a length that can be relied on")
        if self._status in _BODILESS:
            self._left, self._is_chunked = 0, False
        if self._left > MAX_ANSWER_BYTES:
            raise _too_long()
        self.keeps = is_current and connection is None

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
        """Read trailers, and drop them; what is incomplete stays in `received`."""
        end = received.find(_END, begin)
        if (end if end >= 0 else len(received)) - begin > MAX_HEAD_BYTES:
            raise _broken(f"trailers of over {MAX_HEAD_BYTES} bytes")
        if end < 0:
            return None
        if not _TRAILERS.fullmatch(received, begin, end + len(_END)):
            raise _broken("a malformed trailer")
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


def _broken(reason: str) -> HTTPClientError:
    return HTTPClientError(error=reason)


def _too_long() -> HTTPClientError:
    return _broken(f"an answer of over {MAX_ANSWER_BYTES} bytes")
