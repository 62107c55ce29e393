"""What happened, step by step: a digest of all steps, and the last ones in words."""

from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

_KEPT_STEPS: Final = 400


class Trace:
    """Every effect in its order; two runs with equal digests had the same effects."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.now_s = now_s
        self._hash = blake2b(digest_size=16)
        self._last: deque[str] = deque(maxlen=_KEPT_STEPS)
        self.steps = 0

    def note(self, who: str, what: str) -> None:
        """Take note of one step; neither text may hold what differs between equal runs."""
        line = f"{self.now_s():12.6f}  {who:<10}  {what}"
        self._hash.update(line.encode())
        self._last.append(line)
        self.steps += 1

    @property
    def digest(self) -> str:
        """Stands for all steps so far."""
        return self._hash.hexdigest()

    def last(self, count: int, about: str | None = None) -> list[str]:
        """The last steps, or those of them that name something."""
        found = [line for line in self._last if about is None or about in line]
        return found[-count:]
