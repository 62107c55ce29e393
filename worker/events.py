"""What the worker remembers of events for a moment, so that not every batch reads their items."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Final

from aws.table import EventState
from worker.metrics import SeatsLeft

_REMEMBERED_S: Final = 2.0
"""An operator's change to an event reaches every worker within this time. All items of an event
lie in one partition, which bears 3,000 reads a second (AWS: partition throughput)."""


class Events:
    """Events as they were read last, or as this worker's own commits left them.

    Sold out is remembered only as the table said it, so that seats which an operator adds are seen
    in time; anything else is tried against the table's condition. What does not exist, or cannot
    be read, is not remembered.
    """

    def __init__(self, seats_left: SeatsLeft) -> None:
        self._seats_left = seats_left
        self._known: dict[str, tuple[EventState, float]] = {}

    @cached_property
    def _now(self) -> Callable[[], float]:
        # Python 3.11 makes a system call to find the running loop.
        return asyncio.get_running_loop().time

    def known(self, event_id: str) -> EventState | None:
        """What is remembered of an event, if it is fresh."""
        state, until = self._known.get(event_id, (None, 0.0))
        return state if self._now() < until else None

    def learn(self, read: Mapping[str, EventState]) -> None:
        """Remember what was just read."""
        until = self._now() + _REMEMBERED_S
        for event_id, state in read.items():
            if state.config is None or state.capacity is None:
                self.forget(event_id)
                continue
            known = self.known(event_id)
            if known is not None and (known.seats_left or 0) < state.capacity.remaining:
                continue  # read before our own latest commit
            self._known[event_id] = state, until
            self._seats_left.note(event_id, state.capacity.remaining)

    def left(self, event_id: str, seats: int) -> None:
        """Remember how many seats a commit left, or a condition's failure showed."""
        state = self.known(event_id)
        if state is not None and state.capacity is not None:
            until = self._now() + _REMEMBERED_S
            capacity = replace(state.capacity, remaining=seats)
            self._known[event_id] = replace(state, capacity=capacity), until
            self._seats_left.note(event_id, seats)

    def sold_out(self, event_id: str) -> None:
        """A commit took the last seat that was known of: an operator may have added some since."""
        self._seats_left.note(event_id, 0)
        self.forget(event_id)

    def forget(self, event_id: str) -> None:
        """Have an event read again."""
        self._known.pop(event_id, None)
