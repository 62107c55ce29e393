"""The line of workers that wait to sell an event's seats: what each holds, and who is next."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from math import inf

from config.limits import SEATS_PER_TRANSACTION

Place = Sequence[int]
"""The `queuedAt` of a worker's oldest requests, in order; it has none between these."""

SHOWN = SEATS_PER_TRANSACTION + 1
"""So many of its requests a worker shows at most: two bytes each, and no item above a few kB."""


def text(place: Place) -> str:
    """A place as it is stored: the first time, and how much later each following one is (hex)."""
    return " ".join(f"{step:x}" for step in (place[0], *(b - a for a, b in pairwise(place))))


def parsed(places: Mapping[str, str]) -> dict[str, Place]:
    """Stored places by worker; one that cannot be read is left out, for the line is advice."""
    found: dict[str, Place] = {}
    for name, stored in places.items():
        try:
            place = tuple(accumulate(int(step, 16) for step in stored.split()))
        except ValueError:
            continue
        if place:
            found[name] = place
    return found


def order(line: Mapping[str, Place], seats_left: int) -> Sequence[str]:
    """Who has the turn before whom: by the last request of the transaction that each would fill.

    (Of a long line each shows fewer: by the last of these.) So a worker that has a few old requests
    and then only later ones waits until those are due; the old ones keep their seats (see share).
    Last come those whose transactions would not get all their seats, by their oldest request.
    Whoever is first may sell at least one.
    """
    shown = sorted(chain.from_iterable(line.values()))

    def rank(name: str) -> tuple[bool, int, str]:
        first_ms, last_ms = line[name][0], line[name][:SEATS_PER_TRANSACTION][-1]
        has_seats = bisect_left(shown, last_ms) < seats_left
        return not has_seats, last_ms if has_seats else first_ms, name

    return sorted(line, key=rank)


def share(mine: Place, others: Iterable[Place], seats_left: int) -> int:
    """How many of its oldest one worker may sell now, so that seats go in order among all.

    No more than leave a seat for each that another was shown to have earlier, and none that is
    later than the last which another shows: what comes behind that is not known.
    """
    others = tuple(others)
    known_ms = min((place[-1] for place in others), default=inf)

    def comes_too_late(index: int) -> bool:
        at_ms = mine[index]
        before = index + sum(bisect_left(place, at_ms) for place in others)
        return at_ms > known_ms or before >= seats_left

    return bisect_left(range(len(mine)), x=True, key=comes_too_late)
