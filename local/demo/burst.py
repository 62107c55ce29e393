"""The demo's crowd: many users' clicks, through ingest's HTTP API, as fast as it answers."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter, time
from typing import Any, Final

import aiohttp
import anyio
import orjson

from ingest import tokens

_CONNECTIONS: Final = 256
_TRIES: Final = 5
_WAIT_S: Final = 0.2
_TOKEN_LIFE_S: Final = 3600.0


@dataclass(slots=True)
class BurstResult:
    """What ingest answered."""

    accepted: int = 0
    duplicates: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """Answers other than 202 after all tries, by status; 0 stands for no answer."""
    request_ids: set[str] = field(default_factory=set)
    seconds: float = 0.0

    def count(self, status: int, answer: dict[str, Any]) -> None:
        """Count the last answer to a click."""
        if status != HTTPStatus.ACCEPTED:
            self.refused[status] += 1
            return
        self.request_ids.add(answer["requestId"])
        if answer["isDuplicate"]:
            self.duplicates += 1
        else:
            self.accepted += 1


def crowd(users: int, duplicates: int, seed: int) -> list[str]:
    """Users in the order of their clicks: each once, and some of them again."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible crowd, not a secret
    names = [f"user-{number:06d}" for number in range(users)]
    clicks = [*names, *(chance.choice(names) for _ in range(duplicates))]
    chance.shuffle(clicks)
    return clicks


async def send(
    url: str,
    event_id: str,
    clicks: Sequence[str],
    jwt_secret: str,
    clicked: Callable[[], None] = lambda: None,
) -> BurstResult:
    """Send all clicks over a bounded number of connections and gather the answers.

    After a busy answer (503) a click is tried again when the answer says, as a browser would.
    """
    result = BurstResult()
    # Made before the clock starts: signing tokens is the identity provider's work, not ours.
    now_s = time()
    tokens_of = {
        user: tokens.issue(jwt_secret, user, now_s=now_s, expires_in_s=_TOKEN_LIFE_S)
        for user in set(clicks)
    }
    waiting = iter(clicks)
    target = f"{url}/events/{event_id}/participations"
    began = perf_counter()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=60),
    ) as session:

        async def click_on() -> None:
            for user in waiting:
                result.count(*await _click(session, target, tokens_of[user]))
                clicked()

        async with anyio.create_task_group() as tasks:
            for _ in range(min(_CONNECTIONS, len(clicks))):
                tasks.start_soon(click_on)
    result.seconds = perf_counter() - began
    return result


async def _click(
    session: aiohttp.ClientSession, target: str, token: str
) -> tuple[int, dict[str, Any]]:
    """Click until the answer is not "busy"; the last answer's status (0: none) and document."""
    status, document = 0, {}
    for _ in range(_TRIES):
        wait_s = _WAIT_S
        try:
            async with session.post(
                target, headers={"Authorization": f"Bearer {token}"}
            ) as response:
                status, document = response.status, orjson.loads(await response.read())
                wait_s = float(response.headers.get("Retry-After", _WAIT_S))
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        if status not in {0, HTTPStatus.SERVICE_UNAVAILABLE}:
            break
        await anyio.sleep(wait_s)
    return status, document
