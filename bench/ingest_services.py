"""The ingest services that are measured: how each is started, and how much work it gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench.click_tokens import ES256, HS256, RS256


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A program under measurement; it logs its address as `ingest_started`."""

    name: str
    about: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    algorithm: str = HS256
    """What its clients' tokens are signed with."""
    requests: int
    """How many make a run of a few seconds."""
    lone_requests: int = 150


PLAIN: Final = Service(
    name="plain",
    about=(
        "Starlette, uvicorn and aioboto3 as people would write it: put, send, update, one call "
        "each; the same server settings, but no access log, no metrics, and no look at the event; "
        "HS256 tokens, checked by PyJWT"
    ),
    arguments=("-m", "bench.peers.plain_handler"),
    environment={},
    requests=1_024,
)
OURS: Final = Service(
    name="ours",
    about=(
        "the ingest service as it ships, at its default settings, access log included; HS256 tokens"
    ),
    arguments=("-m", "cli.main", "ingest"),
    environment={"HTTP_PORT": "0", "HTTP_HOST": "127.0.0.1"},
    requests=10_240,
)
OURS_RS256: Final = replace(
    OURS,
    name="ours, RS256",
    about="the same with `JWKS_URL` instead of `JWT_SECRET`, its key an RSA key of 2,048 bits",
    algorithm=RS256,
)
OURS_ES256: Final = replace(
    OURS_RS256, name="ours, ES256", about="the same, its key an EC key on P-256", algorithm=ES256
)
OURS_ON_AIOBOTO3: Final = replace(
    OURS,
    name="ours, aioboto3",
    about="*ours* with `AWS_CLIENT=aioboto3`",
    environment={**OURS.environment, "AWS_CLIENT": "aioboto3"},
    requests=7_680,
)
SERVICES: Final = (OURS, OURS_RS256, OURS_ES256, OURS_ON_AIOBOTO3, PLAIN)
