"""Reads out of a PromQL expression which series it asks for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_SELECTOR: Final = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)\s*(\{[^}]*\})?(\s*\()?")
_MATCHER: Final = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Selector:
    """A series' name with its label matchers: label, operator, value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = field(default=())


def selectors(expression: str) -> Iterator[Selector]:
    """The selectors of an expression; knows what the project's own expressions are made of."""
    text = re.sub(r"\[[^\]]*\]", "", expression)
    matchers: list[tuple[tuple[str, str, str], ...]] = []

    def set_aside(found: re.Match[str]) -> str:
        parts = _MATCHER.findall(found[0])
        matchers.append(tuple((label, operator, value) for label, operator, value in parts))
        return f"{{{len(matchers) - 1}}}"

    text = _GROUPING.sub("", re.sub(r"\{[^}]*\}", set_aside, text))
    for name, braces, call in _SELECTOR.findall(text):
        if not call and name not in _WORDS:
            yield Selector(name, matchers[int(braces[1:-1])] if braces else ())
