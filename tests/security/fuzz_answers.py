"""Spoilt answers for the lean client's reader, judged by h11.

By hand: `python -m tests.security.fuzz_answers --count 1000000 --seed 1`.

What our reader takes, h11 must take as well, with the same status, headers and body; it may refuse
what h11 takes. However an answer is cut into segments, the verdict is the same.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from time import perf_counter
from typing import Final, TypeAlias

import h11
from botocore.exceptions import BotoCoreError

from aws.lean.answer import Answer, AnswerReader

_PLENTY: Final = 1_000_000
_BODIES: Final = (
    *(b"", b"{}", b'{"Responses":[]}', b'{"__type":"a#B","message":"\xc3\xa9"}\r\n', b"0\r\n\r\n"),
)
_STATUSES: Final = (
    *(b"200 OK", b"200 OK", b"400 Bad Request", b"500", b"503 ", b"204 No Content", b"304 -"),
)
_HEADERS: Final = (
    b"Server: Server",
    b"Date: Mon, 17 Nov 2025 12:00:00 GMT",
    b"Content-Type: application/x-amz-json-1.0",
    b"x-amzn-RequestId: ABCDEF0123456789",
    b"Connection: keep-alive",
    b"connection: close",
    b"X-Empty:",
    b"X-Blank: \t a  b \t",
)
_INTERIM: Final = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
)
_SCRAPS: Final = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b"\x0b", b"\x7f", b"\x80", b"\xff", b" ", b"\t"),
    *(b":", b";", b",", b"0", b"1", b"-", b"+", b"0x", b"_", b"a", b"F", b"close", b"chunked"),
    *(b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/2.0 ", b"RTSP/1.0 ", b" 200 ", b"101", b"gzip, ", b"2 3"),
    *(b"0\r\n\r\n", b"5\r\n", b";a=b", b"\r\n folded", b"\r\nContent-Length:"),
    *(b"\r\nContent-Length: 2", b"\r\ncontent-length: 3, 3", b"\r\nTransfer-Encoding: chunked"),
    *(b"\r\nTransfer-Encoding: identity", b"\r\nUpgrade: x\r\nConnection: upgrade"),
    *(b"HTTP/1.1 101 -\r\n\r\n", b"HTTP/1.1 100 -\r\n\r\n"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
)

_NAMES: Final = {
    (True, True): "taken by both",
    (False, True): "refused by ours alone",
    (False, False): "refused by both",
    (True, False): "taken by ours alone",
}

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer that was taken, and how many bytes it had; None where it was refused."""

    taken: tuple[int, Headers, bytes] | None
    keeps: bool = False
    used: int = 0


REFUSED: Final = Verdict(None)


def ours(segments: Sequence[bytes]) -> Verdict:
    """Our reader's verdict; incomplete is refused."""
    reader, used = AnswerReader(), 0
    for segment in segments:
        used += len(segment)
        try:
            answer = reader.feed(segment)
        except BotoCoreError:
            return REFUSED
        if answer is not None:
            return Verdict((answer.status, _headers(answer), answer.body), reader.keeps, used)
    return REFUSED


def _headers(answer: Answer) -> Headers:
    lines = [line.partition(b":") for line in answer.headers.split(b"\r\n")[1:]]
    return _normal((name, value.strip(b" \t")) for name, _, value in lines)


def _normal(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers as h11 has them: names, and the name of the coding, in lower case."""
    lower = [(name.lower(), value) for name, value in headers]
    return [(n, v.lower() if n == b"transfer-encoding" else v) for n, v in lower]


def reference(received: bytes) -> Verdict:
    """H11's verdict on one whole answer with nothing behind it."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_PLENTY)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(received)
    responses, body = [], b""
    try:
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Response):
                responses.append(event)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif not isinstance(event, h11.InformationalResponse):
                break
    except h11.RemoteProtocolError:
        return REFUSED
    if not isinstance(event, h11.EndOfMessage) or connection.trailing_data[0]:
        return REFUSED
    (response,) = responses
    keeps = connection.their_state is h11.DONE and connection.our_state is h11.DONE
    found = (response.status_code, _normal(response.headers), body)
    return Verdict(found, keeps, len(received))


