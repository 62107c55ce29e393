"""Just enough HTTP/1.1 to pass requests and responses on unchanged, or with another body."""

from asyncio import IncompleteReadError, StreamReader
from dataclasses import dataclass
from typing import Final
from zlib import crc32

_END_OF_HEAD: Final = b"\r\n\r\n"
_NO_CONTENT: Final = frozenset({204, 304})
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response: its head as it came over the wire, and its whole body."""

    head: bytes
    body: bytes = b""

    @property
    def wire(self) -> bytes:
        """The bytes to send."""
        return self.head + self.body

    @property
    def start_line(self) -> str:
        """The request line or the status line."""
        return self.head[: self.head.index(b"\r\n")].decode("latin-1")

    @property
    def method(self) -> str:
        """A request's method."""
        return self.start_line.split(" ", 1)[0]

    @property
    def status(self) -> int:
        """A response's status."""
        return int(self.start_line.split(" ", 2)[1])

    def header(self, name: str) -> str | None:
        """Return the value of a header, by any spelling of its name."""
        marker = f"\r\n{name.lower()}:".encode("latin-1")
        begin = self.head.lower().find(marker)
        if begin < 0:
            return None
        begin += len(marker)
        return self.head[begin : self.head.index(b"\r\n", begin)].decode("latin-1").strip()

    def without(self, *names: str) -> "Message":
        """Leave headers out."""
        unwanted = {name.lower().encode("latin-1") for name in names}
        lines = self.head[: -len(_END_OF_HEAD)].split(b"\r\n")
        kept = [line for line in lines if line.partition(b":")[0].lower() not in unwanted]
        return Message(b"\r\n".join(kept) + _END_OF_HEAD, self.body)

    def with_header(self, name: str, value: str) -> "Message":
        """Set a header."""
        rest = self.without(name)
        line = f"\r\n{name}: {value}".encode("latin-1")
        return Message(rest.head[: -len(_END_OF_HEAD)] + line + _END_OF_HEAD, rest.body)

    def with_body(self, body: bytes) -> "Message":
        """Set the body, and the headers that speak of it: length and DynamoDB's checksum."""
        changed = self.without("Transfer-Encoding").with_header("Content-Length", str(len(body)))
        if self.header("x-amz-crc32") is not None:
            changed = changed.with_header("x-amz-crc32", str(crc32(body)))
        return Message(changed.head, body)


def response(status: int, content_type: str, body: bytes) -> Message:
    """Compose a response of our own."""
    head = f"HTTP/1.1 {status} Injected\r\nContent-Type: {content_type}\r\n\r\n"
    return Message(head.encode("latin-1")).with_body(body)


async def read_head(reader: StreamReader) -> Message | None:
    """Read up to the empty line; None where the peer has closed instead."""
    try:
        return Message(await reader.readuntil(_END_OF_HEAD))
    except (IncompleteReadError, ConnectionError):
        return None


async def read_request_body(reader: StreamReader, head: Message) -> Message:
    """Read the body that a request's head announces."""
    if head.header("Transfer-Encoding") is not None:
        return head.with_body(await _read_chunks(reader))
    length = int(head.header("Content-Length") or 0)
    return Message(head.head, await reader.readexactly(length)) if length else head


async def read_response(reader: StreamReader, request_method: str) -> Message:
    """Read a response; raises IncompleteReadError where it ends early."""
    head = Message(await reader.readuntil(_END_OF_HEAD))
    if request_method == "HEAD" or head.status in _NO_CONTENT:
        return head
    if head.header("Transfer-Encoding") is not None:
        return head.with_body(await _read_chunks(reader))
    length = head.header("Content-Length")
    body = await reader.read() if length is None else await reader.readexactly(int(length))
    return Message(head.head, body)


async def _read_chunks(reader: StreamReader) -> bytes:
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return b"".join(chunks)
