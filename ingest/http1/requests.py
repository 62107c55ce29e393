"""Bytes to requests: what of HTTP/1.1 is taken, and what is refused. Does no I/O."""

import re
from collections import deque
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote

import httptools

from ingest.asgi import Scope, header
from ingest.http1.bounds import Refusal
from schema.values import value

_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}
_END_OF_HEAD: Final = b"\r\n\r\n"
_BETWEEN, _IN_HEAD, _IN_BODY = range(3)
"""Where in a request the next byte belongs."""
_MAX_BODY_BYTES: Final = 32
"""Of an empty JSON body, with the frames of its chunks."""
_EMPTY_JSON: Final = re.compile(rb"[ \t\r\n]*(?:\{[ \t\r\n]*\}[ \t\r\n]*|null[ \t\r\n]*)?")
"""What HTTP libraries send where their user gave nothing to send: white space, `{}`, `null`."""
_CHUNKS: Final = re.compile(rb"(?:0*[1-9A-Fa-f][0-9A-Fa-f]*\r\n[ \t\r\n{}nul]*\r\n)*0+\r\n\r\n")
"""Chunks without extensions and trailers, about which intermediaries have disagreed."""
_LENGTH: Final = re.compile(rb"[0-9]{1,2}")
_JSON_TYPE: Final = re.compile(rb"application/json[ \t]*(?:;.*)?", re.IGNORECASE)
_FRAMING: Final = frozenset(
    {b"content-length", b"content-type", b"transfer-encoding", b"content-encoding", b"expect"}
)


@value(frozen=True, slots=True)
class Request:
    """One request; its body, if it had one, said nothing."""

    scope: Scope
    may_be_followed: bool
    """Whether what comes after it on the connection is another request."""


