"""Which authenticator the settings choose, and the keys that are derived from them."""

from time import time
from typing import Any

import jwt
import pytest

from config.settings import IngestSettings
from ingest.authentication import cursor_key, open_authenticator
from ingest.jwks import KeySetError
from ingest.tokens import InvalidToken
from tests.ingest.support import SECRET, token


def settings(**changes: Any) -> IngestSettings:
    return IngestSettings(
        **{
            "aws_region": "ap-northeast-2",
            "queue_url": "http://127.0.0.1/queue",
            "dlq_url": "http://127.0.0.1/dlq",
            "jwt_secret": SECRET,
            **changes,
        }
    )


async def test_with_a_secret_its_tokens_are_accepted() -> None:
    async with open_authenticator(settings()) as authenticator:
        assert (await authenticator.identify(token("user-1"))).user_id == "user-1"


async def test_audience_and_issuer_come_from_the_settings() -> None:
    async with open_authenticator(settings(jwt_audience="a", jwt_issuer="i")) as authenticator:
        right = token("user-1", audience="a", issuer="i")
        assert (await authenticator.identify(right)).user_id == "user-1"
        for wrong in (token("user-1"), token("user-1", audience="b", issuer="i")):
            with pytest.raises(InvalidToken):
                await authenticator.identify(wrong)


async def test_with_a_key_set_url_the_keys_are_fetched_first() -> None:
    with pytest.raises(KeySetError):
        async with open_authenticator(
            settings(jwt_secret=None, jwks_url="http://127.0.0.1:9/jwks.json")
        ):
            pass


def test_the_cursor_key_is_equal_in_all_processes_and_is_not_the_secret() -> None:
    assert cursor_key(settings()) == cursor_key(settings(http_port=1))
    assert cursor_key(settings()) != cursor_key(settings(jwt_secret=SECRET + "x"))
    assert SECRET.encode() not in cursor_key(settings())


def test_with_a_key_set_url_the_cursor_key_is_still_one_for_all_processes() -> None:
    one = settings(jwt_secret=None, jwks_url="https://issuer/jwks.json")
    other = settings(jwt_secret=None, jwks_url="https://other/jwks.json")

    assert cursor_key(one) == cursor_key(one)
    assert cursor_key(one) != cursor_key(other)


async def test_users_hashes_differ_between_secrets() -> None:
    other_secret = "another secret of more than thirty-two bytes"
    claims = {"sub": "user-1", "exp": int(time()) + 60}
    async with (
        open_authenticator(settings()) as one,
        open_authenticator(settings(jwt_secret=other_secret)) as other,
    ):
        first = await one.identify(token("user-1"))
        second = await other.identify(jwt.encode(claims, other_secret, "HS256"))

    assert first.user_id == second.user_id
    assert first.user_hash != second.user_hash
