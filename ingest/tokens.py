"""Who is asking: bearer tokens (JWT) checked by PyJWT, and remembered while they hold."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import jwt

from ingest.claims import ClaimRules
from ingest.quick_tokens import QuickTokens, Verify
from schema.message import MAX_ID_BYTES, is_possible_id
from schema.values import value

HS256: Final = "HS256"
MAX_TOKEN_CHARS: Final = 8_192
_REMEMBERED_TOKENS: Final = 20_000
_REMEMBER_AT_MOST_S: Final = 60.0
_HASH_BYTES: Final = 8
_IMPOSSIBLE_USER: Final = f"sub is not a printable text of 1 to {MAX_ID_BYTES} bytes"


class InvalidToken(Exception):
    """The token names nobody; the text may be shown to whoever sent it."""


@value(frozen=True, slots=True)
class Identity:
    """Who a checked token names."""

    user_id: str
    user_hash: str
    """Stands for the user in logs: the same for the same user, and irreversible."""


class Authenticator(Protocol):
    """Finds out whose a bearer token is."""

    async def identify(self, token: str) -> Identity:
        """Check a token; raises InvalidToken, and Unavailable where that cannot be known now."""
        ...


class Verifier(Protocol):
    """Checks a token's signature with the one key and algorithm that may have made it."""

    @property
    def generation(self) -> int:
        """Changes with the keys: what was remembered before no longer counts."""
        ...

    async def check(self, token: str, rules: ClaimRules) -> "Checked":
        """Check signature and claims; raises jwt.PyJWTError, and Unavailable as `identify`."""
        ...


@value(frozen=True, slots=True)
class Checked:
    """A good token's claims, and what verifies signatures by its key."""

    claims: Mapping[str, Any]
    verify: Verify


class SecretVerifier:
    """HS256 tokens, and no others, made with one secret."""

    generation = 0

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._keyed = hmac.new(self._secret, digestmod="sha256")

    async def check(self, token: str, rules: ClaimRules) -> Checked:
        """Check signature and claims; raises jwt.PyJWTError."""
        return Checked(rules.decode(token, self._secret, HS256), self._verify)

    def _verify(self, signed: bytes, signature: bytes) -> bool:
        made = self._keyed.copy()
        made.update(signed)
        return hmac.compare_digest(made.digest(), signature)


class TokenAuthenticator:
    """Checks each token once and remembers its user, for a minute at most.

    Only a token's digest is kept. What is remembered ends with the token (`exp`), and with any
    change of the keys that takes one away.
    """

    def __init__(
        self,
        verifier: Verifier,
        rules: ClaimRules,
        *,
        log_key: bytes,
        now_s: Callable[[], float],
    ) -> None:
        self._verifier = verifier
        self._rules = rules
        self._log_key = log_key
        self._now_s = now_s
        self._quick = QuickTokens(rules, now_s)
        # Finding a plain dict's oldest entry takes longer the more were taken out before it.
        self._known: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()
        self._generation = verifier.generation

    async def identify(self, token: str) -> Identity:
        """Check a token; raises InvalidToken, and Unavailable as the verifier does."""
        if len(token) > MAX_TOKEN_CHARS:
            raise InvalidToken("the token is too long")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        if self._generation != self._verifier.generation:
            self._known.clear()
            self._quick.forget()
            self._generation = self._verifier.generation
        now_s = self._now_s()
        known = self._known.get(digest)
        if known is not None and now_s < known[1]:
            return known[0]
        try:
            claims = self._quick.claims(token) or await self._check(token)
        except jwt.PyJWTError as error:
            raise InvalidToken(_reason(error)) from error
        identity = self._identity(claims["sub"])
        self._remember(digest, identity, min(float(claims["exp"]), now_s + _REMEMBER_AT_MOST_S))
        return identity

    async def _check(self, token: str) -> Mapping[str, Any]:
        checked = await self._verifier.check(token, self._rules)
        self._quick.learn(token, checked.verify)
        return checked.claims

    def _identity(self, subject: object) -> Identity:
        if not isinstance(subject, str) or not is_possible_id(subject):
            raise InvalidToken(_IMPOSSIBLE_USER)
        digest = hashlib.blake2b(subject.encode(), digest_size=_HASH_BYTES, key=self._log_key)
        return Identity(subject, digest.hexdigest())

    def _remember(self, digest: bytes, identity: Identity, until_s: float) -> None:
        if len(self._known) >= _REMEMBERED_TOKENS:
            self._known.popitem(last=False)
        self._known[digest] = (identity, until_s)


def issue(
    secret: str,
    user_id: str,
    *,
    now_s: float,
    expires_in_s: float,
    audience: str | None = None,
    issuer: str | None = None,
) -> str:
    """Make a token for development and tests; raises ValueError for an impossible user."""
    if not is_possible_id(user_id):
        raise ValueError(_IMPOSSIBLE_USER)
    claims: dict[str, Any] = {"sub": user_id, "iat": int(now_s), "exp": int(now_s + expires_in_s)}
    if audience is not None:
        claims["aud"] = audience
    if issuer is not None:
        claims["iss"] = issuer
    return jwt.encode(claims, secret, algorithm=HS256)


def _reason(error: jwt.PyJWTError) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "the token has expired"
        case jwt.ImmatureSignatureError():
            return "the token is not valid yet"
        case jwt.InvalidAudienceError():
            return "the token is for another audience"
        case jwt.InvalidIssuerError():
            return "the token is from another issuer"
        case jwt.MissingRequiredClaimError():
            return f"the token lacks the claim {error.claim}"
        case _:
            # What exactly was wrong with a forged token helps only its forger.
            return "the token is not valid"
