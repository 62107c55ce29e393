"""Serves MiniStack on a socket that its parent opened, and ends as soon as that parent is gone.

Runs as a script of MiniStack's own environment, so it may import nothing of this project;
what it serves is looked up by name, because the project's environment does not have it.
Arguments: the listening socket's file descriptor.
"""

import asyncio
import os
import sys
import threading
from importlib import import_module


def end_with_parent() -> None:
    """Wait until standard input closes, which it does however the parent ends."""
    # Not sys.stdin: its lock, held here until the end, would break an interpreter that is ending.
    while os.read(0, 1):
        pass
    os._exit(0)


def serve(listener_fd: int) -> None:
    """Serve until the process is ended."""
    hypercorn_serve = import_module("hypercorn.asyncio").serve
    app = import_module("ministack.app").app
    config = import_module("hypercorn.config").Config()
    config.bind = [f"fd://{listener_fd}"]
    config.keep_alive_timeout = 75
    # A trigger of our own keeps hypercorn from catching SIGTERM to wait for idle connections.
    never = asyncio.Event()
    asyncio.run(hypercorn_serve(app, config, shutdown_trigger=never.wait))


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    serve(int(sys.argv[1]))
