"""Tokens written by hand, as only a test or an attacker writes them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from time import time
from typing import Any

HS256 = {"alg": "HS256", "typ": "JWT"}


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], key: str | bytes | None) -> str:
    """Write a token by hand, signed with HMAC-SHA256 or, without a key, not at all."""
    text = f"{segment(header)}.{segment(claims)}"
    if key is None:
        return f"{text}."
    raw = key.encode() if isinstance(key, str) else key
    return f"{text}.{segment(hmac.new(raw, text.encode(), hashlib.sha256).digest())}"


def claims(**changes: Any) -> dict[str, Any]:
    return {"sub": "user-1", "exp": int(time()) + 60, **changes}
