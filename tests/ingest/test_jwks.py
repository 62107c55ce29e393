"""Key sets: which tokens they check, which keys they hold, and that an odd key harms no other."""

import hashlib
import hmac
from time import time
from typing import Any

import anyio
import jwt
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ingest.jwks import KeySet, KeySetError, usable_keys
from tests.ingest.forging import segment
from tests.ingest.issuer import EC_KEY, NEXT_KEY, RSA_KEY, RULES, Issuer, Key, user_of
from tests.virtual_time import virtual_time


async def assert_refused(key_set: KeySet, token: str) -> None:
    with pytest.raises(jwt.PyJWTError):
        await key_set.check(token, RULES)


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
            await key_set.check(RSA_KEY.token(exp=int(time()) - 60), RULES)


@virtual_time
async def test_a_token_without_a_key_name_needs_a_set_of_one_key() -> None:
    nameless = Key(None)
    async with Issuer(nameless.jwk).key_set().running() as key_set:
        assert await user_of(key_set, nameless.token()) == "user-1"
    async with Issuer(nameless.jwk, RSA_KEY.jwk).key_set().running() as key_set:
        await assert_refused(key_set, nameless.token())


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


PIECES = RSA_KEY.jwk | {"kid": "odd"}
ODD = {
    "no object": 5,
    "a list": [[[[]]]],
    "key_ops null": PIECES | {"key_ops": None},
    "key_ops a number": PIECES | {"key_ops": 7},
    "key_ops a text": PIECES | {"key_ops": "verify"},
    "kty a list": PIECES | {"kty": ["RSA"]},
    "kid a list": PIECES | {"kid": ["odd"]},
    "kid an object": PIECES | {"kid": {"a": {"b": "c" * 10_000}}},
    "kid null": PIECES | {"kid": None},
    "use a number": PIECES | {"use": 1},
    "alg a list": PIECES | {"alg": ["RS256"]},
    "no n": {name: value for name, value in PIECES.items() if name != "n"},
    "no e": {name: value for name, value in PIECES.items() if name != "e"},
    "n a number": PIECES | {"n": 5},
    "n a list": PIECES | {"n": [PIECES["n"]]},
    "n empty": PIECES | {"n": ""},
    "n no base64": PIECES | {"n": "\u00fc" * 342},
    "n huge": PIECES | {"n": "-" * 400_000},
    "e null": PIECES | {"e": None},
    "e even": PIECES | {"e": "AA"},
    "e huge": PIECES | {"e": PIECES["n"] * 1_000},
    "crv a number": EC_KEY.jwk | {"kid": "odd", "crv": 256},
    "x a number": EC_KEY.jwk | {"kid": "odd", "x": 0},
    "y missing": {**EC_KEY.jwk, "kid": "odd", "y": None},
    "no point of the curve": EC_KEY.jwk | {"kid": "odd", "y": EC_KEY.jwk["x"]},
    "kid very long": PIECES | {"kid": "odd" * 10_000, "n": 5},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_key_is_one_warning_and_no_matter_to_the_others(odd: Any) -> None:
    @virtual_time
    async def main() -> None:
        issuer = Issuer(RSA_KEY.jwk, odd, EC_KEY.jwk)
        with capture_logs() as logs:
            async with issuer.key_set().running() as key_set:
                assert await user_of(key_set, RSA_KEY.token()) == "user-1"
                assert await user_of(key_set, EC_KEY.token()) == "user-1"
                await anyio.sleep(301)  # the next refresh meets it as well
                issuer.jwks = [NEXT_KEY.jwk]
                await anyio.sleep(301)
                assert await user_of(key_set, NEXT_KEY.token()) == "user-1"
        assert [line["event"] for line in logs] == ["key_not_usable"] * 2
        assert len(str(logs[0])) < 500
        if isinstance(odd, dict) and isinstance(odd["kid"], str):
            assert logs[0]["kid"].startswith("'odd")

    main()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=6,
)
MEMBERS = ("kty", "use", "key_ops", "alg", "kid", "crv", "n", "e", "x", "y", "d", "k", "x5c")


@settings(max_examples=200)
@given(
    base=st.sampled_from([PIECES, EC_KEY.jwk | {"kid": "odd"}]),
    changes=st.dictionaries(st.sampled_from(MEMBERS), JSON_VALUES, max_size=2),
    without=st.sets(st.sampled_from(MEMBERS), max_size=1),
    other=JSON_VALUES,
)
def test_no_key_that_json_can_write_harms_another(
    base: dict[str, Any], changes: dict[str, Any], without: set[str], other: Any
) -> None:
    changed = {name: value for name, value in (base | changes).items() if name not in without}
    document = orjson.dumps({"keys": [changed, other, RSA_KEY.jwk]})

    with capture_logs() as logs:
        usable = usable_keys(document)

    assert usable["rsa-1", "RS256"] == RSA_KEY.private.public_key()
    assert len(usable) <= 2
    assert all(line["event"] == "key_not_usable" and len(str(line)) < 500 for line in logs)
    assert len(logs) <= 2


@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64"]), JSON_VALUES))
def test_no_header_makes_anything_but_a_refusal(header: dict[str, Any]) -> None:
    @virtual_time
    async def main() -> None:
        text = RSA_KEY.token()
        async with Issuer(RSA_KEY.jwk).key_set().running() as key_set:
            for changed in (header, {"alg": "RS256", "kid": "rsa-1"} | header):
                await assert_refused(key_set, f"{segment(changed)}.{text.partition('.')[2]}")

    main()
