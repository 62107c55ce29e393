"""The page's users: one who clicks, or many at the same moment."""

from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import Final
from urllib.parse import quote

import httpx

from ingest import tokens
from local.demo import burst
from schema.states import ResultCode, Status

_TOKEN_LIFE_S: Final = 3600.0
_WAIT_S: Final = 20
_TIMEOUT_S: Final = 30.0
_REASONS: Final = {
    ResultCode.SUCCESS: "",
    ResultCode.REJECTED_CAPACITY: "no seat was left",
}


@dataclass(frozen=True, slots=True)
class Click:
    """What ingest answered to a click."""

    status: int
    is_duplicate: bool = False
    problem: str = ""
    """The title of a problem, where the click was not accepted."""

    def __str__(self) -> str:
        """The status, and what it does not say."""
        more = "a duplicate, the same request" if self.is_duplicate else self.problem
        return f"{self.status}, {more}" if more else str(self.status)


def client_of(user: str, url: str, secret: str) -> httpx.AsyncClient:
    """A client with a user's token; raises ValueError for a name that no token can have."""
    token = tokens.issue(secret, user, now_s=time(), expires_in_s=_TOKEN_LIFE_S)
    return httpx.AsyncClient(
        base_url=url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=_TIMEOUT_S,
        trust_env=False,
    )


async def click(http: httpx.AsyncClient, event_id: str) -> Click:
    """Click once; raises httpx.HTTPError."""
    answer = await http.post(f"/events/{quote(event_id, safe='')}/participations")
    if answer.status_code == httpx.codes.ACCEPTED:
        return Click(answer.status_code, is_duplicate=answer.json()["isDuplicate"])
    return Click(answer.status_code, problem=answer.json()["title"])


async def decision(http: httpx.AsyncClient, request_id: str) -> str:
    """Wait for a request's decision, and say what it is; raises httpx.HTTPError."""
    answer = await http.get(f"/requests/{request_id}", params={"wait": _WAIT_S})
    if answer.status_code != httpx.codes.OK:
        problem = answer.json()["title"]
        return f"accepted, but its decision cannot be read ({answer.status_code}, {problem})"
    status, code = Status(answer.json()["status"]), answer.json()["resultCode"]
    if not status.is_final:
        return f"{status}, not decided within {_WAIT_S} s"
    reason = _REASONS.get(code, code)
    return f"{status}, {reason}" if reason else str(status)


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
