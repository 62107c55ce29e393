"""Signed tokens that say impossible things, and forged cursors: 401 and 400, and never 500."""

import hashlib
import hmac
import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.authentication import cursor_key
from ingest.cursors import Cursors, InvalidCursor, _to_text
from schema.keys import MAX_TIME_MS
from schema.message import is_possible_id
from tests.ingest.forging import HS256, claims, forged, segment
from tests.ingest.support import SECRET, Service, authenticator, bearer, settings_of
from tests.virtual_time import run

LATER: Final = 4_000_000_000
"""In the year 2096: the names of tests may not depend on the time."""
CLICK: Final = "/events/event-1/participations"


def signed(header: str, content: str) -> str:
    """A token of two texts, whatever they are, with the right signature."""
    text = f"{segment(header.encode())}.{segment(content.encode())}"
    return f"{text}.{segment(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())}"


async def status_of(token: str) -> int:
    """How a click with a token is answered."""
    async with Service().client() as http:
        answer = await http.post(CLICK, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "number",
    [
        pytest.param("9" * 400, id="400 digits"),
        pytest.param("9" * 5_000, id="5000 digits"),
        *("1e300", "1e400", "-1e400", "Infinity", "-Infinity", "NaN"),
        *('"soon"', '"\\ud800"', "null", "[]", "[1]", "{}", '""'),
    ],
)
async def test_a_time_that_is_none_is_401(name: str, number: str) -> None:
    given = {"sub": "user-1", "exp": LATER} | {name: "?"}

    content = json.dumps(given).replace('"?"', number)

    assert await status_of(signed(json.dumps(HS256), content)) == 401


@pytest.mark.parametrize("exp", [f'"{LATER}"', "true", "253402300800", "1e12", f"-{10**400}"])
async def test_an_expiry_that_is_no_number_or_after_the_year_9999_is_401(exp: str) -> None:
    assert await status_of(signed(json.dumps(HS256), f'{{"sub": "user-1", "exp": {exp}}}')) == 401


@pytest.mark.parametrize("exp", [f"{LATER}.5", "9999999999", "253402300799"])
async def test_an_expiry_up_to_the_year_9999_holds(exp: str) -> None:
    assert await status_of(signed(json.dumps(HS256), f'{{"sub": "user-1", "exp": {exp}}}')) == 202


@pytest.mark.parametrize(
    ("header", "content"),
    [
        (json.dumps(HS256), "[" * 2_500),
        ("[" * 2_500, json.dumps(claims(exp=LATER))),
        ('{"alg": "HS256", "x": ' + "[" * 2_000 + "]" * 2_000 + "}", json.dumps(claims(exp=LATER))),
        (json.dumps(HS256), '{"x": ' + '{"x":' * 900 + "1" + "}" * 900 + "}"),
        ('{"alg": "HS256", "x": ' + "9" * 5_000 + "}", json.dumps(claims(exp=LATER))),
        ('{"alg": {}}', json.dumps(claims(exp=LATER))),
        ("[]", json.dumps(claims(exp=LATER))),
        ('"HS256"', "5"),
        (json.dumps(HS256), "[]"),
        (json.dumps(HS256), "null"),
        (json.dumps(HS256), ""),
        (json.dumps(HS256), "\x00\ufeff"),
    ],
)
async def test_a_part_that_is_no_object_or_too_deep_is_401(header: str, content: str) -> None:
    assert await status_of(signed(header, content)) == 401


HUGE = st.integers(300, 3_000).map(lambda digits: 10**digits)
SOME_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | HUGE,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=200)
@given(
    header=st.dictionaries(st.sampled_from(["typ", "kid", "crit", "b64", "cty"]), SOME_JSON),
    content=st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(["exp", "nbf", "iat"], HUGE | SOME_JSON),
            **dict.fromkeys(["sub", "aud", "iss", "jti"], SOME_JSON),
        },
    ),
)
def test_no_signed_token_is_answered_by_anything_but_yes_or_no(
    header: dict[str, Any], content: dict[str, Any]
) -> None:
    assert run(lambda: status_of(forged(HS256 | header, claims(**content), SECRET))) in {202, 401}


@pytest.mark.parametrize("token", ["\ud800.a.b", "\udcff", "a.\udfff.b"])
async def test_a_token_that_no_encoding_can_write_is_refused(token: str) -> None:
    with pytest.raises(Exception, match="the token is not valid"):
        await authenticator().identify(token)


KEYS_ONLY: Final = {"jwt_secret": None, "jwks_url": "https://issuer.example/jwks.json"}
"""Without a secret, the key of cursors follows from public settings: anybody can forge some."""


def forge(user: str, payload: bytes) -> str:
    """A cursor as somebody makes it who knows the key."""
    cursors = Cursors(cursor_key(settings_of(**KEYS_ONLY)))
    return _to_text(cursors._tag(user, payload) + payload)


TIME: Final = (1_000).to_bytes(6, "big")


@pytest.mark.parametrize(
    "payload",
    [
        TIME + b"\xff",
        TIME + b"request-\xc3",
        TIME + "\ud800".encode("utf-8", "surrogatepass"),
        TIME + b"\x00",
        TIME + b"request\n1",
        TIME + "\uffff".encode(),
        TIME,
        TIME[:5],
        (MAX_TIME_MS + 1).to_bytes(6, "big") + b"request",
        b"\xff" * 6 + b"request",
    ],
)
async def test_a_forged_cursor_is_400(payload: bytes) -> None:
    async with Service().client(**KEYS_ONLY) as http:

        async def page(cursor: str) -> int:
            query = {"cursor": cursor}
            answer = await http.get("/me/participations", params=query, headers=bearer("user-1"))
            return answer.status_code

        assert await page(forge("user-1", TIME + b"request")) == 200
        assert await page(forge("user-1", payload)) == 400


@given(payload=st.binary(max_size=80))
def test_a_forged_cursor_is_read_as_a_possible_position_or_refused(payload: bytes) -> None:
    cursors = Cursors(cursor_key(settings_of(**KEYS_ONLY)))
    try:
        position = cursors.read("user-1", forge("user-1", payload))
    except InvalidCursor:
        return
    assert cursors.write("user-1", position) == forge("user-1", payload)
    assert is_possible_id(position.request_id)
