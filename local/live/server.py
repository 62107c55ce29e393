"""Serves the page on loopback: its files, the stream of states, and the buttons' requests."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Final

import anyio
import orjson
from aiohttp import web

from aws.errors import AwsError
from local.errors import LocalError
from local.live.actions import FAULTS, MAX_CLICKS, MAX_FAULT_S, MAX_SEATS, Actions, Refused
from local.live.feed import Feed

HOST: Final = "127.0.0.1"
_MAX_STREAMS: Final = 16
_SLOW_AFTER_S: Final = 10.0
"""Who takes a state no sooner is dropped, and gets the latest when it connects again."""
_RETRY_S: Final = "2"
_TOKEN_HEADER: Final = "X-Live-Token"  # noqa: S105 - a header's name
_TOKEN_MARK: Final = "{{ token }}"  # noqa: S105 - where the page has it
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FILES: Final = {
    "live.css": ("local.live", "page/live.css", "text/css"),
    "live.js": ("local.live", "page/live.js", "text/javascript"),
    "report.css": ("analytics.report", "report.css", "text/css"),
}

Fields = Mapping[str, Any]


class Server:
    """The page of one start; only what comes from it, and from this machine, may press buttons."""

    def __init__(self, feed: Feed, actions: Actions) -> None:
        self._feed = feed
        self._actions = actions
        self._token = secrets.token_urlsafe(24)
        self._streams = 0
        self._port = 0

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[str]:
        """Serve until the block ends; gives the page's URL. Raises LocalError for a taken port."""
        app = web.Application(middlewares=[self._guard], client_max_size=4096)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/stream", self._stream),
                web.get("/{name:[a-z.]+}", self._file),
                web.post("/do/{action:[a-z]+}", self._do),
            ]
        )
        runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, port)
            try:
                await site.start()
            except OSError as error:
                raise LocalError(f"the live page's port {port}: {error.strerror}") from error
            self._port = runner.addresses[0][1]
            yield f"http://{HOST}:{self._port}/"
        finally:
            self._feed.close()
            with anyio.CancelScope(shield=True):
                await runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse names that were rebound to this machine, and other pages' requests."""
        hosts = {f"{HOST}:{self._port}", f"localhost:{self._port}"}
        if request.host not in hosts:
            return _answer(403, f"this page is at http://{HOST}:{self._port}/ only")
        # A link from anywhere may lead to the page. Browsers name the site for all that follows.
        site = request.headers.get("Sec-Fetch-Site", "none")
        is_open = request.path == "/" or site in {"same-origin", "none"}
        if not is_open or (request.method == "POST" and not self._is_pressed(request)):
            return _answer(403, "only the page itself may do this: reload it")
        return await handler(request)

    def _is_pressed(self, request: web.Request) -> bool:
        """Whether a request comes from a button of this start's page."""
        token = request.headers.get(_TOKEN_HEADER, "").encode(errors="surrogateescape")
        return request.headers.get("Origin") == f"http://{request.host}" and (
            secrets.compare_digest(token, self._token.encode())
        )

    async def _page(self, _request: web.Request) -> web.Response:
        text = (files("local.live") / "page/index.html").read_text(encoding="utf-8")
        return web.Response(
            text=text.replace(_TOKEN_MARK, self._token), content_type="text/html", headers=_HEADERS
        )

    async def _file(self, request: web.Request) -> web.Response:
        found = _FILES.get(request.match_info["name"])
        if found is None:
            return _answer(404, "there is nothing here but the page")
        package, path, content_type = found
        text = (files(package) / path).read_text(encoding="utf-8")
        return web.Response(text=text, content_type=content_type, headers=_HEADERS)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self._streams >= _MAX_STREAMS:
            return _answer(503, "too many pages are open: close some", {"Retry-After": _RETRY_S})
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        self._streams += 1
        try:
            async for state in self._feed.follow():
                with anyio.fail_after(_SLOW_AFTER_S):
                    await response.write(b"data: " + state + b"\n\n")
        except (ConnectionError, TimeoutError):
            pass  # the page is gone, or sleeps: it connects again
        finally:
            self._streams -= 1
        return response

    async def _do(self, request: web.Request) -> web.Response:
        try:
            fields = orjson.loads(await request.read() or b"{}")
            text = await self._act(request.match_info["action"], fields)
        except (AttributeError, KeyError, orjson.JSONDecodeError):
            return _answer(400, "there is no such action")
        except (Refused, AwsError) as error:
            # No error of the protocol's: the browser would log it as the page's.
            return _answer(200, str(error), done=False)
        return _answer(200, text)

    async def _act(self, action: str, fields: Fields) -> str:
        """Carry out one button's action; raises Refused, AwsError, and KeyError for others."""
        actions = self._actions
        match action:
            case "click":
                return await actions.click(str(fields.get("user", "")).strip())
            case "burst":
                return actions.burst(_number(fields, "clicks", MAX_CLICKS))
            case "event":
                return await actions.new_event(_number(fields, "seats", MAX_SEATS))
            case "close":
                return await actions.close()
            case "fault" if fields.get("name") in tuple(FAULTS):  # compared: it may be of any type
                return actions.fault(fields["name"], _number(fields, "seconds", MAX_FAULT_S))
            case "kill":
                return actions.kill()
            case "republish":
                return await actions.republish()
            case "check":
                return actions.check()
        raise KeyError(action)


def _number(fields: Fields, name: str, most: int) -> int:
    number = fields.get(name)
    if type(number) is not int or not 1 <= number <= most:
        raise Refused(f"{name}: give a number from 1 to {most:,}")
    return number


def _answer(
    status: int, text: str, headers: Mapping[str, str] | None = None, *, done: bool = True
) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps({"text": text, "done": done}),
        content_type="application/json",
        headers={**_HEADERS, **(headers or {})},
    )
