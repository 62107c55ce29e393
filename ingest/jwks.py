"""A key set fetched from JWKS_URL: cached, and refreshed by one task, for unknown keys as well."""

import reprlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from time import monotonic
from typing import Any, Final

import anyio
import httpx
import jwt
import orjson
import structlog
from jwt.algorithms import Algorithm, ECAlgorithm, RSAAlgorithm

from config.urls import masked
from ingest.claims import ClaimRules, refusing
from ingest.gateway import Unavailable
from ingest.tokens import Checked
from runtime import backoff

MAX_DOCUMENT_BYTES: Final = 1_048_576
_ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256"}
_VERIFIERS: Final[Mapping[str, Algorithm]] = {
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
}
_CURVE: Final = "P-256"
_RSA_BITS: Final = range(2_048, 16_384 + 1)
"""RFC 7518 §3.3, and the longest that OpenSSL checks signatures with."""
_MEMBERS: Final = {"kty": str, "use": str, "key_ops": list, "alg": str, "kid": str, "crv": str}
"""What members are where they are present (RFC 7517 §4, RFC 7518 §6.2.1.1)."""
_OK: Final = 200
_IDENTITY: Final = "identity"
_MOST_SHOWN_CHARS: Final = 200
_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = 80

Key = tuple[str | None, str]
"""A key's `kid` and the one algorithm that it may be used with."""

log = structlog.get_logger("ingest")


class KeySetError(Exception):
    """No usable key set could be fetched; the text says why."""


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """How often the key set is fetched, and how long that may take."""

    interval_s: float = 300.0
    unknown_key_interval_s: float = 10.0
    """Tokens with an unknown `kid` make us fetch at most this often: anybody can make some up."""
    retry_base_s: float = 1.0
    retry_max_s: float = 60.0
    fetch_timeout_s: float = 5.0
    """For a whole fetch, from the look-up of the name to the last byte."""


