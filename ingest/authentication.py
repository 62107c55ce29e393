"""Chooses by the settings how tokens are checked, and derives the keys that go with that."""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from config.settings import IngestSettings
from ingest.claims import ClaimRules
from ingest.jwks import KeySet
from ingest.tokens import Authenticator, SecretVerifier, TokenAuthenticator, Verifier


@asynccontextmanager
async def open_authenticator(settings: IngestSettings) -> AsyncIterator[Authenticator]:
    """Make the authenticator that the settings ask for; raises KeySetError."""
    async with _verifier(settings) as verifier:
        yield TokenAuthenticator(
            verifier,
            ClaimRules(audience=settings.jwt_audience, issuer=settings.jwt_issuer),
            log_key=_derived(settings, b"user-hash"),
            now_s=time.time,
        )


@asynccontextmanager
async def _verifier(settings: IngestSettings) -> AsyncIterator[Verifier]:
    if settings.jwt_secret is not None:
        yield SecretVerifier(settings.jwt_secret.get_secret_value())
        return
    if settings.jwks_url is None:
        raise ValueError("neither JWT_SECRET nor JWKS_URL is set")
    async with (
        httpx.AsyncClient(timeout=None) as client,  # noqa: S113 - the key set has a deadline
        KeySet(settings.jwks_url, client).running() as key_set,
    ):
        yield key_set


def cursor_key(settings: IngestSettings) -> bytes:
    """The key of list cursors: equal in all processes with equal settings."""
    return _derived(settings, b"cursors")


def _derived(settings: IngestSettings, purpose: bytes) -> bytes:
    """A key for one purpose.

    Secret where JWT_SECRET is set. With JWKS_URL no secret is shared; the key then keeps only
    accidents away, which suffices: see docs/decisions.
    """
    if settings.jwt_secret is not None:
        source = settings.jwt_secret.get_secret_value()
    else:
        source = f"{settings.jwks_url} {settings.table_name}"
    return hashlib.blake2b(source.encode(), digest_size=32, person=purpose).digest()
