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
from collections.abc import Iterable, Sequence
from statistics import quantiles
from time import perf_counter, process_time
from typing import Any, Final

import orjson
import uvloop

from bench.click_tokens import Signer
from operations.load.connection import Connection
from operations.load.target import head
from runtime import open_files

_ROUND_TIMEOUT_S: Final = 120.0
_OTHER_FILES: Final = 64
"""What the process has open besides connections, and some room."""


class Round:
    """Clicks that are made once each, by whichever connection is free."""

    def __init__(self, clicks: Sequence[bytes]) -> None:
        self._clicks = iter(clicks)
        self._left = len(clicks)
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.statuses: Counter[int] = Counter()
        self.latencies_s: list[float] = []

    async def play(self, connections: Iterable[Connection]) -> None:
        """Make all clicks; raises ConnectionError or TimeoutError."""
        async with asyncio.timeout(_ROUND_TIMEOUT_S):
            for connection in connections:
                connection.owner = self
                self._click(connection)
            await self._over

    def _click(self, connection: Connection) -> None:
        """Make the next click, until they are used up."""
        click = next(self._clicks, None)
        if click is not None:
            connection.send(click)

    def answered(
        self,
        connection: Connection,
        status: int,
        body: bytes,  # noqa: ARG002 - the load's interface
        retry_after: bytes,  # noqa: ARG002
    ) -> None:
        """Take note of one answer, and click again."""
        self.latencies_s.append(perf_counter() - connection.sent_at)
        self.statuses[status] += 1
        self._left -= 1
        if not self._left:
            self._over.set_result(None)
        self._click(connection)

    def lost(self, connection: Connection) -> None:  # noqa: ARG002 - the load's interface
        """A connection ended that should have lasted."""
        if not self._over.done():
            self._over.set_exception(ConnectionError("the service closed a connection"))


class Generator:
    """Makes rounds of clicks, each click by a user who never clicked before."""

    def __init__(self, port: int, event_id: str, signer: Signer) -> None:
        self._port = port
        self._signer = signer
        host = f"127.0.0.1:{port}"
        self._head = head(f"/events/{event_id}/participations", host)
        self._health = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._users = 0
        self._connections: list[Connection] = []

    async def prepare(self, connections: int, requests: int) -> Round:
        """Sign the clicks' tokens, and open connections."""
        users = range(self._users, self._users + requests)
        self._users += requests
        round_ = Round(
            [
                self._head + self._signer.token(f"user-{user:07d}").encode() + b"\r\n\r\n"
                for user in users
            ]
        )
        # Not before: a connection that asks for nothing does not last as long as signing may take.
        while len(self._connections) < connections:
            await self._open(round_)
        return round_

    async def hold(self, connections: int) -> None:
        """Open connections until there are so many; each new one asks once, and is idle then.

        Raises ConnectionError or TimeoutError.
        """
        open_files.allow(connections + _OTHER_FILES)
        async with asyncio.timeout(_ROUND_TIMEOUT_S):
            while len(self._connections) < connections:
                asked = Round([self._health])
                await asked.play([await self._open(asked)])

    async def _open(self, round_: Round) -> Connection:
        _, made = await asyncio.get_running_loop().create_connection(
            lambda: Connection(round_), "127.0.0.1", self._port
        )
        self._connections.append(made)
        return made

    async def run(self, connections: int, round_: Round) -> dict[str, Any]:
        """Make a round; its figures. Raises ConnectionError or TimeoutError."""
        began, began_cpu_s = perf_counter(), process_time()
        await round_.play(self._connections[:connections])
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
        round_ = await generator.prepare(wanted["connections"], wanted["requests"])
        print("ready", flush=True)
        sys.stdin.readline()
        figures = await generator.run(wanted["connections"], round_)
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
