"""How far the seats went by the order of queuedAt, over all batches and workers of a run."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schema.items import RequestItem
from schema.states import EventType, ResultCode, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """Overtaking by stored queuedAt, as `analytics/sql/overtaking.sql` counts it, of all events.

    No rule is broken by it: seats go in order within a batch alone (domain §4).
    """

    winners: int
    """Of FIRST_COME events."""
    winners_overtaking: int
    """Winners queued after some loser of their event; equal times are no overtaking."""
    greatest_overtaking_ms: int
    """The longest time between an event's earliest loser and a winner queued later; else 0."""
    seats_out_of_turn: int
    """Seats that others would have, had they gone strictly by queuedAt."""

    @property
    def overtaking_share(self) -> float | None:
        """The share of the winners that overtook, from 0 to 1; None without winners."""
        return self.winners_overtaking / self.winners if self.winners else None


def fairness(items: Iterable[RequestItem]) -> Fairness:
    """Compare winners and losers of each event by the queuedAt that is stored."""
    won_ms: defaultdict[str, list[int]] = defaultdict(list)
    lost_ms: defaultdict[str, list[int]] = defaultdict(list)
    for item in items:
        if item.event_type != EventType.FIRST_COME or item.queued_at_ms is None:
            continue
        if item.status is Status.SUCCEEDED:
            won_ms[item.event_id].append(item.queued_at_ms)
        elif item.result_code == ResultCode.REJECTED_CAPACITY:
            lost_ms[item.event_id].append(item.queued_at_ms)
    late_ms = [
        winner_ms - first_loser_ms
        for event_id, losers_ms in lost_ms.items()
        for first_loser_ms in (min(losers_ms),)
        for winner_ms in won_ms[event_id]
        if winner_ms > first_loser_ms
    ]
    return Fairness(
        winners=sum(map(len, won_ms.values())),
        winners_overtaking=len(late_ms),
        greatest_overtaking_ms=max(late_ms, default=0),
        seats_out_of_turn=sum(
            _out_of_turn(winners_ms, lost_ms[event_id]) for event_id, winners_ms in won_ms.items()
        ),
    )


def _out_of_turn(won_ms: Sequence[int], lost_ms: Sequence[int]) -> int:
    """The losers among the first requests, as many as there are winners; ties go to winners."""
    turns = sorted([(at_ms, False) for at_ms in won_ms] + [(at_ms, True) for at_ms in lost_ms])
    return sum(has_lost for _, has_lost in turns[: len(won_ms)])
