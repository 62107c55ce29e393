"""The waits between tries."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from aws.backoff import delay_s

bases_s = st.floats(0.001, 60)


@settings(deadline=None)
@given(st.integers(1, 10_000), bases_s, st.floats(60, 43_200))
def test_a_wait_is_between_half_and_the_whole_of_the_doubled_base(
    attempt: int, base_s: float, max_s: float
) -> None:
    ceiling_s = min(max_s, base_s * 2 ** min(attempt - 1, 60))

    assert ceiling_s / 2 <= delay_s(attempt, base_s, max_s) <= ceiling_s


@settings(deadline=None)
@given(bases_s)
def test_the_first_wait_is_about_the_base(base_s: float) -> None:
    assert base_s / 2 <= delay_s(1, base_s, 60) <= base_s


def test_waits_grow_until_the_longest() -> None:
    longest_of = [max(delay_s(attempt, 1, 16) for _ in range(200)) for attempt in range(1, 8)]

    assert all(later > earlier for earlier, later in pairwise(longest_of[:5]))
    assert max(longest_of) <= 16


def test_those_who_failed_together_are_spread() -> None:
    waits = {delay_s(3, 1, 60) for _ in range(100)}

    assert len(waits) > 90
    assert max(waits) - min(waits) > 1
