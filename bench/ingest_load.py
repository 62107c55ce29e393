"""Clicks of many users over keep-alive connections, from a process of its own.

It reads rounds from standard input, one JSON line each; it answers "ready" when the tokens are
signed and the connections are open, waits for a line, clicks, and writes the round's figures.
A line with `hold` asks for so many connections that are open and idle; it is answered "ready".
"""

import argparse
import asyncio
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from statistics import quantiles
from time import perf_counter, process_time
from typing import Any, Final, cast

import httptools
import orjson
import uvloop

from bench.click_tokens import Signer
from runtime import open_files

_ROUND_TIMEOUT_S: Final = 120.0
_OTHER_FILES: Final = 64
"""What the process has open besides connections, and some room."""


class Round:
    """Clicks that are made once each, by whichever connection is free."""

    def __init__(self, clicks: Sequence[bytes], over: asyncio.Future[None]) -> None:
        self._clicks = iter(clicks)
        self._left = len(clicks)
        self._over = over
        self.statuses: Counter[int] = Counter()
        self.latencies_s: list[float] = []

    def next(self) -> bytes | None:
        """The next click to make; None after the last."""
        return next(self._clicks, None)

    def answered(self, status: int, seconds: float) -> None:
        """Take note of one answer."""
        self.statuses[status] += 1
        self.latencies_s.append(seconds)
        self._left -= 1
        if not self._left:
            self._over.set_result(None)

    def lost(self) -> None:
        """A connection ended that should have lasted."""
        if not self._over.done():
            self._over.set_exception(ConnectionError("the service closed a connection"))


class Connection(asyncio.Protocol):
    """One keep-alive connection: a click, its answer, the next click."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._round: Round | None = None
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        if self._round is not None:
            self._round.lost()

    def begin(self, round_: Round) -> None:
        """Take part in a round until its clicks are used up."""
        self._round = round_
        self._click(round_)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        seconds = perf_counter() - self._began
        assert self._round is not None
        self._round.answered(self._parser.get_status_code(), seconds)
        self._click(self._round)

    def _click(self, round_: Round) -> None:
        click = round_.next()
        if click is None:
            return
        self._began = perf_counter()
        self._transport.write(click)


class Generator:
    """Makes rounds of clicks, each click by a user who never clicked before."""

    def __init__(self, port: int, event_id: str, signer: Signer) -> None:
        self._port = port
        self._signer = signer
        host = f"HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        head = f"POST /events/{event_id}/participations {host}"
        self._head = f"{head}Content-Length: 0\r\nAuthorization: Bearer "
        self._health = f"GET /healthz {host}\r\n".encode()
        self._users = 0
        self._connections: list[Connection] = []

    async def prepare(self, connections: int, requests: int) -> list[bytes]:
        """Sign the clicks' tokens, and open connections."""
        users = range(self._users, self._users + requests)
        self._users += requests
        clicks = [
            f"{self._head}{self._signer.token(f'user-{user:07d}')}\r\n\r\n".encode()
            for user in users
        ]
        # Not before: a connection that asks for nothing does not last as long as signing may take.
        while len(self._connections) < connections:
            await self._open()
        return clicks

    async def hold(self, connections: int) -> None:
        """Open connections until there are so many; each new one asks once, and is idle then.

        Raises ConnectionError or TimeoutError.
        """
        open_files.allow(connections + _OTHER_FILES)
        async with asyncio.timeout(_ROUND_TIMEOUT_S):
            while len(self._connections) < connections:
                connection = await self._open()
                over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                connection.begin(Round([self._health], over))
                await over

    async def _open(self) -> Connection:
        _, made = await asyncio.get_running_loop().create_connection(
            Connection, "127.0.0.1", self._port
        )
        self._connections.append(made)
        return made

    async def run(self, connections: int, clicks: Sequence[bytes]) -> dict[str, Any]:
        """Make a round; its figures. Raises ConnectionError or TimeoutError."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        round_ = Round(clicks, over)
        began, began_cpu_s = perf_counter(), process_time()
        async with asyncio.timeout(_ROUND_TIMEOUT_S):
            for connection in self._connections[:connections]:
                connection.begin(round_)
            await over
        wall_s, cpu_s = perf_counter() - began, process_time() - began_cpu_s
        cuts = quantiles(round_.latencies_s, n=100)
        return {
            "wallS": wall_s,
            "cpuS": cpu_s,
            "statuses": {str(status): count for status, count in round_.statuses.items()},
            "p50Ms": cuts[49] * 1000,
            "p99Ms": cuts[98] * 1000,
        }


async def serve(generator: Generator) -> None:
    """Make the rounds that standard input asks for, until it ends."""
    # Reading blocks the loop, which has nothing else to do between rounds.
    while line := sys.stdin.readline():
        wanted = orjson.loads(line)
        if "hold" in wanted:
            await generator.hold(wanted["hold"])
            print("ready", flush=True)
            continue
        clicks = await generator.prepare(wanted["connections"], wanted["requests"])
        print("ready", flush=True)
        sys.stdin.readline()
        figures = await generator.run(wanted["connections"], clicks)
        print(orjson.dumps(figures).decode(), flush=True)


def main() -> None:
    """Read the arguments and serve; the environment has what `Signer` needs."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest_load", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="the service's port on 127.0.0.1")
    parser.add_argument("--event", required=True, help="the event to participate in")
    parser.add_argument("--core", type=int, help="the processor core to stay on")
    arguments = parser.parse_args()
    if arguments.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {arguments.core})
    gc.disable()  # nothing that is made here outlives the process or is cyclic
    signer = Signer(os.environ, time.time())
    uvloop.run(serve(Generator(arguments.port, arguments.event, signer)))


if __name__ == "__main__":
    main()
