"""The little of HTTP that the endpoints share: routes, one method each, headers, query, JSON."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from ingest import cors
from ingest.access import Access
from ingest.asgi import Answer, Headers, Receive, Scope
from ingest.problems import Problem, bad_request, unauthorized
from schema.values import value

_NAME: Final = re.compile(r"\{(\w+)\}")
_BEARER: Final = "bearer "
_NO_STORE: Final = ((b"cache-control", b"no-store"),)


@value(frozen=True, slots=True)
class Call:
    """One request, as the endpoints see it."""

    scope: Scope
    access: Access
    authorization: bytes | None
    receive: Receive
    path: Mapping[str, str]
    """The parameters of the path."""

    def bearer_token(self) -> str:
        """The bearer token; raises Problem 401 where there is none."""
        if self.authorization is None:
            raise unauthorized("the Authorization header is missing", token_given=False)
        value = self.authorization.decode("latin-1")
        token = value[len(_BEARER) :].strip()
        if value[: len(_BEARER)].lower() != _BEARER or not token:
            raise unauthorized("the Authorization header holds no bearer token", token_given=False)
        return token

    def query(self, *names: str) -> Mapping[str, str]:
        """The parameters of the query; raises Problem 400 for a repeated or an unknown one."""
        try:
            given = parse_qs(
                self.scope["query_string"].decode("latin-1"),
                keep_blank_values=True,
                max_num_fields=20,
            )
        except ValueError:
            raise bad_request("the query has too many parameters") from None
        if not given.keys() <= set(names):
            raise bad_request(f"there are no parameters but {' and '.join(names)}")
        for name, values in given.items():
            if len(values) > 1:
                raise bad_request(f"{name} is given more than once")
        return {name: values[0] for name, values in given.items()}

    async def client_done(self) -> None:
        """Return when the client sends nothing more: mostly because it is gone."""
        while (await self.receive())["type"] != "http.disconnect":
            pass  # the body, which is empty


Handler = Callable[[Call], Awaitable[Answer]]
"""Answers one request; raises Problem for every answer but success."""


class Endpoint:
    """One route: checks the method, then answers. The server takes no bodies.

    With `answers_preflights`, browsers learn what pages of other origins may send.
    """

    def __init__(
        self,
        name: str,
        method: str,
        handle: Handler,
        *,
        is_for_pages: bool = True,
        answers_preflights: bool = False,
    ) -> None:
        self._name = name
        self._is_for_pages = is_for_pages
        self._methods = ("GET", "HEAD") if method == "GET" else (method,)
        self._handle = handle
        self._preflight = cors.preflight(self._methods) if answers_preflights else None

    async def answer(
        self, scope: Scope, receive: Receive, access: Access, path: Mapping[str, str]
    ) -> Answer:
        """Answer; raises Problem for every answer but success."""
        access.route = self._name
        access.is_for_pages = self._is_for_pages
        if scope["method"] not in self._methods:
            if self._preflight is not None and cors.is_preflight(scope):
                return self._preflight
            raise Problem(
                405,
                "method-not-allowed",
                "The method is not allowed here",
                headers={"Allow": ", ".join(self._methods)},
            )
        return await self._handle(Call(scope, access, _authorization(scope), receive, path))


class Routes:
    """Hands each request to the endpoint of its path; raises Problem 404 where there is none.

    Paths are OpenAPI's templates: `{name}` stands for a segment, which is not empty.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._fixed = {path: found for path, found in endpoints.items() if "{" not in path}
        self._templates = [
            (re.compile(_NAME.sub(r"(?P<\1>[^/]+)", path)), found)
            for path, found in endpoints.items()
            if "{" in path
        ]

    def answer(self, scope: Scope, receive: Receive, access: Access) -> Awaitable[Answer]:
        """Answer by the endpoint."""
        path = scope["path"]
        endpoint = self._fixed.get(path)
        if endpoint is not None:
            return endpoint.answer(scope, receive, access, {})
        for template, endpoint in self._templates:
            match = template.fullmatch(path)
            if match is not None:
                return endpoint.answer(scope, receive, access, match.groupdict())
        raise Problem(404, "not-found", "There is nothing at this path")


def json_answer(document: Any, status: int = 200, more: Headers = ()) -> Answer:
    """A JSON answer that no cache may keep."""
    return Answer(orjson.dumps(document), status, more=_NO_STORE + more)


def _authorization(scope: Scope) -> bytes | None:
    authorization: bytes | None = None
    for name, text in scope["headers"]:
        if name == b"authorization":
            if authorization is not None:
                raise bad_request("there is more than one Authorization header")
            authorization = text
    return authorization
