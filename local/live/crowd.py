"""The page's users: one who clicks, or many at the same moment."""

from collections.abc import Callable
from time import time
from typing import Final

import httpx

from ingest import tokens
from local.demo import burst

_TOKEN_LIFE_S: Final = 3600.0


async def click(http: httpx.AsyncClient, url: str, event_id: str, user: str, secret: str) -> int:
    """Click as one user; returns the status. Raises ValueError, httpx.HTTPError."""
    token = tokens.issue(secret, user, now_s=time(), expires_in_s=_TOKEN_LIFE_S)
    answer = await http.post(
        f"{url}/events/{event_id}/participations", headers={"Authorization": f"Bearer {token}"}
    )
    return answer.status_code


async def send(
    url: str,
    event_id: str,
    users: list[str],
    secret: str,
    clicked: Callable[[], None] = lambda: None,
) -> burst.BurstResult:
    """Let each user click once, as fast as ingest answers; `clicked` is called for each answer.

    Raises LocalError where ingest cannot be reached.
    """
    return await burst.send(url, event_id, users, secret, clicked)
