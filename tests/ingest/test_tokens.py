"""Tokens: who they name, which are refused, and what is remembered of them."""

import hashlib
import hmac
from time import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from ingest import tokens
from ingest.claims import ClaimRules
from ingest.tokens import Checked, InvalidToken, SecretVerifier, TokenAuthenticator
from tests.ingest.forging import HS256, claims, forged, segment
from tests.ingest.support import SECRET, Service, authenticator, token
from tests.virtual_time import run


async def refused(text: str, rules: ClaimRules | None = None) -> str:
    """Check that a token is refused, and return why."""
    with pytest.raises(InvalidToken) as caught:
        await authenticator(rules).identify(text)
    return str(caught.value)


async def test_a_token_names_its_subject() -> None:
    identity = await authenticator().identify(token("user-1"))

    assert identity.user_id == "user-1"


async def test_the_hand_written_token_of_these_tests_is_accepted_with_the_right_key() -> None:
    identity = await authenticator().identify(forged(HS256, claims(), SECRET))

    assert identity.user_id == "user-1"


async def test_a_token_signed_with_another_secret_is_refused() -> None:
    assert await refused(forged(HS256, claims(), "another secret of thirty-two bytes!!"))


async def test_a_token_whose_claims_were_changed_is_refused() -> None:
    header, _, signature = token("user-1").split(".")

    assert await refused(f"{header}.{segment(claims(sub='user-2'))}.{signature}")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
async def test_a_token_without_a_signature_is_refused(algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "JWT"}

    assert await refused(forged(header, claims(), None))
    assert await refused(forged(header, claims(), SECRET))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256"])
async def test_a_token_of_another_algorithm_is_refused(algorithm: str) -> None:
    assert await refused(forged({"alg": algorithm, "typ": "JWT"}, claims(), SECRET))


async def test_a_token_by_a_private_key_is_refused_where_a_secret_is_set() -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

    assert await refused(jwt.encode(claims(), pem, "RS256"))


async def test_a_token_that_brings_its_own_key_is_refused() -> None:
    own = "an attacker's own key of thirty-two bytes"
    jwk = {"kty": "oct", "k": segment(own.encode())}

    assert await refused(forged({**HS256, "jwk": jwk, "kid": "../../dev/null"}, claims(), own))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1_000_000_000}, "expired"),
        ({"nbf": 100_000_000_000}, "not valid yet"),
        ({"iat": 100_000_000_000}, "not valid yet"),
        ({"exp": "soon"}, "not valid"),
        ({"exp": None}, "exp"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "not valid"),
        ({"sub": {"$ne": ""}}, "not valid"),
        ({"sub": "x" * 513}, "sub"),
        ({"sub": "\ud800"}, "sub"),
        ({"sub": "user\n1"}, "sub"),
        ({"sub": "user\uffff"}, "sub"),
    ],
)
async def test_a_token_with_impossible_claims_is_refused(
    changes: dict[str, Any], reason: str
) -> None:
    given = {name: value for name, value in claims(**changes).items() if value is not None}

    assert reason in await refused(forged(HS256, given, SECRET))


async def test_a_clock_that_is_a_few_seconds_off_does_no_harm() -> None:
    late = forged(HS256, claims(exp=int(time()) - 5), SECRET)
    early = forged(HS256, claims(nbf=int(time()) + 5), SECRET)

    assert (await authenticator().identify(late)).user_id == "user-1"
    assert (await authenticator().identify(early)).user_id == "user-1"


async def test_audience_and_issuer_are_checked_where_they_are_configured() -> None:
    rules = ClaimRules(audience="participation", issuer="https://issuer")
    right = {"aud": ["other", "participation"], "iss": "https://issuer"}

    accepted = await authenticator(rules).identify(forged(HS256, claims(**right), SECRET))
    assert accepted.user_id == "user-1"
    for wrong in (
        {},
        {"aud": "participation"},
        {"iss": "https://issuer"},
        {**right, "aud": "other"},
        {**right, "iss": "https://issuer.evil"},
        {**right, "iss": ["https://issuer"]},
    ):
        assert await refused(forged(HS256, claims(**wrong), SECRET), rules)


async def test_a_token_for_an_audience_is_accepted_where_none_is_configured() -> None:
    identity = await authenticator().identify(forged(HS256, claims(aud="somebody"), SECRET))

    assert identity.user_id == "user-1"


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "ü.ü.ü", "\x00", "e30.e30.e30", "x" * 8_193],
)
async def test_what_is_no_token_is_refused(text: str) -> None:
    assert await refused(text)


async def test_claims_nested_very_deeply_are_refused() -> None:
    header, depth = segment(HS256), 2_500
    text = f"{header}.{segment(b'[' * depth + b']' * depth)}"
    signature = segment(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())

    assert await refused(f"{text}.{signature}")


