"""Log lines that anybody outside can cause: one per kind and interval, with the others' number."""

from collections.abc import Callable
from typing import Final

_INTERVAL_S: Final = 1.0


class Sampler:
    """Lets one line of each kind pass in a second. Kinds are kept: there must be few of them."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._due_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def take(self, kind: str) -> int | None:
        """How many lines were left out before this one; None if this one is to be left out."""
        now_s = self._clock_s()
        if now_s < self._due_s.get(kind, now_s):
            self._left_out[kind] += 1
            return None
        self._due_s[kind] = now_s + _INTERVAL_S
        left_out = self._left_out.get(kind, 0)
        self._left_out[kind] = 0
        return left_out
