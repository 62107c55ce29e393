"""The program that attacks: it finds a careless server out, and says so by its exit code."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import orjson
import pytest

from tests.faults.program import Program, ran, started
from tests.security.attack import run
from tests.security.attacks import BY_NAME
from tests.security.client import Target
from tests.worker.support import until

PROGRAM = (sys.executable, "-m", "tests.security")
FINDS_IT = (
    "upgrade-with-body",
    "upgrade-behind-proxy",
    "upgrade-without-body",
    "bodies",
    "empty-bodies",
    "empty-bodies-behind-proxy",
    "dripping-bodies",
    "odd-heads",
    "endless-heads",
    "refusals-counted",
    "click-and-garbage",
    "half-closed",
    "slow-heads",
    "silence",
    "overload",
    "bad-tokens",
)


class Careless(asyncio.Protocol):
    """Answers 200 to every empty line, whatever is before it, and never closes."""

    def __init__(self, transports: set[asyncio.BaseTransport]) -> None:
        self._transports = transports
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transports.add(transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" ")[1] if b" " in head else b""
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path)
            )

    def eof_received(self) -> bool:
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        self._transports.discard(self._transport)


@asynccontextmanager
async def careless() -> AsyncIterator[Target]:
    """A careless server for the length of the block."""
    transports: set[asyncio.BaseTransport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Careless(transports), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield Target(host=host, port=port, connections=200, patience_s=0.2)
    finally:
        server.close()
        for transport in list(transports):
            cast("asyncio.Transport", transport).abort()
        await asyncio.sleep(0)


@pytest.mark.parametrize("name", FINDS_IT)
async def test_a_careless_server_is_found_out(name: str) -> None:
    async with careless() as target:
        result = await run(BY_NAME[name], target, seconds=0.2)

    assert any(not fault.startswith("others") for fault in result.faults)


async def test_the_program_prints_what_it_found_and_exits_1() -> None:
    async with careless() as target:
        url = f"http://{target.host}:{target.port}"
        ended = await ran([*PROGRAM, "--url", url, "--json", "upgrade-behind-proxy"], {})

    document = re.sub(r"(?s)^.*?(?=^\[)", "", ended.output, flags=re.MULTILINE)
    [row] = orjson.loads(document)
    assert ended.exit_code == 1
    assert row["name"] == "upgrade-behind-proxy"
    assert row["verdict"] == "the next caller got another's answer"


async def test_ctrl_c_ends_it_without_a_traceback() -> None:
    async with careless() as target:
        url = f"http://{target.host}:{target.port}"
        async with started([*PROGRAM, "--url", url, "silence"], {}) as program:
            await until_printed("silence", program)
            program.send(signal.SIGINT)
            ended = await program.ended()

    assert ended.exit_code == 130
    assert "interrupted" in ended.output
    assert "Traceback" not in ended.output


async def until_printed(text: str, program: Program) -> None:
    """Wait until it has printed this."""

    async def is_printed() -> bool:
        return text in program.output

    await until(is_printed)
