"""Serves MiniStack on a socket that its parent opened, and ends as soon as that parent is gone.

Runs as a script of MiniStack's own environment, so it may import nothing of this project;
what it serves is looked up by name, because the project's environment does not have it.
Arguments: the listening socket's file descriptor.
"""

import asyncio
import os
import re
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from typing import Any

# Of ASGI, whose types MiniStack's environment does not have.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_THIS_MACHINE = re.compile(
    rb"(127\.0\.0\.1|([a-z0-9._-]+\.)?localhost|\[::1\])(:[0-9]+)?", re.IGNORECASE
)
_ONLY_BROWSERS_SEND = frozenset({b"origin", b"sec-fetch-site"})
_REFUSAL = b"This is an embedded AWS for programs of this machine: no web page may call it.\n"


def end_with_parent() -> None:
    """Wait until standard input closes, which it does however the parent ends."""
    # Not sys.stdin: its lock, held here until the end, would break an interpreter that is ending.
    while os.read(0, 1):
        pass
    os._exit(0)


def without_pages(app: App) -> App:
    """Refuse what a browser sends: MiniStack runs code, and lets every page of the web call it.

    That holds for pages of other origins, and for those whose name was rebound to this machine.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or _is_from_a_program(scope["headers"]):
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: the answer is 403
        else:
            headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSAL})

    return guarded


def _is_from_a_program(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether nothing shows a browser, and the one Host is this machine."""
    hosts = [value for name, value in headers if name == b"host"]
    return _ONLY_BROWSERS_SEND.isdisjoint(name for name, _ in headers) and (
        len(hosts) == 1 and _THIS_MACHINE.fullmatch(hosts[0]) is not None
    )


def serve(listener_fd: int) -> None:
    """Serve until the process is ended."""
    hypercorn_serve = import_module("hypercorn.asyncio").serve
    app = without_pages(import_module("ministack.app").app)
    config = import_module("hypercorn.config").Config()
    config.bind = [f"fd://{listener_fd}"]
    config.keep_alive_timeout = 75
    # A trigger of our own keeps hypercorn from catching SIGTERM to wait for idle connections.
    never = asyncio.Event()
    asyncio.run(hypercorn_serve(app, config, shutdown_trigger=never.wait))


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    serve(int(sys.argv[1]))