def expectation(found: Verdict, received: bytes) -> Verdict:
    """H11's verdict on what our reader has seen: behind an answer, no more."""
    return reference(received[: found.used] if found.taken else received)


def is_wrong(found: Verdict, expected: Verdict) -> bool:
    """Whether ours takes what h11 takes for something else, or keeps what it would close."""
    if found.taken is None:
        return False
    return found.taken != expected.taken or (found.keeps and not expected.keeps)


def answer(random: Random) -> bytes:
    """A well-formed answer."""
    body = random.choice(_BODIES) * random.choice((1, 1, 1, 3))
    headers = random.sample(_HEADERS, random.randrange(len(_HEADERS)))
    if random.random() < 0.5:
        headers.insert(random.randrange(len(headers) + 1), b"Content-Length: %d" % len(body))
    else:
        headers.insert(random.randrange(len(headers) + 1), b"Transfer-Encoding: chunked")
        body = b"".join(map(_chunk, segments(random, body))) + b"0\r\n"
        body += random.choice((b"", b"", b"X-Trailer: 1\r\n")) + b"\r\n"
    interim = random.choice(_INTERIM) if random.random() < 0.1 else b""
    status = random.choice(_STATUSES)
    if status.startswith((b"204", b"304")):
        body = b""
    lines = [b"HTTP/1.1 " + status, *headers, b"", body]
    return interim + b"\r\n".join(lines)


def _chunk(data: bytes) -> bytes:
    return b"%x;a=b\r\n%b\r\n" % (len(data), data) if data else b""


def spoilt(random: Random) -> bytes:
    """An answer, cut, torn, repeated or mutated up to four times."""
    received = answer(random)
    for _ in range(random.randrange(5)):
        begin, end = sorted(random.randrange(len(received) + 1) for _ in range(2))
        match random.randrange(8):
            case 0:
                received = received[:begin]
            case 1:
                received = received[:begin] + received[end:]
            case 2:
                received = received[:end] + received[begin:]
            case 3:
                received += answer(random)[:end]
            case 4:
                changed = bytes([random.randrange(256)])
                received = received[:begin] + changed + received[begin + 1 :]
            case 5:
                received = received[:begin] + received[begin:end].swapcase() + received[end:]
            case _:
                # Where framing is decided: behind a line break or a blank.
                places = [i for i, c in enumerate(received) if c in b"\r\n :"] or [begin]
                at = random.choice((begin, random.choice(places)))
                received = received[:at] + random.choice(_SCRAPS) + received[at:]
    return received


def segments(random: Random, data: bytes) -> Sequence[bytes]:
    """The same bytes in pieces."""
    count = random.choice((0, 0, 1, 2, 3, len(data)))
    cuts = sorted({0, len(data), *(random.randrange(len(data) + 1) for _ in range(count))})
    return [data[begin:end] for begin, end in pairwise(cuts)]


@dataclass(frozen=True, slots=True)
class Case:
    """One spoilt answer and what becomes of it."""

    pieces: Sequence[bytes]
    found: Verdict
    expected: Verdict


def case(random: Random) -> Case:
    """Make one and judge it."""
    received = spoilt(random)
    pieces = segments(random, received)
    found = ours(pieces)
    return Case(pieces, found, expectation(found, received))


def main() -> int:
    """Judge many; print the figures, and each wrong answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random, figures, began_s = Random(arguments.seed), Counter[str](), perf_counter()
    for _ in range(arguments.count):
        judged = case(random)
        by = (bool(judged.found.taken), bool(judged.expected.taken))
        figures[_NAMES[by]] += 1
        if is_wrong(judged.found, judged.expected):
            figures["wrong"] += 1
            print(f"wrong: {judged}")
    rate = arguments.count / (perf_counter() - began_s)
    print(*(f"{figures[name]:,} {name}" for name in (*_NAMES.values(), "wrong")), sep=", ")
    print(f"{rate:,.0f} answers a second")
    return 1 if figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
