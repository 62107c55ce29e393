"""The messages of one queue: which wait, which are in flight, and when those come back."""

import heapq
from collections import deque
from collections.abc import Callable, Collection
from itertools import count, islice
from math import inf
from random import Random
from typing import Final

from simulation.aws.clock import Clock, Timer
from simulation.aws.sqs.messages import Message

_SAMPLED: Final = 1_000
"""A receive without order takes its messages from so many of the oldest: older ones still come
earlier on the whole, as "best-effort ordering" has it."""


class Backlog:
    """Keeps messages in order of their arrival; `on_visible` is called when some come back."""

    def __init__(self, clock: Clock, on_visible: Callable[[], None], chance: Random | None) -> None:
        self._clock = clock
        self._on_visible = on_visible
        self._chance = chance
        """Draws the messages of a receive; None: the oldest come first."""
        self._ready: deque[Message] = deque()
        self._again: dict[int, Message] = {}
        """Those that wait again, by their receipts: these still delete them."""
        self._deleted: set[int] = set()
        """The numbers of those that were deleted while they waited: left out when met."""
        self._in_flight: dict[int, Message] = {}
        """By receipt."""
        self._receipts = count(1)
        self._deadlines: list[tuple[float, tuple[int, ...]]] = []
        self._alarm: Timer | None = None
        self._alarm_at = inf

    @property
    def waiting(self) -> int:
        """How many messages could be received now."""
        return len(self._ready) - len(self._deleted)

    @property
    def in_flight(self) -> int:
        """How many are received and neither deleted nor visible again."""
        return len(self._in_flight)

    def add(self, messages: Collection[Message]) -> None:
        """Put messages at the end."""
        self._ready.extend(messages)

    def take(self, most: int) -> list[Message]:
        """Take up to that many out, to be handed out or put elsewhere."""
        ready = self._ready
        if self._again or self._deleted or self._chance is not None:
            return self._take_each(most)
        return [ready.popleft() for _ in range(min(most, len(ready)))]

    def _take_each(self, most: int) -> list[Message]:
        taken: list[Message] = []
        while self._ready and len(taken) < most:
            message = self._next()
            if message.number in self._deleted:
                self._deleted.remove(message.number)
            else:
                self._again.pop(message.receipt, None)
                taken.append(message)
        return taken

    def _next(self) -> Message:
        if self._chance is None:
            return self._ready.popleft()
        position = self._chance.randrange(min(len(self._ready), _SAMPLED))
        message = self._ready[position]
        del self._ready[position]
        return message

    def hand_out(self, messages: Collection[Message], visibility_timeout_s: float) -> None:
        """Note that messages that were taken are in flight from now on."""
        now = self._clock.time()
        visible_at = now + visibility_timeout_s
        now_ms = str(self._clock.epoch_ms())
        receipts = tuple(islice(self._receipts, len(messages)))
        for receipt, message in zip(receipts, messages, strict=True):
            if not message.receive_count:
                message.first_received_at_ms = now_ms
            message.receive_count += 1
            message.receipt = receipt
            message.received_at = now
            message.visible_at = visible_at
            self._in_flight[receipt] = message
        # One entry for all that come back at one time.
        self._await_deadline(visible_at, receipts)

    def in_flight_by(self, receipt: int) -> Message | None:
        """A message that is in flight by that very receive."""
        return self._in_flight.get(receipt)

    def delete(self, receipt: int) -> Message | None:
        """Remove a message whose latest receive was that one, in flight or visible again."""
        message = self._in_flight.pop(receipt, None)
        if message is None:
            message = self._again.pop(receipt, None)
            if message is not None:
                self._deleted.add(message.number)
        return message

    def set_visibility(self, message: Message, timeout_s: float) -> None:
        """Change when a message in flight becomes visible again, counted from now."""
        message.visible_at = self._clock.time() + timeout_s
        self._await_deadline(message.visible_at, (message.receipt,))
        self.expire()

    def expire(self) -> None:
        """Make those visible whose time is up."""
        now = self._clock.time()
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, receipts = heapq.heappop(self._deadlines)
            for receipt in receipts:
                message = self._in_flight.get(receipt)
                if message is not None and message.visible_at == deadline:
                    del self._in_flight[receipt]
                    self._again[receipt] = message
                    self._ready.append(message)

    def _await_deadline(self, deadline: float, receipts: tuple[int, ...]) -> None:
        heapq.heappush(self._deadlines, (deadline, receipts))
        if deadline < self._alarm_at:
            self._set_alarm(deadline)

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._clock.call_later(max(0.0, at - self._clock.time()), self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at = None, inf
        self.expire()
        # Nothing comes back at the deadlines of what was deleted or extended meanwhile.
        while self._deadlines and not self._is_in_force(*self._deadlines[0]):
            heapq.heappop(self._deadlines)
        if self._deadlines:
            self._set_alarm(self._deadlines[0][0])
        self._on_visible()

    def _is_in_force(self, deadline: float, receipts: tuple[int, ...]) -> bool:
        return any(
            message is not None and message.visible_at == deadline
            for message in map(self._in_flight.get, receipts)
        )
