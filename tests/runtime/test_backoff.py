"""The waits between attempts."""

from itertools import pairwise
from random import Random

import pytest

from runtime.backoff import delay_s, full_delay_s

ATTEMPTS = (1, 2, 3, 5, 10, 33, 34, 1_000, 100_000)
CASES = [(base_s, max_s) for base_s in (0.001, 0.05, 1, 7.5, 60) for max_s in (60, 300, 43_200)]


class Luck(Random):
    """The same luck each time."""

    def __init__(self, luck: float) -> None:
        super().__init__()
        self._luck = luck

    def random(self) -> float:
        return self._luck


@pytest.mark.parametrize(("base_s", "max_s"), CASES)
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_wait_is_between_half_and_the_whole_of_the_doubled_base(
    attempt: int, base_s: float, max_s: float
) -> None:
    ceiling_s, random = min(max_s, base_s * 2 ** min(attempt - 1, 32)), Random(0)

    for _ in range(50):
        assert ceiling_s / 2 <= delay_s(attempt, base_s, max_s, random) <= ceiling_s


@pytest.mark.parametrize(("luck", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_luck_alone_decides_within_these_bounds(luck: float, share: float) -> None:
    assert delay_s(4, 1, 60, Luck(luck)) == pytest.approx(8 * share)
    assert delay_s(40, 1, 60, Luck(luck)) == pytest.approx(60 * share)


def test_waits_grow_until_the_longest() -> None:
    random = Random(0)
    longest_of = [
        max(delay_s(attempt, 1, 16, random) for _ in range(200)) for attempt in range(1, 8)
    ]

    assert all(later > earlier for earlier, later in pairwise(longest_of[:5]))
    assert max(longest_of) <= 16


def test_callers_that_failed_together_are_spread() -> None:
    random = Random(0)
    waits = {delay_s(3, 1, 60, random) for _ in range(100)}

    assert len(waits) > 90
    assert max(waits) - min(waits) > 1


@pytest.mark.parametrize(("base_s", "max_s"), CASES)
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_with_full_jitter_a_wait_is_anything_up_to_the_doubled_base(
    attempt: int, base_s: float, max_s: float
) -> None:
    ceiling_s = min(max_s, base_s * 2 ** min(attempt - 1, 32))

    assert full_delay_s(attempt, base_s, max_s, Luck(0.0)) == 0
    assert full_delay_s(attempt, base_s, max_s, Luck(1.0)) == pytest.approx(ceiling_s)
    assert full_delay_s(attempt, base_s, max_s, Luck(0.25)) == pytest.approx(ceiling_s / 4)
