"""Errors as RFC 9457 problem documents: one shape, one place, nothing about our insides."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from ingest.asgi import Answer

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:participation:problem:"
"""Types are names, not addresses: RFC 9457 §3.1.1 allows a URI that is not resolved."""


class Problem(Exception):
    """An answer other than success; raised by an endpoint, written by the app.

    `kind` names the type of problem for programs; `detail` and `extra` must hold nothing that
    the caller may not know.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra

    def answer(self) -> Answer:
        """The problem as an answer."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.kind,
            "title": self.title,
            "status": self.status,
        }
        if self.detail is not None:
            document["detail"] = self.detail
        document.update(self.extra or {})
        more = tuple(
            (name.lower().encode(), value.encode()) for name, value in self.headers.items()
        )
        return Answer(orjson.dumps(document), self.status, media_type=MEDIA_TYPE, more=more)


def unauthorized(detail: str, *, token_given: bool) -> Problem:
    """No token, or one that names nobody (RFC 6750 §3)."""
    challenge = 'Bearer error="invalid_token"' if token_given else "Bearer"
    return Problem(
        401,
        "unauthorized",
        "A valid bearer token is required",
        detail,
        headers={"WWW-Authenticate": challenge},
    )


def bad_request(detail: str) -> Problem:
    """A request that is wrong in itself."""
    return Problem(400, "bad-request", "The request is not valid", detail)


def not_found(what: str) -> Problem:
    """Something that does not exist, or not for the caller: the two look the same."""
    return Problem(404, "not-found", f"There is no such {what}")


def too_many_requests(detail: str, retry_after_s: int) -> Problem:
    """The caller asks for more than its share (RFC 6585 §4)."""
    return Problem(
        429,
        "too-many-requests",
        "Too many requests of yours are waiting",
        detail,
        headers={"Retry-After": str(retry_after_s)},
    )


def unavailable(detail: str, retry_after_s: int, request_id: str | None = None) -> Problem:
    """The service cannot do it now."""
    return Problem(
        503,
        "unavailable",
        "The service cannot answer now",
        detail,
        headers={"Retry-After": str(retry_after_s)},
        extra=None if request_id is None else {"requestId": request_id},
    )


def internal_error() -> Problem:
    """Something that should not happen; the log says what."""
    return Problem(500, "internal-error", "The service failed to answer")
