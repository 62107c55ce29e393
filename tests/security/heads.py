"""Attacks by heads that are endless, malformed, or not HTTP/1.1 at all."""

import re
from collections.abc import Mapping
from typing import Final

from tests.security.attack import Findings
from tests.security.cases import REFUSED, Case, each_is_answered_once
from tests.security.client import Target, ask

_GET: Final = b"GET /healthz HTTP/1.1\r\n"
_HOST: Final = b"Host: a\r\n"
_CLOSE: Final = _HOST + b"Connection: close\r\n\r\n"
_END: Final = b"\r\n\r\n"
_TAKEN: Final = frozenset({"200"})
_TOO_LARGE: Final = frozenset({"431"})
_PIECE: Final = 50_000

_ODD: Final[Mapping[str, bytes]] = {
    "no host": _GET + b"\r\n",
    "two hosts": _GET + _HOST + b"Host: b" + _END,
    "the same host twice": _GET + _HOST + _HOST + b"\r\n",
    "HTTP/1.0, two hosts": b"GET /healthz HTTP/1.0\r\n" + _HOST + b"Host: b" + _END,
    "HTTP/0.9": b"GET /healthz" + _END,
    "HTTP/1.9": b"GET /healthz HTTP/1.9\r\n" + _CLOSE,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + _END,
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\n" + _HOST + b"\r\n",
    "CONNECT and a request": b"CONNECT a:443 HTTP/1.1\r\n" + _HOST + b"\r\n" + _GET + _CLOSE,
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\n" + _CLOSE,
    "TRACE": b"TRACE /healthz HTTP/1.1\r\n" + _CLOSE,
    "small letters": b"get /healthz HTTP/1.1\r\n" + _CLOSE,
    "bare LF": b"GET /healthz HTTP/1.1\nHost: a\n\n",
    "bare LF in a header": _GET + b"A: b\nHost: a" + _END,
    "bare CR": _GET + b"A: b\rc: d\r\n" + _CLOSE,
    "NUL": _GET + b"A: b\x00c\r\n" + _CLOSE,
    "NUL in the target": b"GET /health\x00z HTTP/1.1\r\n" + _CLOSE,
    "folded": _GET + b"A: b\r\n c\r\n" + _CLOSE,
    "folded host": _GET + b"Host:\r\n a" + _END,
    "blank before the colon": _GET + b"Host : a" + _END,
    "no name": _GET + _HOST + b": b" + _END,
    "no colon": _GET + _HOST + b"nonsense" + _END,
    "bad percent": b"GET /%zz%2 HTTP/1.1\r\n" + _CLOSE,
    "percent NUL": b"GET /requests/%00 HTTP/1.1\r\n" + _CLOSE,
    "percent no UTF-8": b"GET /%ff%c0%af HTTP/1.1\r\n" + _CLOSE,
    "percent slash": b"GET /..%2fhealthz HTTP/1.1\r\n" + _CLOSE,
    "no ASCII": "GET /caf\u00e9 HTTP/1.1\r\n".encode() + _CLOSE,
    "blank in the target": b"GET /heal thz HTTP/1.1\r\n" + _CLOSE,
    "fragment": b"GET /healthz#a HTTP/1.1\r\n" + _CLOSE,
    "no slash": b"GET healthz HTTP/1.1\r\n" + _CLOSE,
    "minus length": _GET + _HOST + b"Content-Length: -1" + _END,
    "plus length": _GET + _HOST + b"Content-Length: +1" + _END,
    "hex length": _GET + _HOST + b"Content-Length: 0x1" + _END,
    "two lengths": _GET + _HOST + b"Content-Length: 0\r\nContent-Length: 5" + _END,
    "a list of lengths": _GET + _HOST + b"Content-Length: 1, 1" + _END,
    "huge length": _GET + _HOST + b"Content-Length: " + b"9" * 40 + _END,
    "chunked, but not last": _GET + _HOST + b"Transfer-Encoding: chunked, identity" + _END,
    "blank and chunked": _GET + _HOST + b"Transfer-Encoding: \x0bchunked" + _END,
    "huge chunk": _GET + _HOST + b"Transfer-Encoding: chunked" + _END + b"f" * 20 + b"\r\n",
}
"""What must not be answered by anything but one refusal."""

_ODD_BUT_TAKEN: Final[Mapping[str, bytes]] = {
    "HTTP/1.0": b"GET /healthz HTTP/1.0" + _END,
    "absolute form": b"GET http://a/healthz HTTP/1.1\r\n" + _CLOSE,
    "empty lines before": b"\r\n\r\n" + _GET + _CLOSE,
    "no length": _GET + b"Content-Length: 0\r\n" + _CLOSE,
}
"""What a server must understand, or does no harm (RFC 9112 §2.2, §3.2.2)."""


async def odd_heads(target: Target, _seconds: float) -> Findings:
    """Malformed and unusual requests, each in one segment and in three."""
    cases = [
        Case(name, segments, expected)
        for requests, expected in ((_ODD, REFUSED), (_ODD_BUT_TAKEN, _TAKEN))
        for name, request in requests.items()
        for segments in ((request,), (request[:5], request[5:-3], request[-3:]))
    ]
    return await each_is_answered_once(target, cases)


async def endless_heads(target: Target, _seconds: float) -> Findings:
    """A megabyte of path, of one header, of headers, and 100,000 headers with an end."""
    heads = {
        "path": b"GET /" + b"x" * 1_000_000,
        "header": _GET + b"X: " + b"y" * 1_000_000,
        "headers": _GET + b"A: b\r\n" * 160_000,
        "100,000 headers": _GET + b"A: b\r\n" * 100_000 + _CLOSE,
        "1 MB path": b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\n" + _CLOSE,
    }
    cases = [
        Case(
            name,
            [head[at : at + _PIECE] for at in range(0, len(head), _PIECE)],
            _TOO_LARGE,
            may_be_cut=True,
        )
        for name, head in heads.items()
    ]
    return await each_is_answered_once(target, cases)


async def refusals_are_counted(target: Target, _seconds: float) -> Findings:
    """Each refusal raises its own figure."""
    heads = {
        "head_too_large": _GET + b"X: " + b"y" * 100_000,
        "bad_request": _GET + b"\r\n",
        "body": _GET + _HOST + b"Content-Length: 1" + _END,
    }
    before = await _figures(target)
    for head in heads.values():
        await ask(target, head, seconds=target.patience_s)
    after = await _figures(target)
    raised = {reason: after.get(reason, 0.0) - before.get(reason, 0.0) for reason in heads}
    faults = [f"{reason}: +{by:g}" for reason, by in raised.items() if by < 1]
    return Findings("one of each", ", ".join(f"{r} +{by:g}" for r, by in raised.items()), faults)


async def _figures(target: Target) -> dict[str, float]:
    heard = await ask(target, b"GET /metrics HTTP/1.1\r\n" + _CLOSE, seconds=target.patience_s)
    found = re.findall(rb'ingest_refused_total\{reason="(\w+)"\} (\S+)', heard.data)
    return {reason.decode(): float(value) for reason, value in found}