class KeySet:
    """Checks RS256 and ES256 tokens with the keys of one URL.

    While the URL does not answer, the last keys stay in use. A key that is gone from the set is
    gone here at the next refresh, and with it every token remembered before. No request waits
    for a fetch.
    """

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        policy: RefreshPolicy | None = None,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        self.generation = 0
        self._url = url
        self._client = client
        self._policy = policy or RefreshPolicy()
        self._clock_s = clock_s
        self._random = Random()  # noqa: S311 - spreading load, not secrets
        self._keys: Mapping[Key, Any] = {}
        self._tried_at_s = -self._policy.unknown_key_interval_s
        self._failures = 0
        self._refresh = anyio.Event()
        """Set while a refresh is wanted or under way."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["KeySet"]:
        """Fetch the keys, and keep them fresh meanwhile; raises KeySetError."""
        await self.refresh()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_fresh)
            yield self
            tasks.cancel_scope.cancel()

    async def check(self, token: str, rules: ClaimRules) -> Checked:
        """Check signature and claims; raises jwt.PyJWTError.

        Raises Unavailable for an unknown key while only a fetch can say whether it is ours.
        """
        with refusing():
            header = jwt.get_unverified_header(token)
        algorithm = str(header.get("alg"))
        if algorithm not in _ALGORITHMS.values():
            raise jwt.InvalidAlgorithmError("the algorithm is not allowed")
        key = self._find(header.get("kid"), algorithm)
        if key is not None:
            claims = rules.decode(token, key, algorithm)
            return Checked(claims, partial(_is_signed, _VERIFIERS[algorithm], key))
        if self._may_be_outdated():
            raise Unavailable("keys", "the key set is being fetched")
        raise jwt.InvalidKeyError("the token names no key of ours")

    async def refresh(self) -> None:
        """Fetch the key set now; raises KeySetError and then keeps the former keys."""
        self._tried_at_s = self._clock_s()
        try:
            keys = usable_keys(await self._fetch())
        except KeySetError as error:
            raise KeySetError(f"{masked(self._url)}: {error}") from error
        except Exception as error:
            # Whatever it is, it must end neither the refreshing nor, without a word, the start.
            cause = f"{type(error).__name__}: {error}"[:_MOST_SHOWN_CHARS]
            raise KeySetError(f"{masked(self._url)}: {cause}") from error
        if keys != self._keys:
            self.generation += 1
        self._keys = keys

    def _find(self, name: object, algorithm: str) -> Any:
        if name is None:
            # Without a name only a set of one key leaves no doubt.
            return next(iter(self._keys.values())) if self._is_only(algorithm) else None
        return self._keys.get((name, algorithm)) if isinstance(name, str) else None

    def _is_only(self, algorithm: str) -> bool:
        return [key[1] for key in self._keys] == [algorithm]

    def _may_be_outdated(self) -> bool:
        """Whether the issuer may have more keys than ours; if so, they are fetched soon."""
        if self._clock_s() - self._tried_at_s >= self._policy.unknown_key_interval_s:
            self._refresh.set()
        return self._refresh.is_set() or self._failures > 0

    async def _keep_fresh(self) -> None:
        policy = self._policy
        while True:
            wait_s = policy.interval_s
            if self._failures:
                base_s, longest_s = policy.retry_base_s, policy.retry_max_s
                wait_s = backoff.delay_s(self._failures, base_s, longest_s, self._random)
            with anyio.move_on_after(wait_s):
                await self._refresh.wait()
            self._refresh.set()
            try:
                await self.refresh()
                self._failures = 0
            except KeySetError as error:
                self._failures += 1
                log.warning("key_set_not_refreshed", error=str(error))
            self._refresh = anyio.Event()

    async def _fetch(self) -> bytes:
        document = bytearray()
        headers = {"Accept": "application/json", "Accept-Encoding": _IDENTITY}
        try:
            with anyio.fail_after(self._policy.fetch_timeout_s):
                async with self._client.stream("GET", self._url, headers=headers) as response:
                    if response.status_code != _OK:
                        raise KeySetError(f"it answered {response.status_code}")
                    encoding = response.headers.get("Content-Encoding", _IDENTITY)
                    if encoding.lower() != _IDENTITY:
                        # A kilobyte of it may decode to a megabyte.
                        raise KeySetError("its answer is encoded, though identity was asked for")
                    async for chunk in response.aiter_raw():
                        document += chunk
                        if len(document) > MAX_DOCUMENT_BYTES:
                            raise KeySetError(f"it is larger than {MAX_DOCUMENT_BYTES} bytes")
        except TimeoutError:
            limit_s = self._policy.fetch_timeout_s
            raise KeySetError(f"no whole answer within {limit_s:g} s") from None
        return bytes(document)


def _is_signed(algorithm: Algorithm, key: Any, signed: bytes, signature: bytes) -> bool:
    return algorithm.verify(signed, key, signature)


def usable_keys(document: bytes) -> Mapping[Key, Any]:
    """Choose the public signature keys of a key set, each with its one algorithm.

    Symmetric keys, private keys, keys for encryption and for other algorithms are left out; so
    is a key that is not as it should be, with a warning. Raises KeySetError for anything but a
    key set, and for one without a key for us.
    """
    try:
        keys = orjson.loads(document)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        keys = None
    if not isinstance(keys, list):
        raise KeySetError("it is not a JWK set")
    usable: dict[Key, Any] = {}
    for key in keys:
        try:
            algorithm = _algorithm(key)
            if algorithm is not None:
                usable[key.get("kid"), algorithm] = _public_key(key, algorithm)
        except Exception as error:  # noqa: BLE001 - it concerns this key alone, whatever it is
            shown = key.get("kid") if isinstance(key, dict) else key
            reason = str(error)[:_MOST_SHOWN_CHARS]
            log.warning("key_not_usable", kid=_SHORT.repr(shown), error=reason)
    if not usable:
        raise KeySetError("it holds no key for RS256 or ES256")
    return usable


def _algorithm(key: Any) -> str | None:
    """The algorithm of a key that is for us; raises jwt.InvalidKeyError for one that is odd."""
    if not isinstance(key, dict):
        raise jwt.InvalidKeyError(f"the key is a {type(key).__name__}")
    for member, kind in _MEMBERS.items():
        if member in key and not isinstance(key[member], kind):
            raise jwt.InvalidKeyError(f"{member} is a {type(key[member]).__name__}")
    algorithm = _ALGORITHMS.get(key.get("kty", ""))
    if algorithm is None or "d" in key:
        return None
    if key.get("use", "sig") != "sig" or "verify" not in key.get("key_ops", ["verify"]):
        return None
    if algorithm == "ES256" and key.get("crv") != _CURVE:
        return None
    return algorithm if key.get("alg", algorithm) == algorithm else None


def _public_key(key: Mapping[str, Any], algorithm: str) -> Any:
    public = jwt.PyJWK(dict(key), algorithm).key
    if algorithm == "RS256" and public.key_size not in _RSA_BITS:
        raise jwt.InvalidKeyError(f"an RSA key of {public.key_size} bits")
    return public
