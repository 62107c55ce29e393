"""The clicks' tokens, as those who check them see them."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.click_tokens import ES256, HS256, RS256, Signer, credentials


def key(token: str, environment: Mapping[str, str]) -> Any:
    """The key that a service finds for a token."""
    if secret := environment["JWT_SECRET"]:
        return secret
    keys = jwt.PyJWKSet.from_dict(httpx.get(environment["JWKS_URL"]).json())
    return keys[jwt.get_unverified_header(token)["kid"]].key


@pytest.mark.parametrize("algorithm", [HS256, RS256, ES256])
def test_the_services_key_checks_the_clients_tokens_by_one_algorithm(algorithm: str) -> None:
    with credentials(algorithm) as made:
        signer = Signer(made.clients, time.time())
        tokens = [signer.token(f"user-{n}") for n in range(2)]
        found = key(tokens[0], made.service)
    assert bool(made.service["JWT_SECRET"]) != bool(made.service["JWKS_URL"])
    subjects = [jwt.decode(token, found, [algorithm])["sub"] for token in tokens]
    assert subjects == ["user-0", "user-1"]
    assert algorithm != RS256 or (isinstance(found, rsa.RSAPublicKey) and found.key_size == 2_048)