@given(st.text(max_size=100))
def test_no_text_makes_anything_but_a_refusal(text: str) -> None:
    async def main() -> None:
        assert await refused(text)

    run(main)


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, "Bearer"),
        ({"Authorization": ""}, "Bearer"),
        ({"Authorization": "Bearer"}, "Bearer"),
        ({"Authorization": "Bearer "}, "Bearer"),
        ({"Authorization": "Basic dXNlcjp4"}, "Bearer"),
        ({"Authorization": "Bearer nonsense"}, 'Bearer error="invalid_token"'),
        ({"Authorization": f"Bearer {forged({'alg': 'none'}, {'sub': 'x'}, None)}"}, "error="),
    ],
)
async def test_without_a_good_token_every_route_of_users_is_401(
    headers: dict[str, str], challenge: str
) -> None:
    service = Service()
    async with service.client() as http:
        for method, path in (
            ("POST", "/events/event-1/participations"),
            ("GET", "/requests/x"),
            ("GET", "/me/participations"),
        ):
            answer = await http.request(method, path, headers=headers)
            assert answer.status_code == 401
            assert challenge in answer.headers["www-authenticate"]
            assert answer.json()["type"].endswith(":unauthorized")
    assert service.gateway.operations == []


async def test_the_scheme_is_spelled_in_any_case() -> None:
    async with Service().client() as http:
        answer = await http.get(
            "/me/participations", headers={"Authorization": f"bEARER {token('user-1')}"}
        )

    assert answer.status_code == 200


class CountingVerifier(SecretVerifier):
    """Counts how often a signature is checked, by PyJWT or quickly."""

    def __init__(self) -> None:
        super().__init__(SECRET)
        self.generation = 0
        self.checks = 0

    async def check(self, token: str, rules: ClaimRules) -> Checked:
        self.checks += 1
        checked = await super().check(token, rules)

        def verify(signed: bytes, signature: bytes) -> bool:
            self.checks += 1
            return checked.verify(signed, signature)

        return Checked(checked.claims, verify)


class Remembering:
    """An authenticator with a clock of its own."""

    def __init__(self) -> None:
        self.verifier = CountingVerifier()
        self.offset_s = 0.0
        self.authenticator = TokenAuthenticator(
            self.verifier, ClaimRules(), log_key=b"key", now_s=lambda: time() + self.offset_s
        )


async def test_a_token_is_checked_once_a_minute() -> None:
    remembering = Remembering()
    text = token("user-1", expires_in_s=3_600)

    for offset_s in (0, 30, 59):
        remembering.offset_s = offset_s
        assert (await remembering.authenticator.identify(text)).user_id == "user-1"
    assert remembering.verifier.checks == 1
    remembering.offset_s = 61
    await remembering.authenticator.identify(text)
    assert remembering.verifier.checks == 2


async def test_a_remembered_token_is_forgotten_when_it_expires() -> None:
    remembering = Remembering()
    text = token("user-1", expires_in_s=20)
    await remembering.authenticator.identify(text)

    remembering.offset_s = 21
    await remembering.authenticator.identify(text)

    assert remembering.verifier.checks == 2


async def test_when_a_key_is_taken_away_nothing_is_remembered() -> None:
    remembering = Remembering()
    text = token("user-1")
    await remembering.authenticator.identify(text)

    remembering.verifier.generation += 1
    await remembering.authenticator.identify(text)

    assert remembering.verifier.checks == 2


async def test_a_refused_token_is_checked_each_time() -> None:
    remembering = Remembering()

    for _ in range(3):
        with pytest.raises(InvalidToken):
            await remembering.authenticator.identify("a.b.c")

    assert remembering.verifier.checks == 3


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_REMEMBERED_TOKENS", 3)
    remembering = Remembering()
    texts = [token(f"user-{n}") for n in range(4)]

    for text in texts:
        await remembering.authenticator.identify(text)
    await remembering.authenticator.identify(texts[3])
    assert remembering.verifier.checks == 4
    await remembering.authenticator.identify(texts[0])
    assert remembering.verifier.checks == 5


async def test_a_users_hash_is_keyed_and_stable() -> None:
    first = await authenticator().identify(token("user-1"))
    again = await authenticator().identify(token("user-1", expires_in_s=50))
    elsewhere = TokenAuthenticator(
        SecretVerifier(SECRET), ClaimRules(), log_key=b"another key", now_s=time
    )

    assert first.user_hash == again.user_hash
    assert "user" not in first.user_hash
    assert (await elsewhere.identify(token("user-1"))).user_hash != first.user_hash


def test_no_token_is_made_for_an_impossible_user() -> None:
    for user in ("", "x" * 513, "user\x00", "user\ud800"):
        with pytest.raises(ValueError, match="1 to 512 bytes"):
            token(user)
