"""Checks tokens like those that PyJWT has accepted, at a small part of its price.

A header that PyJWT has not accepted, an odd claim or an odd encoding are left to PyJWT; what is
accepted here, PyJWT would accept as well (docs/decisions/ingest-tokens.md).
"""

import re
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
import orjson

from ingest.claims import LAST_S, ClaimRules

Verify = Callable[[bytes, bytes], bool]
"""Whether the second argument is the key's signature of the first."""

_SEGMENTS: Final = re.compile("([A-Za-z0-9_-]+)\\.([A-Za-z0-9_-]+)\\.([A-Za-z0-9_-]+)")
_ALPHABET: Final = "AQgwEIMUYcko048sBCDFGHJKLNOPRSTVWXZabdefhijlmnpqrtuvxyz1235679-_"
_LAST_CHARACTERS: Final = (_ALPHABET, "", _ALPHABET[:4], _ALPHABET[:16])
"""What a segment may end with, by how many characters it is longer than a multiple of four: where
bits are left over, they are zero."""
_MOST_BRACKETS: Final = 100
_MOST_HEADERS: Final = 64
"""An issuer has one for each key; whoever makes up more has no key for them."""


class QuickTokens:
    """The headers that were accepted, each with what verifies its signatures.

    `now_s` is the time in epoch seconds.
    """

    def __init__(self, rules: ClaimRules, now_s: Callable[[], float]) -> None:
        self._rules = rules
        self._now_s = now_s
        self._known: dict[str, Verify] = {}

    def learn(self, token: str, verify: Verify) -> None:
        """Take note of a token that PyJWT has accepted by the key of `verify`."""
        if len(self._known) < _MOST_HEADERS:
            self._known[token.partition(".")[0]] = verify

    def forget(self) -> None:
        """Know nothing any more: the keys have changed."""
        self._known.clear()

    def claims(self, token: str) -> Mapping[str, Any] | None:
        """The claims of a token that is good; None where PyJWT has to say.

        Raises jwt.InvalidSignatureError.
        """
        segments = _SEGMENTS.fullmatch(token)
        verify = None if segments is None else self._known.get(segments[1])
        if segments is None or verify is None:
            return None
        signature = _decoded(segments[3])
        if signature is None:
            return None
        if not verify(token[: segments.end(2)].encode(), signature):
            raise jwt.InvalidSignatureError("the signature is another")
        payload = _decoded(segments[2]) or b""
        if payload.count(b"[") + payload.count(b"{") > _MOST_BRACKETS:
            return None  # Python's parser has its own limit of depth
        try:
            claims = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return None
        return claims if self._are_good(claims) else None

    def _are_good(self, claims: Any) -> bool:
        if type(claims) is not dict:
            return False
        rules = self._rules
        now_s = self._now_s()
        latest_s = now_s + rules.leeway_s
        expires_s = claims.get("exp")
        return (
            type(expires_s) is int
            and now_s - rules.leeway_s < expires_s <= LAST_S
            and type(claims.get("sub")) is str
            and all(
                type(claims[name]) is int and claims[name] <= latest_s
                for name in ("iat", "nbf")
                if name in claims
            )
            and ("jti" not in claims or type(claims["jti"]) is str)
            and (rules.issuer is None or claims.get("iss") == rules.issuer)
            and (rules.audience is None or claims.get("aud") == rules.audience)
        )


def _decoded(segment: str) -> bytes | None:
    """A segment's bytes; None where it is not the one encoding that they have (RFC 4648 §3.5)."""
    rest = len(segment) % 4
    if segment[-1] not in _LAST_CHARACTERS[rest]:
        return None
    return a2b_base64(segment.replace("-", "+").replace("_", "/") + "=" * (-rest % 4))
