"""Whatever arrives, in whatever pieces: nothing breaks, and what is taken h11 takes as well."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import h11
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ingest.asgi import Scope
from ingest.http1.bounds import Refusal
from ingest.http1.requests import RequestReader
from tests.ingest.http1.wire import BOUNDS, cut, get, opened
from tests.virtual_time import run

EXAMPLES: Final = 200
ALONE: Final[Scope] = {}

JSON: Final = "Content-Type: application/json"
CHUNKED: Final = "Transfer-Encoding: chunked"
EMPTY: Final = (b"{}", b"null", b" ", b"\r\n{ }\r\n", b"\t{\n}")

GOOD: Final[Mapping[str, Sequence[Any]]] = {
    "method": ["GET", "POST", "HEAD", "DELETE", "OPTIONS"],
    "target": ["/", "/a?b=c", "/%61%zz", "http://a/b?c", "//b"],
    "version": ["HTTP/1.1"],
    "line": [
        "Accept: b",
        "A:",
        "A: \tb\t",
        "A: \u00e9",
        "Connection: keep-alive",
        "Content-Length: 0",
        "Expect: 100-continue",
        "Upgrade: websocket",
        JSON,
    ],
    "end": ["\r\n"],
    "body": [b""],
}
ODD: Final[Mapping[str, Sequence[Any]]] = {
    "method": ["CONNECT", "PRI", "get", "G T", ""],
    "target": ["/a#b", "*", "a:443", "/\u00e9", "", "/a b"],
    "version": ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", ""],
    "line": [
        "host:b",
        "Connection: close",
        "Connection: Upgrade",
        "Content-Length: 2",
        "Content-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        " folded",
        "A : b",
        "A: b\x00c",
        "A: b\x01c",
        "A: b\rc",
        "A: b\nc",
        "A\u00e9: b",
        "(A): b",
        ": b",
        "nonsense",
        "A: " + "b" * 1_500,
    ],
    "end": ["\n", "\r", "\r\r\n"],
    "body": [
        b"hello",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"{}",
        b"2\r\n{}\r\n0\r\n\r\n",
        get("/smuggled"),
        b"\x00",
    ],
}


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request: mostly a right one, else one that is odd in one or two ways."""
    kinds = [*ODD, *[None] * 2 * len(ODD)]
    odd = draw(st.sampled_from(kinds)), draw(st.sampled_from(kinds))

    def part(name: str) -> Any:
        return draw(st.sampled_from((ODD if name in odd else GOOD)[name]))

    lines = [part("line") for _ in range(draw(st.integers(0, 4)))]
    lines.insert(0, "Host: a")
    end = part("end")
    first = f"{part('method')} {part('target')} {part('version')}"
    head: str = end.join([first, *lines, "", ""])
    return head.encode() + bytes(part("body"))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Requests in a row, and now and then with bytes changed."""
    data = bytearray(b"".join(draw(st.lists(requests(), min_size=1, max_size=4))))
    most = draw(st.sampled_from([0, 3]))
    for place in draw(st.lists(st.integers(0, len(data) - 1), max_size=most)):
        data[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


STREAMS = mutated() | st.binary(max_size=200)
CUTS = st.lists(st.integers(0, 5_000), max_size=12)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a server made of a client's bytes."""

    asked: Sequence[Scope]
    heard: bytes
    has_ended: bool
    refusals: dict[str, int]


def serve(pieces: Sequence[bytes]) -> Taken:
    """Let them arrive one by one, and then wait until nothing more is under way."""

    async def main() -> Taken:
        async with opened() as house:
            wire = house.connect()
            for piece in pieces:
                wire.arrive(piece)
                assert len(wire.connection._unread) <= BOUNDS.head_bytes
                assert len(wire.connection._reader.requests) <= 1
                await asyncio.sleep(0)
            await asyncio.sleep(1)
            taken = Taken(house.asked, wire.heard, wire.has_ended, dict(house.refusals))
            await asyncio.sleep(200)
            assert wire.is_lost
        return taken

    taken: list[Taken] = []

    async def keep() -> None:
        taken.append(await main())

    run(keep)
    return taken[0]


@settings(max_examples=EXAMPLES)
@given(STREAMS, CUTS)
def test_the_pieces_in_which_it_arrives_change_nothing(data: bytes, places: list[int]) -> None:
    whole, pieces = serve([data]), serve(cut(data, places))

    assert whole.refusals.keys() <= set(Refusal.ALL)
    if Refusal.HEAD_TOO_LARGE in {*whole.refusals, *pieces.refusals}:
        # Where such a head is malformed as well, the pieces decide what shows first.
        assert (pieces.asked, pieces.has_ended) == (whole.asked, whole.has_ended)
    else:
        assert pieces == whole


