"""Signature Version 4 for JSON over POST: botocore's bytes, with the day's key remembered."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from time import gmtime, strftime
from typing import Final, NamedTuple, Protocol

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_DATE: Final = "x-amz-date"
_TOKEN: Final = "x-amz-security-token"  # noqa: S105 - a header's name


class Credentials(Protocol):
    """Keys at one moment, such as botocore's frozen credentials."""

    @property
    def access_key(self) -> str:
        """The id of the key that signs."""
        ...

    @property
    def secret_key(self) -> str:
        """The secret that only the signer and AWS know."""
        ...

    @property
    def token(self) -> str | None:
        """The session token of temporary keys."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a signature is valid."""

    region: str
    signing_name: str


class Head:
    """The head of one operation's requests, except for what changes with each request.

    `host` is the Host header: with the port, unless it is the scheme's own. `signed` are further
    headers to send and sign, `unsigned` those to send only; names in lower case.
    """

    def __init__(self, host: str, signed: Mapping[str, str], unsigned: Mapping[str, str]) -> None:
        fixed = sorted({"host": host, **signed}.items())
        before = [(name, value) for name, value in fixed if name < _DATE]
        after = [(name, value) for name, value in fixed if name > _DATE]
        # The canonical form sorts the headers, and trims their values (SigV4, "Trimall").
        self.canonical_before = "POST\n/\n\n" + _canonical(before)
        self.canonical_after = _canonical(after)
        self.names = ";".join([*(name for name, _ in before), _DATE, *(name for name, _ in after)])
        self.names_with_token = self.names.replace(_DATE, f"{_DATE};{_TOKEN}")
        lines = [f"{name}: {value}\r\n" for name, value in [*fixed, *unsigned.items()]]
        self.lines = "POST / HTTP/1.1\r\n" + "".join(lines)


def _canonical(headers: list[tuple[str, str]]) -> str:
    return "".join(f"{name}:{' '.join(value.split())}\n" for name, value in headers)


class _Key(NamedTuple):
    day: str
    secret: str
    keyed: hmac.HMAC
    """Signs by a copy: to begin anew with the key takes half as long again."""


class Signer:
    """Completes and signs heads for one service in one region."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._granted = f"{scope.region}/{scope.signing_name}/aws4_request"
        self._second = -1
        self._timestamp = ""
        self._key = _Key("", "", hmac.new(b"", digestmod="sha256"))

    def sign(self, head: Head, body: bytes, credentials: Credentials, at_s: float) -> bytes:
        """The whole head of a POST of `body`, signed as of `at_s` (epoch seconds)."""
        second = int(at_s)
        if second != self._second:
            self._timestamp, self._second = strftime("%Y%m%dT%H%M%SZ", gmtime(second)), second
        timestamp, token = self._timestamp, credentials.token
        names, token_line, token_header = head.names, "", ""
        if token:
            names = head.names_with_token
            token_line, token_header = f"{_TOKEN}:{token}\n", f"{_TOKEN}: {token}\r\n"
        canonical = (
            f"{head.canonical_before}{_DATE}:{timestamp}\n{token_line}{head.canonical_after}\n"
            f"{names}\n{hashlib.sha256(body).hexdigest()}"
        )
        day = timestamp[:8]
        granted = f"{day}/{self._granted}"
        text = (
            f"{_ALGORITHM}\n{timestamp}\n{granted}\n"
            f"{hashlib.sha256(canonical.encode()).hexdigest()}"
        )
        signature = self._keyed(day, credentials.secret_key)
        signature.update(text.encode())
        return (
            f"{head.lines}{_DATE}: {timestamp}\r\n{token_header}"
            f"authorization: {_ALGORITHM} Credential={credentials.access_key}/{granted}, "
            f"SignedHeaders={names}, Signature={signature.hexdigest()}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode()

    def _keyed(self, day: str, secret: str) -> hmac.HMAC:
        """To sign with the key of one day and secret: takes the text, and gives its signature."""
        if self._key.day != day or self._key.secret != secret:
            key = f"AWS4{secret}".encode()
            for part in (day, self._scope.region, self._scope.signing_name, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = _Key(day, secret, hmac.new(key, digestmod="sha256"))
        return self._key.keyed.copy()
