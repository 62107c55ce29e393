"""A key set fetched from JWKS_URL: cached, refreshed in the background, and on an unknown key."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import Any, Final

import anyio
import httpx
import jwt
import orjson
import structlog

from ingest.tokens import ClaimRules
from runtime import backoff

MAX_DOCUMENT_BYTES: Final = 1_048_576
_ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256"}
_CURVE: Final = "P-256"
_MIN_RSA_BITS: Final = 2_048  # RFC 7518 §3.3
_OK: Final = 200

Key = tuple[str | None, str]
"""A key's `kid` and the one algorithm that it may be used with."""

log = structlog.get_logger("ingest")


class KeySetError(Exception):
    """No usable key set could be fetched; the text says why."""


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """How often the key set is fetched."""

    interval_s: float = 300.0
    unknown_key_interval_s: float = 10.0
    """Tokens with an unknown `kid` make us fetch at most this often: anybody can make some up."""
    retry_base_s: float = 1.0
    retry_max_s: float = 60.0


class KeySet:
    """Checks RS256 and ES256 tokens with the keys of one URL.

    While the URL does not answer, the last keys stay in use. A key that is gone from the set is
    gone here at the next refresh, and with it every token remembered before.
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
        self._one_at_a_time = anyio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["KeySet"]:
        """Fetch the keys, and keep them fresh meanwhile; raises KeySetError."""
        await self.refresh()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_fresh)
            yield self
            tasks.cancel_scope.cancel()

    async def claims(self, token: str, rules: ClaimRules) -> Mapping[str, Any]:
        """Check signature and claims; raises jwt.PyJWTError."""
        header = jwt.get_unverified_header(token)
        algorithm = str(header.get("alg"))
        if algorithm not in _ALGORITHMS.values():
            raise jwt.InvalidAlgorithmError("the algorithm is not allowed")
        name = header.get("kid")
        key = self._find(name, algorithm)
        if key is None:
            await self._refresh_for_unknown()
            key = self._find(name, algorithm)
        if key is None:
            raise jwt.InvalidKeyError("the token names no key of ours")
        return rules.decode(token, key, algorithm)

    async def refresh(self) -> None:
        """Fetch the key set now; raises KeySetError and then keeps the former keys."""
        self._tried_at_s = self._clock_s()
        keys = usable_keys(await self._fetch())
        if not keys:
            raise KeySetError(f"{self._url} holds no key for RS256 or ES256")
        if any(keys.get(name) != key for name, key in self._keys.items()):
            self.generation += 1
        self._keys = keys

    def _find(self, name: object, algorithm: str) -> Any:
        if name is None:
            # Without a name only a set of one key leaves no doubt.
            return next(iter(self._keys.values())) if self._is_only(algorithm) else None
        return self._keys.get((name, algorithm)) if isinstance(name, str) else None

    def _is_only(self, algorithm: str) -> bool:
        return [key[1] for key in self._keys] == [algorithm]

    async def _refresh_for_unknown(self) -> None:
        async with self._one_at_a_time:
            if self._clock_s() - self._tried_at_s < self._policy.unknown_key_interval_s:
                return
            await self._refresh_or_warn()

    async def _refresh_or_warn(self) -> bool:
        try:
            await self.refresh()
        except KeySetError as error:
            log.warning("key_set_not_refreshed", error=str(error))
            return False
        return True

    async def _keep_fresh(self) -> None:
        failures = 0
        while True:
            wait_s = self._policy.interval_s
            if failures:
                base, longest = self._policy.retry_base_s, self._policy.retry_max_s
                wait_s = backoff.delay_s(failures, base, longest, self._random)
            await anyio.sleep(wait_s)
            async with self._one_at_a_time:
                failures = 0 if await self._refresh_or_warn() else failures + 1

    async def _fetch(self) -> bytes:
        try:
            async with self._client.stream("GET", self._url) as response:
                if response.status_code != _OK:
                    raise KeySetError(f"{self._url} answered {response.status_code}")
                document = bytearray()
                async for chunk in response.aiter_bytes():
                    document += chunk
                    if len(document) > MAX_DOCUMENT_BYTES:
                        raise KeySetError(f"{self._url} is larger than {MAX_DOCUMENT_BYTES} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise KeySetError(f"{self._url}: {type(error).__name__}: {error}") from error
        return bytes(document)


def usable_keys(document: bytes) -> dict[Key, Any]:
    """Choose the public signature keys of a key set, each with its one algorithm.

    Symmetric keys, private keys, keys for encryption and for other algorithms are left out.
    Raises KeySetError for anything but a key set.
    """
    try:
        keys = orjson.loads(document)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise KeySetError("the document is not a JWK set") from None
    if not isinstance(keys, list):
        raise KeySetError("the document is not a JWK set")
    usable: dict[Key, Any] = {}
    for key in keys:
        algorithm = _algorithm(key) if isinstance(key, dict) else None
        if algorithm is None:
            continue
        try:
            usable[key.get("kid"), algorithm] = _public_key(key, algorithm)
        except jwt.PyJWTError as error:
            log.warning("key_not_usable", kid=key.get("kid"), error=str(error))
    return usable


def _algorithm(key: Mapping[str, Any]) -> str | None:
    algorithm = _ALGORITHMS.get(str(key.get("kty")))
    if algorithm is None or "d" in key:
        return None
    if key.get("use", "sig") != "sig" or "verify" not in key.get("key_ops", ["verify"]):
        return None
    if algorithm == "ES256" and key.get("crv") != _CURVE:
        return None
    if not isinstance(key.get("kid"), str | None):
        return None
    return algorithm if key.get("alg", algorithm) == algorithm else None


def _public_key(key: Mapping[str, Any], algorithm: str) -> Any:
    public = jwt.PyJWK(dict(key), algorithm).key
    if algorithm == "RS256" and public.key_size < _MIN_RSA_BITS:
        raise jwt.InvalidKeyError(f"an RSA key of {public.key_size} bits is too short")
    return public
