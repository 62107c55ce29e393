"""Checks tokens like those that PyJWT has accepted, at a small part of its price.

A header that PyJWT has not accepted, an odd claim or an odd encoding are left to PyJWT; what is
accepted here, PyJWT would accept as well (docs/decisions/ingest-tokens.md).
"""

from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
import orjson

from ingest.claims import LAST_S, ClaimRules

Verify = Callable[[bytes, bytes], bool]
"""Whether the second argument is the key's signature of the first."""

_ALPHABET: Final = "AQgwEIMUYcko048sBCDFGHJKLNOPRSTVWXZabdefhijlmnpqrtuvxyz1235679-_"
_LAST_CHARACTERS: Final = (_ALPHABET, "", _ALPHABET[:4], _ALPHABET[:16])
"""What a segment may end with, by how many characters it is longer than a multiple of four: where
bits are left over, they are zero."""
_PADDING: Final = ("", "", "==", "=")
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
        signed, _, signature_text = token.rpartition(".")
        header, _, payload_text = signed.partition(".")
        verify = self._known.get(header)
        if verify is None:
            return None
        payload, signature = _decoded(payload_text), _decoded(signature_text)
        if payload is None or signature is None:
            return None
        if not verify(signed.encode(), signature):
            raise jwt.InvalidSignatureError("the signature is another")
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
            and type(issued_s := claims.get("iat", 0)) is int
            and issued_s <= latest_s
            and type(begins_s := claims.get("nbf", 0)) is int
            and begins_s <= latest_s
            and ("jti" not in claims or type(claims["jti"]) is str)
            and (rules.issuer is None or claims.get("iss") == rules.issuer)
            and (rules.audience is None or claims.get("aud") == rules.audience)
        )


def _decoded(segment: str) -> bytes | None:
    """A segment's bytes; None where it is not the one encoding that they have (RFC 4648 §3.5)."""
    rest = len(segment) % 4
    if not segment or segment[-1] not in _LAST_CHARACTERS[rest]:
        return None
    if "+" in segment or "/" in segment:
        return None  # of the other alphabet
    padded = segment.replace("-", "+").replace("_", "/") + _PADDING[rest]
    try:
        return a2b_base64(padded, strict_mode=True)
    except ValueError:
        return None
