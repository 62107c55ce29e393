"""Key sets: which tokens they check, rotation, refreshing, and a URL that fails."""

import hashlib
import hmac
from collections.abc import Sequence
from time import time
from typing import Any

import anyio
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from structlog.testing import capture_logs

from ingest.jwks import MAX_DOCUMENT_BYTES, KeySet, KeySetError, RefreshPolicy
from ingest.tokens import ClaimRules, InvalidToken, TokenAuthenticator
from tests.ingest.test_tokens import segment
from tests.virtual_time import virtual_time

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


class Issuer:
    """Serves a key set, unless it is set to fail."""

    def __init__(self, *jwks: dict[str, Any]) -> None:
        self.jwks: Sequence[dict[str, Any]] = jwks
        self.fetches = 0
        self.answer: httpx.Response | Exception | None = None
        self.wait_s = 0.0

    async def handle(self, _request: httpx.Request) -> httpx.Response:
        self.fetches += 1
        await anyio.sleep(self.wait_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or httpx.Response(200, json={"keys": list(self.jwks)})

    def key_set(self, policy: RefreshPolicy | None = None) -> KeySet:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        return KeySet(URL, client, policy, anyio.current_time)


async def user_of(key_set: KeySet, token: str) -> str:
    """The user whom a token names."""
    return str((await key_set.claims(token, RULES))["sub"])


async def assert_refused(key_set: KeySet, token: str) -> None:
    with pytest.raises(jwt.PyJWTError):
        await key_set.claims(token, RULES)


@virtual_time
async def test_tokens_of_both_algorithms_are_checked_with_one_fetch() -> None:
    issuer = Issuer(RSA_KEY.jwk, EC_KEY.jwk)
    async with issuer.key_set().running() as key_set:
        assert await user_of(key_set, RSA_KEY.token()) == "user-1"
        assert await user_of(key_set, EC_KEY.token("user-2")) == "user-2"

    assert issuer.fetches == 1


@virtual_time
async def test_a_token_of_a_foreign_key_with_a_known_name_is_refused() -> None:
    async with Issuer(RSA_KEY.jwk, EC_KEY.jwk).key_set().running() as key_set:
        await assert_refused(key_set, NEXT_KEY.token(kid="rsa-1"))
        await assert_refused(key_set, RSA_KEY.token(kid="ec-1"))
        await assert_refused(key_set, EC_KEY.token(kid="rsa-1"))


@virtual_time
async def test_a_public_key_used_as_a_secret_is_refused() -> None:
    async with Issuer(RSA_KEY.jwk).key_set().running() as key_set:
        for secret in (RSA_KEY.pem, RSA_KEY.pem.strip(), RSA_KEY.jwk["n"].encode()):
            header = segment({"alg": "HS256", "kid": "rsa-1"})
            text = f"{header}.{segment({'sub': 'admin', 'exp': int(time()) + 60})}"
            signature = segment(hmac.new(secret, text.encode(), hashlib.sha256).digest())
            await assert_refused(key_set, f"{text}.{signature}")


@virtual_time
async def test_unsigned_tokens_and_other_algorithms_are_refused() -> None:
    issuer = Issuer(RSA_KEY.jwk)
    async with issuer.key_set().running() as key_set:
        await anyio.sleep(11)
        body = segment({"sub": "admin", "exp": int(time()) + 60})
        for algorithm in ("none", "None", "RS384", "PS256", "", None, 7, ["RS256"]):
            header = segment({"alg": algorithm, "kid": "rsa-1"})
            await assert_refused(key_set, f"{header}.{body}.")
            await assert_refused(key_set, f"{header}.{body}.{RSA_KEY.token().split('.')[2]}")
        assert issuer.fetches == 1  # such tokens are not worth a fetch
        header = segment({"alg": "RS256", "kid": {"a": 1}})
        await assert_refused(key_set, f"{header}.{body}.{RSA_KEY.token().split('.')[2]}")


@virtual_time
async def test_an_expired_token_is_refused() -> None:
    async with Issuer(RSA_KEY.jwk).key_set().running() as key_set:
        with pytest.raises(jwt.ExpiredSignatureError):
            await key_set.claims(RSA_KEY.token(exp=int(time()) - 60), RULES)


@virtual_time
async def test_a_token_without_a_key_name_needs_a_set_of_one_key() -> None:
    nameless = Key(None)
    async with Issuer(nameless.jwk).key_set().running() as key_set:
        assert await user_of(key_set, nameless.token()) == "user-1"
    async with Issuer(nameless.jwk, RSA_KEY.jwk).key_set().running() as key_set:
        await assert_refused(key_set, nameless.token())


@virtual_time
async def test_a_new_key_is_fetched_when_the_first_token_names_it() -> None:
    issuer = Issuer(RSA_KEY.jwk)
    async with issuer.key_set().running() as key_set:
        await anyio.sleep(11)
        issuer.jwks = [RSA_KEY.jwk, NEXT_KEY.jwk]
        assert await user_of(key_set, NEXT_KEY.token()) == "user-1"
        assert await user_of(key_set, RSA_KEY.token()) == "user-1"
        assert key_set.generation == 0

    assert issuer.fetches == 2


@virtual_time
async def test_unknown_key_names_make_one_fetch_in_ten_seconds_at_most() -> None:
    issuer = Issuer(RSA_KEY.jwk)
    issuer.wait_s = 0.1
    async with issuer.key_set().running() as key_set:
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(assert_refused, key_set, NEXT_KEY.token(kid=f"made-up-{number}"))
        assert issuer.fetches == 1
        await anyio.sleep(10)
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(assert_refused, key_set, NEXT_KEY.token(kid=f"made-up-{number}"))

    assert issuer.fetches == 2


@virtual_time
async def test_a_key_that_was_taken_away_is_refused_after_the_next_refresh() -> None:
    issuer = Issuer(RSA_KEY.jwk, NEXT_KEY.jwk)
    async with issuer.key_set(RefreshPolicy(interval_s=300)).running() as key_set:
        users = TokenAuthenticator(key_set, RULES, log_key=b"key", now_s=time)
        token = RSA_KEY.token()
        await users.identify(token)
        issuer.jwks = [NEXT_KEY.jwk]
        await anyio.sleep(301)
        with pytest.raises(InvalidToken):
            await users.identify(token)


@virtual_time
async def test_a_key_that_changes_under_its_name_replaces_the_old_one() -> None:
    issuer = Issuer(RSA_KEY.jwk)
    async with issuer.key_set(RefreshPolicy(interval_s=300)).running() as key_set:
        issuer.jwks = [NEXT_KEY.jwk | {"kid": "rsa-1"}]
        await anyio.sleep(301)
        assert key_set.generation == 1
        await assert_refused(key_set, RSA_KEY.token())
        assert await user_of(key_set, NEXT_KEY.token(kid="rsa-1")) == "user-1"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"Location": "https://evil.example/jwks.json"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"keys": {}}),
        httpx.Response(200, json={"keys": []}),
        httpx.Response(200, content=b" " * (MAX_DOCUMENT_BYTES + 1)),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
    ids=lambda answer: f"{type(answer).__name__}-{getattr(answer, 'status_code', '')}",
)
def test_while_the_url_fails_the_last_keys_stay_in_use(answer: httpx.Response | Exception) -> None:
    @virtual_time
    async def main() -> None:
        issuer = Issuer(RSA_KEY.jwk)
        async with issuer.key_set(RefreshPolicy(interval_s=300)).running() as key_set:
            issuer.answer = answer
            with capture_logs() as logs:
                await anyio.sleep(300.2)
            assert [line["event"] for line in logs] == ["key_set_not_refreshed"]
            assert await user_of(key_set, RSA_KEY.token()) == "user-1"
            issuer.answer, issuer.jwks = None, [RSA_KEY.jwk, NEXT_KEY.jwk]
            await anyio.sleep(5)  # tried again soon, not after the whole interval
            fetches = issuer.fetches
            assert await user_of(key_set, NEXT_KEY.token()) == "user-1"
            assert issuer.fetches == fetches

    main()


@virtual_time
async def test_without_any_key_it_does_not_start() -> None:
    issuer = Issuer()
    with pytest.raises(KeySetError, match="no key"):
        async with issuer.key_set().running():
            pass


@pytest.mark.parametrize(
    "unusable",
    [
        {"kty": "oct", "k": segment(b"x" * 32), "kid": "rsa-1"},
        {**RSA_KEY.jwk, "use": "enc"},
        {**RSA_KEY.jwk, "key_ops": ["encrypt"]},
        {**RSA_KEY.jwk, "alg": "RS512"},
        {**RSA_KEY.jwk, "n": "!"},
        RSA_KEY.private_jwk,
        EC_KEY.private_jwk,
        {**RSA_KEY.jwk, "kid": 5},
        {**EC_KEY.jwk, "crv": "P-384"},
        {**EC_KEY.jwk, "crv": None},
        {**EC_KEY.jwk, "x": "AA"},
        Key("short", bits=1_024).jwk,
        {},
        "a text",
    ],
)
def test_keys_that_are_not_for_our_signatures_are_left_out(unusable: Any) -> None:
    @virtual_time
    async def main() -> None:
        with pytest.raises(KeySetError, match="no key"):
            async with Issuer(unusable).key_set().running():
                pass

    main()
