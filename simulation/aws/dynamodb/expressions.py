"""DynamoDB's expressions and PartiQL, each text parsed once."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from simulation.aws.dynamodb import evaluate
from simulation.aws.dynamodb.parsed import Changes, Condition, Insert, Update
from simulation.aws.dynamodb.parser import Parser
from simulation.aws.errors import validation

Names: TypeAlias = Mapping[str, str] | None
"""What the placeholders of attribute names (`#name`) stand for."""

_MOST_TEXTS: Final = 4096
_MOST_BYTES: Final = 4096
"""Of an expression (Amazon DynamoDB Developer Guide, "Quotas": 4 KB)."""
_latest: Final[dict[str, tuple[str | None, Names, "Step"]]] = {}


class Step(NamedTuple):
    """An update, and the condition it is on."""

    condition: Condition | None
    changes: Changes


def step(update: str, condition: str | None, names: Names) -> Step:
    """Parse an UpdateExpression (SET and REMOVE, and ADD of numbers) and a ConditionExpression."""
    latest = _latest.get(update)
    # A text nearly always comes with the same condition and names as before, and comparing them
    # takes a third of the time of looking them up.
    if latest is not None and latest[0] == condition and latest[1] == names:
        return latest[2]
    hashable = _hashable(names)
    parsed = Step(
        None if condition is None else _condition(condition, hashable), _changes(update, hashable)
    )
    if len(_latest) >= _MOST_TEXTS:
        _latest.clear()
    _latest[update] = (condition, names, parsed)
    return parsed


def condition(text: str, names: Names) -> Condition:
    """Parse a ConditionExpression, FilterExpression or KeyConditionExpression."""
    return _condition(text, _hashable(names))


@lru_cache(maxsize=_MOST_TEXTS)
def statement(text: str) -> Insert | Update:
    """Parse a PartiQL INSERT or UPDATE."""
    return Parser(text, {}).statement()


@lru_cache(maxsize=_MOST_TEXTS)
def _condition(text: str, names: tuple[tuple[str, str], ...]) -> Condition:
    parser = Parser(text, dict(names))
    test = evaluate.as_function(parser.condition())
    parser.end()
    return Condition(test, parser.equals)


@lru_cache(maxsize=_MOST_TEXTS)
def _changes(text: str, names: tuple[tuple[str, str], ...]) -> Changes:
    if len(text.encode()) > _MOST_BYTES:
        raise validation("Invalid UpdateExpression: Expression size has exceeded the maximum")
    parser = Parser(text, dict(names))
    parsed = parser.changes()
    parser.end()
    return parsed


def _hashable(names: Names) -> tuple[tuple[str, str], ...]:
    return tuple(names.items()) if names else ()
