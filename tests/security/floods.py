"""Attacks by mass: more requests, answers, connections or log lines than one should cause."""

import asyncio
from asyncio import StreamReader
from collections import Counter
from statistics import median
from time import monotonic
from typing import Final

from tests.security.attack import Findings
from tests.security.client import Client, Target, connected, counted, crowd

_PIPELINED: Final = b"GET /none HTTP/1.1\r\nHost: me\r\n\r\n" * 1_000
_DESCRIBE: Final = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000
_HEALTH: Final = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
_STATUS: Final = b"HTTP/1.1 "
_SMALL_BUFFER: Final = 4_096


async def pipelining(target: Target, seconds: float) -> Findings:
    """One client sends 32-byte requests in pieces of 1,000, and reads the answers."""
    async with connected(target) as client:
        sent, found = await asyncio.gather(
            _send_on(client, _PIPELINED, seconds), _count(client.reader, seconds)
        )
    faults = [f"answered {status}" for status in found if status != "404"]
    if not found:
        faults.append("no answer")
    return Findings(f"{sent} pieces of 1,000", _times(found), faults)


async def deaf_pipelining(target: Target, seconds: float) -> Findings:
    """40 clients pipeline; 4 of them read."""
    async with crowd(target, 40) as clients:
        readers, deaf = clients[:4], clients[4:]
        for client in deaf:
            client.deafen()
        counts, sent = await asyncio.gather(
            asyncio.gather(*(_count(client.reader, seconds) for client in readers)),
            asyncio.gather(*(_send_on(client, _PIPELINED, seconds) for client in clients)),
        )
    found = sum(counts, Counter())
    faults = [] if all(counts) else ["a client that reads got no answer"]
    return Findings(f"{sum(sent)} pieces of 1,000", _times(found), faults)