class RequestReader:
    """The requests of one connection, from pieces of what its client sends.

    `peers` is the part of the ASGI scope that is the connection's: `client` and `server`.
    A reader that has refused something reads nothing more.
    """

    def __init__(self, max_head_bytes: int, peers: Scope) -> None:
        self.requests: deque[Request] = deque()
        self.refusal: str | None = None
        """A reason of `Refusal` for what came after the requests."""
        self._max_head_bytes = max_head_bytes
        self._peers = peers
        self._parser: Any = httptools.HttpRequestParser(self)
        self._place = _BETWEEN
        self._head_bytes = 0
        self._tail = b""
        """The last bytes of an open head, in which its end may have begun."""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._has_body = False
        self._body = b""
        self._body_wire = b""
        """The body as it came, with the frames of its chunks."""
        self._version = ""

    @property
    def is_within_request(self) -> bool:
        """Whether a request has begun and not ended."""
        return self._place != _BETWEEN

    @property
    def origin(self) -> bytes | None:
        """The page's origin, as the last head that has been read names it."""
        return header(self._headers, b"origin")

    def close(self) -> None:
        """Let go of the parser, which refers to the reader."""
        self._parser = None

    def end_of_piece(self, source: bytes | bytearray, at: int, count: int) -> int:
        """Up to where the bytes from `at` on may be fed: to the end of a head, if it is there.

        Only the parser knows where a body ends, so its few bytes are fed one by one.
        """
        if self._place == _IN_BODY:
            return at + 1
        if self._tail:
            split = (self._tail + bytes(source[at : min(at + 3, count)])).find(_END_OF_HEAD)
            if split >= 0:
                return at + split + len(_END_OF_HEAD) - len(self._tail)
        found = source.find(_END_OF_HEAD, at, count)
        return count if found < 0 else found + len(_END_OF_HEAD)

    def feed(self, piece: memoryview) -> None:
        """Take in a piece that `end_of_piece` ends: it shows whether a body follows a head."""
        if self._place == _IN_BODY:
            self._body_wire += piece
            if len(self._body_wire) > _MAX_BODY_BYTES:
                self._refuse(Refusal.BODY)
                return
        else:
            self._head_bytes += len(piece)
            if self._head_bytes > self._max_head_bytes:
                self.refusal = Refusal.HEAD_TOO_LARGE
                return
        tail = self._tail
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError:
            self._refuse(Refusal.BAD_REQUEST)
            return
        self._tail = b""
        if self._place == _IN_BODY:
            if not self._body_wire and not self._may_have_empty_body():
                self._refuse(Refusal.BODY)
        elif self._place == _BETWEEN:
            self._head_bytes = 0
        else:
            self._tail = (tail + bytes(piece[-3:]))[-3:]

    def _refuse(self, reason: str) -> None:
        if self.refusal is None:
            self.refusal = reason

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._place = _IN_HEAD
        self._url = b""
        self._headers = []
        self._has_body = False
        self._body = self._body_wire = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._place = _IN_BODY
        self._version = self._parser.get_http_version()

    def on_chunk_header(self) -> None:
        self._has_body = True

    def on_body(self, body: bytes) -> None:
        self._has_body = True
        self._body += body

    def on_message_complete(self) -> None:
        self._place = _BETWEEN
        if self.refusal is not None:
            return
        # The parser looks for no body behind a wish for another protocol.
        upgrades = self._parser.should_upgrade()
        announced = upgrades and _announces_body(self._headers)
        if announced or (self._has_body and not self._body_is_empty()):
            self.refusal = Refusal.BODY
            return
        scope = self._scope()
        if scope is None:
            self.refusal = Refusal.BAD_REQUEST
            return
        # Whoever asks for another protocol is answered in this one (RFC 9110 §7.8); the bytes after
        # that may be meant as either, so none of them is read as a request.
        follows = self._parser.should_keep_alive() and not upgrades
        self.requests.append(Request(scope, follows and self._version == "1.1"))

    def _may_have_empty_body(self) -> bool:
        """Whether the head announces a short JSON body, framed in a way that has one meaning."""
        framing = [header for header in self._headers if header[0] in _FRAMING]
        framed = dict(framing)
        length = framed.pop(b"content-length", None)
        coding = framed.pop(b"transfer-encoding", None)
        if length is not None:
            is_short = bool(_LENGTH.fullmatch(length)) and int(length) <= _MAX_BODY_BYTES
        else:
            is_short = coding is not None and coding.lower() == b"chunked"
        return (
            is_short
            and len(framing) == 2  # noqa: PLR2004 - each once: a type, and a length or a coding
            and framed.keys() == {b"content-type"}
            and _JSON_TYPE.fullmatch(framed[b"content-type"]) is not None
            and self._parser.get_method() == b"POST"
            and self._version == "1.1"
            and not self._parser.should_upgrade()
        )

    def _body_is_empty(self) -> bool:
        """Whether the body, and the frames of its chunks, are what an empty JSON body may be."""
        is_chunked = len(self._body_wire) != len(self._body)
        return _EMPTY_JSON.fullmatch(self._body) is not None and (
            not is_chunked or _CHUNKS.fullmatch(self._body_wire) is not None
        )

    def _scope(self) -> Scope | None:
        """The request's ASGI scope; None where it breaks a rule that the parser does not know."""
        is_current = self._version == "1.1"
        if not is_current and self._version != "1.0":
            return None
        hosts = [name for name, _ in self._headers].count(b"host")
        if hosts != 1 and (is_current or hosts):
            return None  # RFC 9112 §3.2
        try:
            target = httptools.parse_url(self._url)
            path = target.path.decode("ascii")
        except (httptools.HttpParserInvalidURLError, AttributeError, UnicodeDecodeError):
            return None
        if b"#" in self._url:
            return None  # RFC 9112 §3.2
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": self._version,
            "method": self._parser.get_method().decode("ascii"),
            "scheme": "http",
            "path": unquote(path) if "%" in path else path,
            "raw_path": target.path,
            "query_string": target.query or b"",
            "root_path": "",
            "headers": self._headers,
            **self._peers,
        }


def _announces_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
        for name, value in headers
    )
