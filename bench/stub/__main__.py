"""Runs the model of AWS as a process: `python -m bench.stub --core 1` prints its port."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys

import uvloop

from bench.stub.control import Control
from bench.stub.http import Connection


async def serve(port: int) -> None:
    """Serve until a signal comes, or until whoever started us closes our standard input."""
    loop = asyncio.get_running_loop()
    control = Control(loop)
    server = await loop.create_server(lambda: Connection(control), "127.0.0.1", port)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if not sys.stdin.isatty():
        loop.add_reader(sys.stdin.fileno(), stopped.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m bench.stub", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--core", type=int, help="the processor core to stay on")
    arguments = parser.parse_args()
    if arguments.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {arguments.core})
    logging.basicConfig(level=logging.INFO)
    # Collections over a hundred thousand seeded items would pause the answers for nothing.
    gc.disable()
    uvloop.run(serve(arguments.port))


if __name__ == "__main__":
    main()