async def unread_answers(target: Target, seconds: float) -> Findings:
    """Many connections ask for the largest answer, again and again, and never read."""
    size = min(1_000, target.connections // 2)
    async with crowd(target, size, receive_buffer=_SMALL_BUFFER) as clients:
        for client in clients:
            client.deafen()
        sent = await asyncio.gather(*(_send_on(client, _DESCRIBE, seconds) for client in clients))
    return Findings(f"{size} connections, {sum(sent)} pieces of 1,000", "unread")


async def slow_heads(target: Target, seconds: float) -> Findings:
    """Many connections whose heads arrive at a byte a second; each must be ended in time."""
    size = min(1_000, target.connections // 2)
    async with crowd(target, size) as clients:
        found = await asyncio.gather(
            *(_drip(client, seconds + target.patience_s) for client in clients)
        )
    faults = [] if "open" not in found else [f"{found.count('open')} still open"]
    return Findings(f"{size} heads, a byte a second", counted(found), faults)


async def _drip(client: Client, seconds: float) -> str:
    deadline_s = monotonic() + seconds
    await client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-")
    data = b""
    while monotonic() < deadline_s:
        await client.send(b"x")
        heard = await client.rest(1.0)
        data += heard.data
        if heard.has_ended:
            return data[9:12].decode() or "closed"
    return "open"


async def silence(target: Target, seconds: float) -> Findings:
    """Many connections on which nothing comes; each must be ended in time."""
    size = min(1_000, target.connections // 2)
    async with crowd(target, size) as clients:
        heard = await asyncio.gather(
            *(client.rest(seconds + target.patience_s) for client in clients)
        )
    opened = sum(not one.has_ended for one in heard)
    faults = [f"{opened} still open"] if opened else []
    return Findings(f"{size} connections", f"{size - opened} closed", faults)


async def idle(target: Target, seconds: float) -> Findings:
    """4,000 connections that are kept after an answer, and answered again."""
    size = min(4_000, target.connections // 5 * 4)
    async with crowd(target, size, greeting=_HEALTH) as clients:
        first = await _each_hears(target, clients)
        await asyncio.sleep(min(seconds, 2.0))
        again = await _each_asks(target, clients)
    found = counted(first + again)
    faults = [] if {*first, *again} == {"200"} else [f"answered {found}"]
    return Findings(f"{size} connections, twice", found, faults)


async def overload(target: Target, seconds: float) -> Findings:
    """More connections than may be: the extra ones are 503, the others go on."""
    extra = 20
    async with crowd(target, target.connections - 10, greeting=_HEALTH) as clients:
        before = await _each_hears(target, clients)
        async with crowd(target, 10 + extra, greeting=_HEALTH) as late:
            found = await _each_hears(target, late)
            after = await _each_asks(target, clients)
    faults = []
    if {*before, *after} != {"200"}:
        faults.append(f"those before: {counted(before + after)}")
    # The bystander has two connections of the ten that are left.
    if not extra <= found.count("503") <= extra + 10 or {*found} - {"200", "503"}:
        faults.append(f"those too many: {counted(found)}")
    return Findings(f"{len(clients)} connections, then {10 + extra}", counted(found), faults)


async def resets(target: Target, seconds: float) -> Findings:
    """2,000 connections that are reset: silent, in a head, in a click, in a pipeline."""
    parts = (b"", target.click[:40], target.click, target.click * 2, _PIPELINED[:3_200])
    for number in range(2_000 // 200):
        async with crowd(target, min(200, target.connections // 2)) as clients:
            await asyncio.gather(*(client.send(parts[number % 5]) for client in clients))
            for client in clients:
                client.reset()
    return Findings("10 x 200 connections", "-")


async def bad_tokens(target: Target, seconds: float) -> Findings:
    """300 connections click with bad tokens; what does a valid user's click cost meanwhile?"""
    bad = b"POST /events/event-1/participations HTTP/1.1\r\nHost: a\r\n"
    bad += b"Authorization: Bearer " + b"a" * 40 + b"." + b"b" * 80 + b"." + b"c" * 43 + b"\r\n\r\n"
    before = await _clicks(target, min(seconds, 1.0))
    size = min(300, target.connections // 2)
    async with crowd(target, size) as clients:
        meanwhile, found = await asyncio.gather(
            _clicks(target, seconds),
            asyncio.gather(*(_repeat(target, client, bad, seconds) for client in clients)),
        )
    statuses = sum(found, Counter[str]())
    valid = " -> ".join(
        f"{median(times) * 1_000:.0f} ms" if times else "none" for times in (before, meanwhile)
    )
    faults = [f"answered {status}" for status in statuses if status != "401"]
    if not meanwhile:
        faults.append("no valid click was answered")
    return Findings(f"{size} connections", f"{_times(statuses)}; valid p50 {valid}", faults)


async def _clicks(target: Target, seconds: float) -> list[float]:
    """The seconds that each of a valid user's clicks takes, one after the other."""
    deadline_s, times = monotonic() + seconds, []
    async with connected(target) as client:
        while (began := monotonic()) < deadline_s:
            await client.send(target.click)
            answer = await client.answer(target.patience_s)
            if answer is None or answer.status != target.click_status:
                break
            times.append(monotonic() - began)
    return times


async def _repeat(target: Target, client: Client, request: bytes, seconds: float) -> Counter[str]:
    """Ask again and again; counts the statuses."""
    deadline_s, found = monotonic() + seconds, Counter[str]()
    while monotonic() < deadline_s and await client.send(request):
        answer = await client.answer(target.patience_s)
        found["none" if answer is None else str(answer.status)] += 1
        if answer is None:
            break
    return found


async def _each_asks(target: Target, clients: list[Client]) -> list[str]:
    """The status that each gets for `/healthz`, or `none`."""
    await asyncio.gather(*(client.send(_HEALTH) for client in clients))
    return await _each_hears(target, clients)


async def _each_hears(target: Target, clients: list[Client]) -> list[str]:
    """The status of the next answer that each hears, or `none`."""

    async def one(client: Client) -> str:
        answer = await client.answer(target.patience_s)
        return "none" if answer is None else str(answer.status)

    return list(await asyncio.gather(*map(one, clients)))


async def _send_on(client: Client, piece: bytes, seconds: float) -> int:
    """Send as long as it goes; returns how many pieces were taken."""
    sent = 0
    try:
        async with asyncio.timeout(seconds):
            while await client.send(piece):
                sent += 1
                await asyncio.sleep(0)
    except TimeoutError:
        pass
    return sent


async def _count(reader: StreamReader, seconds: float) -> Counter[str]:
    """Read for so long; counts the answers by status."""
    found, rest = Counter[str](), b""
    try:
        async with asyncio.timeout(seconds):
            while piece := await reader.read(65_536):
                *_, rest = parts = (rest + piece).split(_STATUS)
                found.update(part[:3].decode() for part in parts[1:-1])
                rest = _STATUS + rest if len(parts) > 1 else rest
    except (TimeoutError, ConnectionError):
        pass
    return found


def _times(counts: Counter[str]) -> str:
    return ", ".join(f"{status} x{count}" for status, count in counts.most_common())
