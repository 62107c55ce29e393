"""A token bucket: a rate, and no more saved up than one second's worth."""

from typing import Final

from simulation.aws.clock import Clock

_ROUNDING: Final = 1e-6


class Bucket:
    """Gives `per_s` tokens a second; what one second does not use is lost, but for a single one."""

    def __init__(self, per_s: float, clock: Clock) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s)
        self._clock = clock
        self._tokens = self._most
        self._filled_at = clock.time()

    def take(self, tokens: float = 1.0) -> bool:
        """Take tokens if there are as many."""
        if not self.has(tokens):
            return False
        self._tokens -= tokens
        return True

    def has(self, tokens: float = 1.0) -> bool:
        """Whether there are as many tokens."""
        now = self._clock.time()
        gained = (now - self._filled_at) * self._per_s
        self._tokens = min(self._most, self._tokens + gained)
        self._filled_at = now
        return tokens <= self._tokens + _ROUNDING


def bucket(per_s: float | None, clock: Clock) -> Bucket | None:
    """A bucket, or None for a limit that is switched off."""
    return None if per_s is None else Bucket(per_s, clock)
