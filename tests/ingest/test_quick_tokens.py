"""The quick check of tokens: whatever it says, PyJWT says as well, and it does say something."""

import hmac
from collections.abc import Mapping
from time import time
from typing import Any

import anyio
import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.claims import ClaimRules
from ingest.quick_tokens import QuickTokens
from ingest.tokens import Checked, InvalidToken, SecretVerifier, TokenAuthenticator
from tests.ingest.forging import HS256, claims, forged, segment
from tests.ingest.issuer import EC_KEY, NEXT_KEY, RSA_KEY, Issuer
from tests.ingest.support import SECRET
from tests.virtual_time import virtual_time

OTHER = "another secret of more than thirty-two bytes"
HEADERS: list[dict[str, Any]] = [
    HS256,
    {"alg": "HS256"},
    {"typ": "JWT", "alg": "HS256"},
    {"alg": "none"},
    {"alg": "HS512", "typ": "JWT"},
    {"alg": "HS256", "crit": ["exp"]},
    {"alg": "HS256", "b64": False, "crit": ["b64"]},
]
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=True),
    st.text(max_size=5),
    st.lists(st.sampled_from(["a", "b", 1]), max_size=2),
)
times = st.integers(-30, 30).map(lambda seconds: int(time()) + seconds * 60) | odd
members: dict[str, st.SearchStrategy[Any]] = {
    "sub": st.sampled_from(["ünï", ""]) | odd,
    "exp": times,
    "nbf": times,
    "iat": times,
    "aud": st.sampled_from(["a", "b", ["a", "b"], [], ["a", 1]]) | odd,
    "iss": st.sampled_from(["i", "j"]) | odd,
    "jti": st.just("x") | odd,
    "name": odd,
}


@st.composite
def payloads(draw: st.DrawFn) -> dict[str, Any]:
    """Good claims, but for one or two of them."""
    good = claims(iat=int(time()), aud="a", iss="i", jti="x")
    names = draw(st.lists(st.sampled_from(sorted(members)), max_size=2, unique=True))
    return good | {name: draw(members[name]) for name in names}


rules = st.builds(
    ClaimRules, audience=st.sampled_from([None, "a"]), issuer=st.sampled_from([None, "i"])
)


def quick(expected: ClaimRules) -> QuickTokens:
    """A quick check that has seen a good token of each header that PyJWT accepts."""
    made = QuickTokens(expected, time)
    for header in HEADERS[:3]:
        made.learn(forged(header, {}, SECRET), SecretVerifier(SECRET)._verify)
    return made


def of_pyjwt(token: str, expected: ClaimRules) -> Mapping[str, Any] | None:
    """The claims that PyJWT accepts."""
    try:
        return expected.decode(token, SECRET, "HS256")
    except jwt.PyJWTError:
        return None


def agrees(token: str, expected: ClaimRules) -> bool | None:
    """Whether the quick check says what PyJWT says; None where it says nothing."""
    slow = of_pyjwt(token, expected)
    try:
        found = quick(expected).claims(token)
    except jwt.InvalidSignatureError:
        return slow is None
    return None if found is None else found == slow


@settings(max_examples=500)
@given(header=st.sampled_from(HEADERS), payload=payloads(), expected=rules, forger=st.booleans())
def test_it_accepts_and_refuses_nothing_that_pyjwt_does_not(
    header: dict[str, Any], payload: dict[str, Any], expected: ClaimRules, *, forger: bool
) -> None:
    token = forged(header, payload, OTHER if forger else SECRET)

    assert agrees(token, expected) in {None, True}


@given(data=st.data())
def test_a_token_with_other_characters_is_no_better(data: st.DataObject) -> None:
    token = forged(HS256, claims(iat=int(time())), SECRET)
    at = data.draw(st.integers(0, len(token)))
    put = data.draw(st.text("AQgwz9-_.=+/ é\n", max_size=3))
    cut = data.draw(st.integers(0, 3))

    assert agrees(token[:at] + put + token[at + cut :], ClaimRules()) in {None, True}


@pytest.mark.parametrize("part", [1, 2])
@pytest.mark.parametrize("length", range(3))
def test_of_the_encodings_of_the_same_bytes_one_is_good(part: int, length: int) -> None:
    segments = forged(HS256, claims(name="x" * length), SECRET).split(".")
    right = segments[part][-1]

    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        segments[part] = segments[part][:-1] + last
        token = ".".join(segments)
        if part == 1:
            token = f"{segments[0]}.{segments[1]}.{segment(signature_of(segments))}"
        assert agrees(token, ClaimRules()) in {None, True}
        if last == right:
            assert quick(ClaimRules()).claims(token) is not None


def signature_of(segments: list[str]) -> bytes:
    """The right signature of a token's first two segments."""
    return hmac.digest(SECRET.encode(), f"{segments[0]}.{segments[1]}".encode(), "sha256")


def test_what_is_nested_deeper_than_pyjwt_s_parser_goes_is_left_to_it() -> None:
    nested = "[" * 1_000 + "]" * 1_000
    payload = f'{{"sub": "user-1", "exp": {int(time()) + 60}, "x": {nested}}}'
    segments = [segment(HS256), segment(payload.encode())]

    token = ".".join([*segments, segment(signature_of(segments))])

    assert quick(ClaimRules()).claims(token) is None


class Slow(SecretVerifier):
    """Counts what is left to PyJWT."""

    def __init__(self) -> None:
        super().__init__(SECRET)
        self.generation = 0
        self.asked = 0

    async def check(self, token: str, rules: ClaimRules) -> Checked:
        self.asked += 1
        return await super().check(token, rules)


async def test_pyjwt_is_asked_once_for_each_header_and_for_what_is_odd() -> None:
    slow = Slow()
    users = TokenAuthenticator(slow, ClaimRules(), log_key=b"key", now_s=time)

    for number in range(5):
        token = forged(HS256, claims(sub=f"user-{number}", iat=int(time()), jti="x"), SECRET)
        assert (await users.identify(token)).user_id == f"user-{number}"
    assert slow.asked == 1
    await users.identify(forged({"alg": "HS256"}, claims(), SECRET))
    await users.identify(forged(HS256, claims(exp=time() + 60), SECRET))
    assert slow.asked == 3
    with pytest.raises(InvalidToken):
        await users.identify(forged(HS256, claims(), OTHER))
    assert slow.asked == 3
    slow.generation += 1
    await users.identify(forged(HS256, claims(sub="user-9"), SECRET))
    assert slow.asked == 4


@virtual_time
@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY], ids=["RS256", "ES256"])
async def test_it_knows_the_tokens_of_a_key_set_until_the_keys_change(key: Any) -> None:
    issuer = Issuer(RSA_KEY.jwk, EC_KEY.jwk)
    async with issuer.key_set().running() as key_set:
        users = TokenAuthenticator(key_set, ClaimRules(), log_key=b"key", now_s=time)
        for number in range(3):
            token = key.token(f"user-{number}")
            assert (await users.identify(token)).user_id == f"user-{number}"
            assert users._quick.claims(token) is not None
            with pytest.raises(InvalidToken):
                await users.identify(token[:-8] + "AAAAAAAA")
        issuer.jwks = [NEXT_KEY.jwk]
        await anyio.sleep(301)
        with pytest.raises(InvalidToken):
            await users.identify(key.token("user-9"))
