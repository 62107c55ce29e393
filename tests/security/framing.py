"""Attacks on where a request ends: what follows it must never be taken for another one."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from local.faults.http1 import Message
from tests.security.attack import Findings
from tests.security.cases import Case, each_is_answered_once
from tests.security.client import SEGMENT_S, Client, Target, connect, connected, counted

_SMUGGLED: Final = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
_HEALTH: Final = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
_HEALTHY: Final = b'{"status":"ok"}'
_LENGTH: Final = f"Content-Length: {len(_SMUGGLED)}"
_CHUNKED: Final = "Transfer-Encoding: chunked"
_CHUNKS: Final = b"%x\r\n%b\r\n0\r\n\r\n" % (len(_SMUGGLED), _SMUGGLED)
_JSON: Final = "Content-Type: application/json"
_EMPTY_CHUNKS: Final = b"2\r\n{}\r\n0\r\n\r\n"
_PLACES: Final = (
    ("POST", "/requests/x"),
    ("GET", "/requests/x"),
    ("POST", "/events/event-1/participations"),
    ("PUT", "/events/event-1/participations"),
    ("GET", "/me/participations"),
    ("GET", "/healthz"),
    ("POST", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("DELETE", "/openapi.json"),
    ("POST", "/nowhere"),
    ("HEAD", "/nowhere/else"),
)
"""Methods and paths: taken, 405 and 404."""


def _head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()


def _wish(protocol: str) -> Sequence[str]:
    return "Connection: Upgrade", f"Upgrade: {protocol}"


def _cut(head: bytes, body: bytes) -> Iterable[Sequence[bytes]]:
    return (head + body,), (head, body), (head[:-1], head[-1:], body[:1], body[1:])


async def upgrade_with_body(target: Target, _seconds: float) -> Findings:
    """A wish for another protocol, with a body that is a request: both together, and apart."""
    cases = [
        Case(f"{method} {path} ({protocol})", segments)
        for method, path in _PLACES
        for protocol in ("x", "websocket", "h2c")
        for segments in _cut(_head(method, path, *_wish(protocol), _LENGTH), _SMUGGLED)
    ]
    return await each_is_answered_once(target, cases)


async def upgrade_without_body(target: Target, _seconds: float) -> Findings:
    """A wish for another protocol is answered in this one; what follows is not read."""
    h2c = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    cases = [
        Case(lines[1], segments, frozenset({"200"}))
        for lines in (_wish("x"), _wish("websocket"), h2c)
        for segments in _cut(_head("GET", "/healthz", *lines), _SMUGGLED)
    ]
    return await each_is_answered_once(target, cases)


async def upgrade_behind_a_proxy(target: Target, _seconds: float) -> Findings:
    """Behind a proxy that keeps its connection, the next caller gets its own answer."""
    found: list[str] = []
    for method, path in _PLACES[:-1]:  # a HEAD's answer would have to be read otherwise
        proxy = _Proxy(target)
        await proxy.pass_on(_head(method, path, *_wish("x"), _LENGTH), _SMUGGLED)
        await asyncio.sleep(SEGMENT_S)
        answer = await proxy.pass_on(_HEALTH)
        proxy.close()
        found.append("own" if answer is not None and answer.body == _HEALTHY else "another's")
    faults = ["the next caller got another's answer"] if "another's" in found else []
    return Findings(f"{len(found)} requests, and after each /healthz", counted(found), faults)


class _Proxy:
    """A reverse proxy's side towards the server: it keeps its connection as long as it may."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._upstream: Client | None = None

    async def pass_on(self, *segments: bytes) -> Message | None:
        """Pass a request on, and return the answer; None where there is none."""
        if self._upstream is None:
            self._upstream = await connect(self._target)
        await self._upstream.send(*segments)
        answer = await self._upstream.answer(self._target.patience_s)
        if answer is None or (answer.header("Connection") or "").lower() == "close":
            self.close()
        return answer

    def close(self) -> None:
        """Drop the connection."""
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None


async def bodies(target: Target, _seconds: float) -> Findings:
    """Bodies, framed in every way, to every path."""
    framings = {
        "length": ((_LENGTH,), _SMUGGLED),
        "chunked": ((_CHUNKED,), _CHUNKS),
        "both": ((_LENGTH, _CHUNKED), _CHUNKS),
        "both, and no chunk": ((_LENGTH, _CHUNKED), b"0\r\n\r\n" + _SMUGGLED),
        "expected": ((_LENGTH, "Expect: 100-continue"), _SMUGGLED),
        "coded": (("Transfer-Encoding: gzip, chunked",), _CHUNKS),
    }
    cases = [
        Case(f"{name} {method} {path} {kind}", segments)
        for method, path in _PLACES
        for name, (lines, body) in framings.items()
        for kind in ([], [_JSON])
        for segments in _cut(_head(method, path, *kind, *lines), body)
    ]
    return await each_is_answered_once(target, cases)


