"""Who clicks and when: users with their tokens, and the moments of their clicks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, cycle, islice
from pathlib import Path
from random import Random
from time import time

import jwt

from config.settings import TokenSettings
from ingest import tokens
from operations.load.target import LoadError


@dataclass(frozen=True, slots=True)
class Person:
    """A user and the token that names it."""

    user_id: str
    token: str


class Arrivals(StrEnum):
    """How clicks are spread over time."""

    CONSTANT = "constant"
    """At equal distances."""
    POISSON = "poisson"
    """At random, each independent of the others, as those of a crowd."""


def moments(kind: Arrivals, rate: float, seconds: float, seed: int) -> Iterator[float]:
    """When to click, in seconds from the start; `rate` is clicks a second."""
    if kind is Arrivals.CONSTANT:
        yield from (number / rate for number in range(round(rate * seconds)))
        return
    random = Random(seed)  # noqa: S311 - a load that can be repeated, no secret
    at = random.expovariate(rate)
    while at < seconds:
        yield at
        at += random.expovariate(rate)


def signer(settings: TokenSettings, expires_in_s: float) -> Callable[[str], Person]:
    """Makes users' tokens with the secret that ingest checks them by."""
    secret = settings.jwt_secret.get_secret_value()
    now_s = time()

    def sign(user_id: str) -> Person:
        token = tokens.issue(
            secret,
            user_id,
            now_s=now_s,
            expires_in_s=expires_in_s,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
        )
        return Person(user_id, token)

    return sign


def named(prefix: str, users: int | None, sign: Callable[[str], Person]) -> Iterator[Person]:
    """So many users, over and over, or ever new ones; a token is made when its click is next."""
    numbers = count() if users is None else cycle(range(users))
    return (sign(f"{prefix}-{number:07d}") for number in numbers)


def read(path: Path, users: int | None, expires_in_s: float) -> list[Person]:
    """The users of a file of tokens, one a line; raises LoadError.

    Only ingest can check the signatures; what would be refused for its time is named here.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"the tokens cannot be read from {path}: {error}") from None
    needed_until_s = time() + expires_in_s
    numbered = ((number, line.strip()) for number, line in enumerate(lines, start=1))
    found = [
        _person(path, number, token, needed_until_s)
        for number, token in islice(((n, t) for n, t in numbered if t), users)
    ]
    if not found:
        raise LoadError(f"{path} holds no token: give one a line")
    return found


def _person(path: Path, line: int, token: str, needed_until_s: float) -> Person:
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        user_id, expires_at_s = str(claims["sub"]), float(claims["exp"])
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        raise LoadError(
            f"{path}, line {line}: this is not a token (JWT) with `sub` and `exp`"
        ) from None
    if expires_at_s < needed_until_s:
        raise LoadError(
            f"{path}, line {line}: the token expires before the load ends; get new tokens"
        )
    return Person(user_id, token)


def clicks(due: Iterable[float], people: Iterable[Person]) -> Iterator[tuple[float, Person]]:
    """Each moment with the user who clicks then."""
    return zip(due, people, strict=False)