@given(st.integers(BOUNDS.head_bytes - 200, BOUNDS.head_bytes + 200), CUTS)
def test_a_head_may_be_as_long_as_the_bound_however_it_arrives(
    length: int, places: list[int]
) -> None:
    head = get("/", "A: " + "b" * (length - len(get("/", "A: "))))
    taken = serve(cut(get("/") + head, places))

    if length <= BOUNDS.head_bytes:
        assert (len(taken.asked), taken.refusals) == (2, {})
    else:
        assert (len(taken.asked), taken.refusals) == (1, {Refusal.HEAD_TOO_LARGE: 1})


@settings(max_examples=EXAMPLES)
@given(STREAMS)
def test_each_request_has_one_answer_and_a_refusal_is_the_last(data: bytes) -> None:
    taken = serve([data])

    answers = taken.heard.split(b"HTTP/1.1 ")[1:]
    assert [answer[:4] for answer in answers[: len(taken.asked)]] == [b"200 "] * len(taken.asked)
    assert len(answers) == len(taken.asked) + sum(taken.refusals.values())
    assert not taken.refusals or taken.has_ended


def reference(data: bytes) -> list[h11.Request]:
    """The requests that h11 finds, answering each, until it takes no more."""
    found: list[h11.Request] = []
    try:
        while True:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
            # Empty lines before a request may be passed over (RFC 9112 §2.2); h11 never does.
            connection.receive_data(data.lstrip(b"\r\n"))
            request = connection.next_event()
            if not isinstance(request, h11.Request):
                return found
            found.append(request)
            while isinstance(connection.next_event(), h11.Data):
                pass
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            data = connection.trailing_data[0]
            connection.start_next_cycle()
    except (h11.RemoteProtocolError, h11.LocalProtocolError):
        return found


def as_reference(scope: Scope) -> tuple[Any, ...]:
    """What both say of a request; httptools leaves the tabs behind a value, as nobody minds."""
    headers = [(name, value.rstrip(b"\t ")) for name, value in scope["headers"]]
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return scope["method"], scope["raw_path"] + query, headers


def _path(target: bytes) -> bytes:
    """The absolute form's path stands for it, and an empty query is none."""
    return re.sub(rb"^[a-z]+://[^/?]*|\?$", b"", target)


@settings(max_examples=EXAMPLES)
@given(mutated())
def test_what_is_taken_is_what_h11_takes(data: bytes) -> None:
    # More than one space in a request line may be passed over (RFC 9112 §3); h11 never does.
    assume(b"  " not in data)
    taken = [as_reference(scope) for scope in serve([data]).asked]

    expected = [
        (request.method.decode(), _path(request.target), list(request.headers))
        for request in reference(data)
    ]
    assert taken == expected[: len(taken)]


@settings(max_examples=EXAMPLES)
@given(STREAMS, CUTS)
@example(b"G" * 10_000, [])
def test_a_reader_never_raises_and_never_takes_more_than_a_head(
    data: bytes, places: list[int]
) -> None:
    reader = RequestReader(1_000, ALONE)
    for piece in cut(data, places):
        if reader.refusal is None:
            reader.feed(memoryview(piece))
        assert sum(len(n) + len(v) for n, v in reader._headers) + len(reader._url) <= 1_000
    reader.close()


