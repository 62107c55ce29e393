"""Which pages of other origins may read the answers (Fetch standard, CORS protocol)."""

from collections.abc import Sequence
from typing import Final, Self

from config.settings import IngestSettings
from ingest.asgi import Answer, Headers, Scope, header

ANY: Final = "*"
_EXPOSED: Final = (b"access-control-expose-headers", b"location, retry-after")
_VARY: Final = ((b"vary", b"origin"),)
_ALLOWED_HEADERS: Final = b"authorization, content-type"
_MAX_AGE_S: Final = b"7200"
"""How long a browser need not ask again; Chromium remembers no longer."""


class Cors:
    """Lets pages of some origins read all answers; of any origin with `*`, of none by default.

    Tokens come in a header that a page must know to send. There are no cookies, so that a page
    learns nothing that whoever runs it does not know already.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self.is_on = bool(origins)
        self._of: dict[bytes, Headers] = {}
        self._foreign: Headers = ()
        if ANY in origins:
            self._foreign = _reading(ANY)
        elif origins:
            self._foreign = _VARY
            self._of = {origin.encode(): (*_reading(origin), *_VARY) for origin in origins}
        # A browser compares an only origin with the page's: it fits whoever asks.
        self._unknown = next(iter(self._of.values())) if len(self._of) == 1 else self._foreign

    @classmethod
    def of(cls, settings: IngestSettings) -> Self:
        """As the settings say."""
        return cls(() if settings.cors_origins is None else settings.cors_origins.split(","))

    def headers(self, origin: bytes | None) -> Headers:
        """What an answer says to a page of this origin; None where that is not known."""
        return self._unknown if origin is None else self._of.get(origin, self._foreign)

    def headers_of(self, scope: Scope) -> Headers:
        """What the answer to this request says."""
        return self.headers(header(scope["headers"], b"origin")) if self.is_on else ()


def _reading(origin: str) -> Headers:
    return (b"access-control-allow-origin", origin.encode()), _EXPOSED


def preflight(methods: Sequence[str]) -> Answer:
    """The answer to a browser that asks, without a token, what a page may send."""
    answer = Answer(b"", 204)
    answer.headers = (
        (b"access-control-allow-methods", ", ".join(methods).encode()),
        (b"access-control-allow-headers", _ALLOWED_HEADERS),
        (b"access-control-max-age", _MAX_AGE_S),
    )
    return answer


def is_preflight(scope: Scope) -> bool:
    """Whether a request is a browser's question, and none of the page itself."""
    asked = header(scope["headers"], b"access-control-request-method")
    return scope["method"] == "OPTIONS" and asked is not None
