"""An issuer of tokens as the key sets' tests need it: its keys, and what its URL answers."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import time
from typing import Any

import anyio
import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from ingest.claims import ClaimRules
from ingest.jwks import KeySet, RefreshPolicy

URL = "https://issuer.example/jwks.json"
RULES = ClaimRules()


class Key:
    """A key pair of an issuer."""

    def __init__(self, kid: str | None, algorithm: str = "RS256", bits: int = 2_048) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
        if algorithm == "RS256":
            self.private = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key, as a key set holds it."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            document = RSAAlgorithm.to_jwk(public, as_dict=True)
        else:
            document = ECAlgorithm.to_jwk(public, as_dict=True)
        document.pop("key_ops", None)
        return document | ({} if self.kid is None else {"kid": self.kid})

    @property
    def private_jwk(self) -> dict[str, Any]:
        """The private key, which no issuer should ever show."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            document = RSAAlgorithm.to_jwk(self.private, as_dict=True)
        else:
            document = ECAlgorithm.to_jwk(self.private, as_dict=True)
        return document | {"kid": self.kid, "key_ops": ["verify"]}

    @property
    def pem(self) -> bytes:
        """The public key as PEM."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def token(self, user: str = "user-1", kid: str | None = None, **claims: Any) -> str:
        """A token signed with this key."""
        headers = {} if (name := kid or self.kid) is None else {"kid": name}
        content = {"sub": user, "exp": int(time()) + 600, **claims}
        return jwt.encode(content, self.private, self.algorithm, headers)


RSA_KEY = Key("rsa-1")
EC_KEY = Key("ec-1", "ES256")
NEXT_KEY = Key("rsa-2")

Answer = Callable[[], httpx.Response]


def answer(
    status: int = 200,
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    piece_bytes: int = 65_536,
    every_s: float = 0.0,
) -> Answer:
    """Answer as a server does, piece by piece."""

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(content), piece_bytes):
            await anyio.sleep(every_s)
            yield content[start : start + piece_bytes]

    return lambda: httpx.Response(status, headers=headers, content=body())


def failure(error: Exception) -> Answer:
    """Give no answer."""

    def fail() -> httpx.Response:
        raise error

    return fail


class Issuer:
    """Serves a key set, unless it is set to answer something else."""

    def __init__(self, *jwks: Any) -> None:
        self.jwks: Sequence[Any] = jwks
        self.requests: list[httpx.Request] = []
        self.answer: Answer | None = None
        self.wait_s = 0.0

    @property
    def fetches(self) -> int:
        """How often the key set was asked for."""
        return len(self.requests)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        await anyio.sleep(self.wait_s)
        document = httpx.Response(200, json={"keys": list(self.jwks)}).content
        return (self.answer or answer(content=document))()

    def key_set(self, policy: RefreshPolicy | None = None, url: str = URL) -> KeySet:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        return KeySet(url, client, policy, anyio.current_time)


async def user_of(key_set: KeySet, token: str) -> str:
    """The user whom a token names."""
    return str((await key_set.check(token, RULES)).claims["sub"])