@pytest.mark.parametrize("line", ["Content-Length: 5", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_body_is_refused_before_it_comes_and_beside_a_wish_for_another_protocol(
    method: str, line: str
) -> None:
    wish = ("Connection: Upgrade", "Upgrade: x")

    for lines in ((line,), (*wish, line), (line, *wish)):
        taken = serve([get("/", *lines, method=method)])
        assert (list(taken.asked), taken.refusals) == ([], {Refusal.BODY: 1})


def with_length(body: bytes, *lines: str, method: str = "POST") -> bytes:
    return get("/", JSON, f"Content-Length: {len(body)}", *lines, method=method) + body


def chunked(*chunks: bytes, lines: Sequence[str] = (JSON, CHUNKED), method: str = "POST") -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return get("/", *lines, method=method) + framed + b"0\r\n\r\n"


@pytest.mark.parametrize("body", EMPTY)
@pytest.mark.parametrize("content_type", [JSON, "content-type:APPLICATION/json; charset=utf-8"])
def test_an_empty_json_body_is_none_and_the_next_request_follows(
    body: bytes, content_type: str
) -> None:
    length = f"Content-Length: {len(body)}"
    whole = get("/", content_type, length, method="POST") + body
    chunks = filter(None, (body[:1], body[1:]))
    data = whole + chunked(*chunks, lines=(content_type, CHUNKED)) + get("/next")

    for pieces in ([data], [data[:1], data[1:]], [bytes([byte]) for byte in data]):
        taken = serve(pieces)
        assert [scope["path"] for scope in taken.asked] == ["/", "/", "/next"], pieces
        assert taken.refusals == {}


SMUGGLED: Final = get("/smuggled")
NOT_EMPTY: Final[Mapping[str, bytes]] = {
    "a value": with_length(b'{"a":1}'),
    "an array": with_length(b"[]"),
    "two values": with_length(b"{}{}"),
    "half a value": with_length(b"{"),
    "a form feed": with_length(b"\x0c{}"),
    "a request": with_length(SMUGGLED),
    "too many blanks": with_length(b" " * 33),
    "too many chunks": chunked(*[b" "] * 6),
    "a value in chunks": chunked(b'{"a"', b":1}"),
    "another method": with_length(b"{}", method="PUT"),
    "a GET": with_length(b"{}", method="GET"),
    "another type": get("/", "Content-Type: text/plain", "Content-Length: 2", method="POST")
    + b"{}",
    "no type": get("/", "Content-Length: 2", method="POST") + b"{}",
    "two types": with_length(b"{}", JSON),
    "a longer type": get("/", JSON + "x", "Content-Length: 2", method="POST") + b"{}",
    "a coding of the content": with_length(b"{}", "Content-Encoding: identity"),
    "an expectation": with_length(b"{}", "Expect: 100-continue"),
    "another protocol": with_length(b"{}", "Connection: Upgrade", "Upgrade: x"),
    "two codings": chunked(b"{}", lines=(JSON, "Transfer-Encoding: gzip, chunked")),
    "two lines of coding": chunked(b"{}", lines=(JSON, CHUNKED, CHUNKED)),
    "a coding like it": chunked(b"{}", lines=(JSON, "Transfer-Encoding: xchunked")),
    "a coding in quotes": chunked(b"{}", lines=(JSON, 'Transfer-Encoding: "chunked"')),
    "a length and a coding": chunked(b"{}", lines=(JSON, "Content-Length: 2", CHUNKED)),
    "a coding and a length": chunked(b"{}", lines=(JSON, CHUNKED, "Content-Length: 12")),
    "two equal lengths": get("/", JSON, *["Content-Length: 2"] * 2, method="POST") + b"{}",
    "a list of lengths": get("/", JSON, "Content-Length: 2, 2", method="POST") + b"{}",
    "a signed length": get("/", JSON, "Content-Length: +2", method="POST") + b"{}",
    "a long length": get("/", JSON, "Content-Length: 002", method="POST") + b"{}",
    "a chunk's extension": get("/", JSON, CHUNKED, method="POST") + b"2;a=b\r\n{}\r\n0\r\n\r\n",
    "the last chunk's extension": get("/", JSON, CHUNKED, method="POST")
    + b"2\r\n{}\r\n0;a\r\n\r\n",
    "a trailer": get("/", JSON, CHUNKED, method="POST") + b"2\r\n{}\r\n0\r\nA: b\r\n\r\n",
    "a chunk's line without CR": get("/", JSON, CHUNKED, method="POST") + b"2\n{}\r\n0\r\n\r\n",
    "a chunk's blank": get("/", JSON, CHUNKED, method="POST") + b"2 \r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": get("/", JSON, CHUNKED, method="POST") + b"1\r\n{}\r\n0\r\n\r\n",
    "HTTP/1.0": with_length(b"{}").replace(b"HTTP/1.1", b"HTTP/1.0"),
}
"""Bodies that say something, or whose end two readers may see in two places."""


@pytest.mark.parametrize("name", NOT_EMPTY)
def test_any_other_body_is_refused_and_what_follows_is_no_request(name: str) -> None:
    data = NOT_EMPTY[name] + SMUGGLED

    for pieces in ([data], [bytes([byte]) for byte in data]):
        taken = serve(pieces)
        assert list(taken.asked) == []
        assert taken.refusals in ({Refusal.BODY: 1}, {Refusal.BAD_REQUEST: 1})
        assert taken.has_ended


def test_a_body_that_is_too_long_is_refused_before_it_comes() -> None:
    for head in (with_length(b" " * 33)[:-33], with_length(b"x" * 2**20)[: -(2**20)]):
        assert serve([head]).refusals == {Refusal.BODY: 1}


def test_a_length_of_zero_is_no_body() -> None:
    taken = serve([get("/", "Content-Length: 0") + get("/", "Upgrade: x", "Content-Length: 0")])

    assert (len(taken.asked), taken.refusals) == (2, {})


@pytest.mark.parametrize("target", ["/a#b", "a:443", "", "/\u00e9", "/a\x00"])
def test_a_target_that_is_no_path_is_refused(target: str) -> None:
    taken = serve([get(target)])

    assert (list(taken.asked), taken.refusals) == ([], {Refusal.BAD_REQUEST: 1})


@pytest.mark.parametrize(
    ("version", "hosts", "is_taken"),
    [
        ("1.1", [], False),
        ("1.1", ["a"], True),
        ("1.1", ["a", "a"], False),
        ("1.1", ["a", "b"], False),
        ("1.0", [], True),
        ("1.0", ["a", "b"], False),
    ],
)
def test_there_is_one_host(version: str, hosts: list[str], *, is_taken: bool) -> None:
    lines = [f"GET / HTTP/{version}", *(f"Host: {host}" for host in hosts), "", ""]

    assert bool(serve(["\r\n".join(lines).encode()]).asked) == is_taken


def test_the_absolute_form_is_taken_for_its_path() -> None:
    [scope] = serve([get("http://b/%61?c=d")]).asked

    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a", b"/%61", b"c=d")
