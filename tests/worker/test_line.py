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


def test_who_has_old_requests_and_then_only_later_ones_waits_until_those_are_due() -> None:
    places = {"a": [1, *[900] * 99], "b": [*range(2, 102)], "c": [3, 4]}

    assert line.order(places, 500) == ["c", "b", "a"]


def test_whoever_fills_a_transaction_is_next_and_else_whoever_has_the_oldest_request() -> None:
    places = {"a": [*range(2, 102)], "b": [1, *range(200, 300)], "c": [3, 400]}

    assert line.order(places, 150) == ["a", "b", "c"]
    assert line.order(places, 5) == ["b", "a", "c"]


def test_what_a_worker_would_sell_later_does_not_matter() -> None:
    places = {"a": [*range(99), 900], "b": [*range(1, 101)]}

    assert line.order(places, 500) == ["a", "b"]


def test_nobody_is_next_where_nobody_waits() -> None:
    assert line.order({}, 5) == []


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


@given(
    places=st.lists(_PLACES, min_size=1, max_size=4),
    seats=st.integers(1, 20),
    most=st.sampled_from([4, 99]),
)
def test_turns_by_the_line_give_the_seats_to_the_oldest(
    places: list[list[int]], seats: int, most: int
) -> None:
    """Each in its turn sells its share, until all seats are gone or nobody waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "SEATS_PER_TRANSACTION", most)
        _sell(places, seats)


def _sell(places: list[list[int]], seats: int) -> None:
    winners = sorted(at_ms for place in places for at_ms in place)[:seats]
    left = {str(number): place for number, place in enumerate(places)}
    sold: list[int] = []
    while left and len(sold) < seats:
        name = line.order(left, seats - len(sold))[0]
        mine = left.pop(name)
        share = line.share(mine, left.values(), seats - len(sold))
        assert share > 0  # whoever is first may always sell something
        sold += mine[:share]
        if mine[share:]:
            left[name] = mine[share:]
    assert sorted(sold) == winners
