"""The line of workers: what a place says, who is next, and how many of its own each may sell."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import line

_PLACES = st.lists(st.integers(0, 30), min_size=1, max_size=8).map(sorted)


@pytest.mark.parametrize("place", [[7], [1_704_290_000_123] * 3, [0, 0, 15, 16, 1_000_000]])
def test_a_place_says_when_each_request_was_queued(place: Sequence[int]) -> None:
    assert line.parsed({"a": line.text(place)}) == {"a": tuple(place)}


def test_a_place_that_nobody_can_read_is_no_place() -> None:
    assert line.parsed({"a": "", "b": "7 later", "c": "a 1"}) == {"c": (10, 11)}


def test_the_worker_with_the_oldest_request_is_next() -> None:
    assert line.first({"a": [5, 6], "b": [4, 9], "c": [4, 5]}) == "b"
    assert line.first({}) is None


@pytest.mark.parametrize(
    ("mine", "others", "seats", "share"),
    [
        pytest.param([1, 2, 3], [], 2, 2, id="alone, it sells what there is"),
        pytest.param([1, 4, 5], [[2, 3, 9]], 9, 3, id="seats for all"),
        pytest.param([1, 4, 5], [[2, 3, 9]], 4, 2, id="the fifth gets none"),
        pytest.param([1, 4, 5], [[2, 3]], 9, 1, id="what comes after 3 there is not known"),
        pytest.param([1, 4, 4, 4], [[2, 4, 9]], 3, 2, id="equal times: who sells first"),
        pytest.param([5, 6], [[1, 2, 9]], 2, 0, id="others come first"),
    ],
)
def test_the_share_leaves_a_seat_for_each_that_comes_earlier(
    mine: Sequence[int], others: Sequence[Sequence[int]], seats: int, share: int
) -> None:
    assert line.share(mine, others, seats) == share


@given(places=st.lists(_PLACES, min_size=1, max_size=4), seats=st.integers(1, 20))
def test_turns_by_the_line_give_the_seats_to_the_oldest(
    places: list[list[int]], seats: int
) -> None:
    """Each in its turn sells its share, until all seats are gone or nobody waits."""
    winners = sorted(at_ms for place in places for at_ms in place)[:seats]
    left = {str(number): place for number, place in enumerate(places)}
    sold: list[int] = []
    while left and len(sold) < seats:
        name = line.first(left)
        assert name is not None
        mine = left.pop(name)
        share = line.share(mine, left.values(), seats - len(sold))
        assert share > 0  # whoever has the oldest request may always sell it
        sold += mine[:share]
        if mine[share:]:
            left[name] = mine[share:]
    assert sorted(sold) == winners