async def empty_bodies(target: Target, _seconds: float) -> Findings:
    """Empty JSON bodies whose end two readers may see in two places, and a request behind them."""
    bodies = {
        "two lengths": (("Content-Length: 2", "Content-Length: 2"), b"{}"),
        "a list of lengths": (("Content-Length: 2, 2",), b"{}"),
        "a signed length": (("Content-Length: +2",), b"{}"),
        "length and chunked": (("Content-Length: 2", _CHUNKED), _EMPTY_CHUNKS),
        "chunked and length": ((_CHUNKED, "Content-Length: 12"), _EMPTY_CHUNKS),
        "chunked twice": ((_CHUNKED, _CHUNKED), _EMPTY_CHUNKS),
        "a coding before": (("Transfer-Encoding: gzip, chunked",), _EMPTY_CHUNKS),
        "a coding behind": (("Transfer-Encoding: chunked, identity",), _EMPTY_CHUNKS),
        "a coding's extension": (("Transfer-Encoding: chunked;a=b",), _EMPTY_CHUNKS),
        "a chunk's extension": ((_CHUNKED,), b"2;a=b\r\n{}\r\n0\r\n\r\n"),
        "a last chunk's extension": ((_CHUNKED,), b"2\r\n{}\r\n0;a\r\n\r\n"),
        "a trailer": ((_CHUNKED,), b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n"),
        "a bare line feed": ((_CHUNKED,), b"2\n{}\r\n0\r\n\r\n"),
        "a bare line feed at the end": ((_CHUNKED,), b"2\r\n{}\r\n0\r\n\n"),
        "a short chunk": ((_CHUNKED,), b"1\r\n{}\r\n0\r\n\r\n"),
        "a huge chunk": ((_CHUNKED,), b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
        "an expectation": (("Content-Length: 2", "Expect: 100-continue"), b"{}"),
        "another protocol": (("Content-Length: 2", *_wish("h2c")), b"{}"),
    }
    cases = [
        Case(f"{name} {path}", segments)
        for path in ("/requests/x", "/events/event-1/participations", "/healthz", "/nowhere")
        for name, (lines, body) in bodies.items()
        for segments in _cut(_head("POST", path, _JSON, *lines), body + _SMUGGLED)
    ]
    return await each_is_answered_once(target, cases)


async def empty_bodies_behind_a_proxy(target: Target, _seconds: float) -> Findings:
    """Behind a proxy, whoever comes after an empty JSON body gets its own answer."""
    bodies = (("Content-Length: 2", b"{}"), (_CHUNKED, _EMPTY_CHUNKS), (_CHUNKED, b"0\r\n\r\n"))
    places = ("/events/event-1/participations", "/requests/x", "/nowhere")
    cases = [(p, line, body) for p in places for line, body in bodies]
    found: list[str] = []
    for path, line, body in cases:
        proxy = _Proxy(target)
        first = await proxy.pass_on(_head("POST", path, _JSON, line), body[:1], body[1:])
        answer = await proxy.pass_on(_HEALTH)
        proxy.close()
        are_own = first is not None and answer is not None and answer.body == _HEALTHY
        found.append("own" if are_own else "another's")
    faults = ["the next caller got another's answer"] if "another's" in found else []
    return Findings(f"{len(cases)} requests, and after each /healthz", counted(found), faults)


async def dripping_bodies(target: Target, _seconds: float) -> Findings:
    """Bodies that arrive at a few bytes a second: nobody waits for their end."""
    heads = [_head(method, path, "Content-Length: 9999") for method, path in _PLACES]

    async def drip(head: bytes) -> tuple[str, bool]:
        async with connected(target) as client:
            await client.send(head)
            data, waited_s = b"", 0.0
            while waited_s < target.patience_s:
                await client.send(b"x")
                heard = await client.rest(0.2)
                data, waited_s = data + heard.data, waited_s + 0.2
                if heard.has_ended:
                    break
            return data[9:12].decode() or "none", heard.has_ended

    dripped = await asyncio.gather(*map(drip, heads))
    found = [status for status, _ in dripped]
    faults = [f"answered {counted(found)}"] if {status[0] for status in found} != {"4"} else []
    left = sum(not has_ended for _, has_ended in dripped)
    if left:
        faults.append(f"{left} left open after {target.patience_s:g} s")
    return Findings(f"{len(heads)} bodies, 5 bytes a second", counted(found), faults)


async def click_and_garbage(target: Target, _seconds: float) -> Findings:
    """Garbage pipelined behind a click: the click's answer, then 400, then the end."""
    return await _answered(
        target,
        {
            name: (segments, [target.click_status, 400])
            for name, segments in {
                "in one segment": (target.click + b"\x00garbage\r\n\r\n",),
                "in two": (target.click, b"\x00garbage\r\n\r\n"),
            }.items()
        },
        half_close=False,
    )


async def half_closed(target: Target, _seconds: float) -> Findings:
    """Who ends its side right after its clicks reads all answers."""
    return await _answered(
        target,
        {
            "a click": ((target.click,), [target.click_status]),
            "three clicks": ((target.click * 3,), [target.click_status] * 3),
        },
        half_close=True,
    )


async def many_pipelined(target: Target, _seconds: float) -> Findings:
    """3,000 honest requests of 90 bytes in a row are no large head."""
    bare = _head("GET", "/healthz", "X-Pad: ")
    request = bare.replace(b"X-Pad: ", b"X-Pad: " + b"p" * (90 - len(bare)))
    last = _head("GET", "/healthz", "Connection: close")
    async with connected(target) as client:
        # The answers are read meanwhile: else the client would be deaf.
        _, heard = await asyncio.gather(
            client.send(request * 2_999 + last), client.rest(4 * target.patience_s)
        )
    found = counted(await heard.statuses())
    faults = [] if found == "200 x3000" and heard.has_ended else [f"answered {found}"]
    return Findings(f"3,000 x {len(request)} bytes", found, faults)


async def _answered(
    target: Target,
    cases: dict[str, tuple[Sequence[bytes], Sequence[int]]],
    *,
    half_close: bool,
) -> Findings:
    """Each must be answered in order, and its connection end."""
    found, faults = [], []
    for name, (segments, expected) in cases.items():
        async with connected(target) as client:
            await client.send(*segments)
            if half_close:
                client.half_close()
            heard = await client.rest(target.patience_s)
        statuses = await heard.statuses()
        found += statuses
        if statuses != expected or not heard.has_ended:
            faults.append(f"{name}: {counted(statuses) or 'no answer'}")
    return Findings(", ".join(cases), counted(found), faults)
