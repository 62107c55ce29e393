"""How fast PutEvents is called: the account's quota is shared, and only its throttles show it."""

from collections import deque
from math import cbrt, inf
from typing import Final

_LOWERED_TO: Final = 0.7
_GROWTH: Final = 0.4
"""CUBIC's scale, in calls/s⁴, and the factor before it: those of the SDKs' adaptive retries
(botocore.retries.throttling; RFC 9438)."""
_MOST_GROWTH: Final = 0.05
"""Of the first accepted call after a throttle: at a few calls a second the curve alone would double
the rate in one."""
_MORE_GROWTH: Final = 0.025
"""More for each further one in a row: from the least rate, where calls are rare, it would take more
than a minute to return otherwise."""
_LEAST_PER_S: Final = 0.25
_CLOCK_STEP_S: Final = 0.001
"""uvloop's clock counts whole milliseconds: a shorter wait would only repeat itself."""
_MEASURED_OVER_S: Final = 1.0
_MEASURED_CALLS: Final = 1_024


class Pace:
    """One publisher's share of a rate that nobody states; all times are the event loop's.

    There is no limit until the first throttle. A throttle lowers the rate to a part of what was
    called in the last second; accepted calls raise it again along CUBIC's curve, which returns
    quickly to where it was, tries a little more, and then accelerates. Calls that EventBridge
    neither accepts nor throttles show that no quota is the trouble: until it answers again,
    nobody waits for a turn.
    """

    def __init__(self, starved_after_s: float, now_s: float) -> None:
        """Without an accepted call for `starved_after_s`, waiting is no longer worth while."""
        self.rate_per_s = inf
        self.repeats_waiting = 0
        """Calls to be repeated that wait for their turn: they go before new ones."""
        self._starved_after_s = starved_after_s
        self._is_away = False
        self._next_s = -inf
        self._accepted_s = now_s
        self._lowered_s = -inf
        self._accepted_in_a_row = 0
        self._highest_per_s = inf
        self._plateau_s = 0.0
        self._called_s: deque[float] = deque(maxlen=_MEASURED_CALLS)

    def wait_s(self, now_s: float, *, is_repeat: bool) -> float:
        """How long a call has to wait for its turn, as far as is known now."""
        if self.rate_per_s == inf or self._is_away:
            return 0.0
        ahead = 0 if is_repeat else self.repeats_waiting
        wait_s = self._next_s + ahead / self.rate_per_s - now_s
        return wait_s if wait_s > _CLOCK_STEP_S else 0.0

    def is_worth_waiting(self, now_s: float) -> bool:
        """Whether EventBridge takes events: an event that waits then only has to be patient."""
        return not self._is_away and now_s < self._accepted_s + self._starved_after_s

    def take_turn(self, now_s: float) -> None:
        """Take note of a call that leaves now."""
        self._called_s.append(now_s)
        self._next_s = max(now_s, self._next_s) + 1 / self.rate_per_s

    def accepted(self, called_s: float, now_s: float) -> None:
        """Raise the rate for a call that left at `called_s` and was accepted."""
        self._is_away = False
        self._accepted_s = now_s
        if self.rate_per_s == inf or called_s < self._lowered_s:
            return
        curve = _GROWTH * (now_s - self._lowered_s - self._plateau_s) ** 3 + self._highest_per_s
        growth = 1 + _MOST_GROWTH + _MORE_GROWTH * self._accepted_in_a_row
        self.rate_per_s = max(self.rate_per_s, min(curve, self.rate_per_s * growth))
        self._accepted_in_a_row += 1

    def throttled(self, called_s: float, now_s: float) -> None:
        """Lower the rate for a call that left at `called_s` and was throttled.

        Those that left before it was last lowered say nothing about the new one.
        """
        self._is_away = False
        if called_s < self._lowered_s:
            return
        recent = sum(at_s > now_s - _MEASURED_OVER_S for at_s in self._called_s)
        self._highest_per_s = min(self.rate_per_s, recent / _MEASURED_OVER_S)
        self._plateau_s = cbrt(self._highest_per_s * (1 - _LOWERED_TO) / _GROWTH)
        self.rate_per_s = max(_LEAST_PER_S, self._highest_per_s * _LOWERED_TO)
        self._lowered_s = now_s
        self._accepted_in_a_row = 0
        self._next_s = now_s + 1 / self.rate_per_s

    def unanswered(self) -> None:
        """Take note of a call that was neither accepted nor throttled."""
        self._is_away = True
