"""What one client, and all together, may take of the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, Self

from config.settings import IngestSettings
from ingest.problems import Problem, bad_request, unavailable

SOCKET_BUFFER_BYTES: Final = 16_384
"""What the kernel may keep of a connection in each direction; by itself it keeps megabytes."""
WRITE_BUFFER_BYTES: Final = 2_048
"""Beyond so many unsent bytes a connection's next request waits: more than a click's answer has,
and less than the answers that a flood would ask for."""
LINGER_S: Final = 2.0
"""How long a closing connection's client may take to read the last answer (RFC 9112 §9.6)."""
BRIEFLY_S: Final = 0.1
"""The same for one connection too many; and how long a drain waits for a request that is on its
way."""


class Refusal:
    """Why a client is refused outside of the app; the values are the metric's labels."""

    BAD_REQUEST: Final = "bad_request"
    BODY: Final = "body"
    HEAD_TOO_LARGE: Final = "head_too_large"
    HEAD_TOO_SLOW: Final = "head_too_slow"
    OVERLOAD: Final = "overload"
    """More connections than MAX_CONNECTIONS."""
    UNREAD: Final = "unread"
    """The client does not read its answers: nothing can be said to it any more."""

    ALL: Final = (BAD_REQUEST, BODY, HEAD_TOO_LARGE, HEAD_TOO_SLOW, OVERLOAD, UNREAD)


PROBLEMS: Final[Mapping[str, Problem]] = {
    Refusal.BAD_REQUEST: bad_request("it is not HTTP/1.1"),
    Refusal.BODY: Problem(
        400,
        "body-not-allowed",
        "The request must not have a body",
        "send none, or an empty JSON object with a POST",
    ),
    Refusal.HEAD_TOO_LARGE: Problem(431, "head-too-large", "The request's headers are too large"),
    Refusal.HEAD_TOO_SLOW: Problem(408, "head-too-slow", "The request did not arrive in time"),
    Refusal.OVERLOAD: unavailable("too many connections are open", retry_after_s=1),
}
"""What those who can still be answered are answered."""


class Observer(Protocol):
    """Takes note of what is refused."""

    def refused(self, reason: str) -> None:
        """One client was refused, for a reason of `Refusal`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The settings that bound connections; seconds and bytes."""

    connections: int
    head_bytes: int
    """Request line and headers. As much is read at a time, and may wait behind a request."""
    head_timeout_s: float
    """From a connection's or a head's first moment to the head's end."""
    keep_alive_s: float
    """How long a connection may stay idle between requests."""
    unread_timeout_s: float
    """How long a client may leave answers unread."""

    @classmethod
    def of(cls, settings: IngestSettings) -> Self:
        """As the settings say."""
        return cls(
            connections=settings.max_connections,
            head_bytes=settings.max_head_bytes,
            head_timeout_s=settings.head_timeout_s,
            keep_alive_s=settings.keep_alive_s,
            unread_timeout_s=settings.unread_timeout_s,
        )
