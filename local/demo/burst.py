"""The demo's crowd: many users' clicks, through ingest's HTTP API, as fast as it answers."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from time import time
from typing import Final

from ingest import tokens
from local.errors import LocalError
from operations.load import generator
from operations.load.generator import Manner
from operations.load.people import Person
from operations.load.tally import ACCEPTED, Outcome
from operations.load.target import LoadError, Target

_MANNER: Final = Manner(connections=256, timeout_s=60, tries=5, patience_s=inf)
_TOKEN_LIFE_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstResult:
    """What ingest answered."""

    accepted: int = 0
    duplicates: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """Answers other than 202 after all tries, by status; 0 stands for no answer."""
    request_ids: set[str] = field(default_factory=set)
    seconds: float = 0.0


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
    Raises LocalError where ingest cannot be reached.
    """
    request_ids: set[str] = set()
    # Made before the clock starts: signing tokens is the identity provider's work, not ours.
    now_s = time()
    people = {
        user: Person(user, tokens.issue(jwt_secret, user, now_s=now_s, expires_in_s=_TOKEN_LIFE_S))
        for user in set(clicks)
    }

    def settled(outcome: Outcome) -> None:
        if outcome.status == ACCEPTED and outcome.request_id is not None:
            request_ids.add(outcome.request_id)
        clicked()

    due_immediately = ((0.0, people[user]) for user in clicks)
    try:
        result = await generator.run(
            Target(url, event_id), due_immediately, _MANNER, settled=settled
        )
    except LoadError as error:
        raise LocalError(str(error)) from error
    return BurstResult(
        accepted=result.accepted - result.duplicates,
        duplicates=result.duplicates,
        refused=result.by_status - Counter({ACCEPTED: result.accepted}),
        request_ids=request_ids,
        seconds=result.seconds,
    )
