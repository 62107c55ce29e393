"""Whose turn it is to sell an event's seats: one worker's at a time, by the capacity item."""

import asyncio
from typing import Final

import anyio
import structlog

from aws.errors import Rejected, Transient
from runtime import backoff
from schema.items import Capacity
from worker.parts import Parts

_LOOK_BASE_S: Final = 0.02
_LOOK_MAX_S: Final = 0.1
_IDLE_S: Final = 1.0
"""A seller whose mark has stood still for so long is gone: it renews it with each transaction."""
_PATIENCE_S: Final = 5.0
"""Whoever has waited so long sells without a turn."""
_LONGEST_S: Final = 0.25
_OTHERS_S: Final = 10.0
"""So long after another worker sold, this one passes its turn on; alone it keeps it."""

log = structlog.get_logger("seats")


class Turn:
    """Keeps transactions of several workers on one event apart.

    Transactions that overlap cancel each other, and each that is cancelled costs as much as one
    that is not. A turn is advice: safety rests on the conditions of the transaction alone, so that
    no clock is compared and nothing is lost where a turn is held by two or by nobody.
    """

    def __init__(self, parts: Parts, event_id: str) -> None:
        self._parts = parts
        self._event_id = event_id
        self._name = f"{parts.random.getrandbits(64):016x}"
        self._held_since: float | None = None
        self._others_until = 0.0
        self._pause_until = 0.0

    @property
    def is_held(self) -> bool:
        """Whether this worker has it, as far as it knows."""
        return self._held_since is not None

    def next_mark(self, *, is_more: bool) -> str | None:
        """What the next transaction writes: this worker's name to keep the turn, None to pass it.

        It is passed when there is nothing left to sell to, or when others have waited for long.
        """
        now = asyncio.get_running_loop().time()
        if self._held_since is None:
            return None
        over = now < self._others_until and now - self._held_since > _LONGEST_S
        return None if over or not is_more else self._name

    def passed(self) -> None:
        """Take note that a transaction has passed the turn on."""
        now = asyncio.get_running_loop().time()
        if now < self._others_until:
            # As long as others look away: one of those who wait is next.
            self._pause_until = now + _LOOK_MAX_S * (0.5 + self._parts.random.random() / 2)
        self._held_since = None

    def lost(self) -> None:
        """Take note that another worker sells, turn or no turn."""
        self._held_since = None

    async def release(self) -> None:
        """Pass the turn on without a transaction; whoever waits finds out in time if this fails."""
        if self._held_since is None:
            return
        self._held_since = None
        try:
            await self._parts.table.pass_turn(self._event_id, self._name)
        except (Transient, Rejected) as error:
            log.debug("turn_not_passed", event_id=self._event_id, error=str(error))

    async def take(self) -> Capacity | None:
        """Wait for the turn; returns the capacity if it was read meanwhile, sold out or not.

        Returns without the turn where no seat is left, where the table does not answer, and when
        patience ends.
        """
        loop = asyncio.get_running_loop()
        began = seen_at = loop.time()
        seen: Capacity | None = None
        looks = 0
        await anyio.sleep(max(0.0, self._pause_until - began))
        while True:
            idle = seen if loop.time() - seen_at >= _IDLE_S else None
            capacity = await self._look(seen, idle)
            if capacity is None or capacity.seller == self._name or capacity.remaining <= 0:
                return capacity
            now = loop.time()
            if capacity.seller is not None:
                self._others_until = now + _OTHERS_S
            if seen is None or (seen.seller, seen.updated_at_ms) != (
                capacity.seller,
                capacity.updated_at_ms,
            ):
                seen, seen_at = capacity, now
                looks = 0
            if now - began > _PATIENCE_S or self._parts.stop.requested:
                return capacity
            looks += 1
            await anyio.sleep(
                backoff.full_delay_s(looks, _LOOK_BASE_S, _LOOK_MAX_S, self._parts.random)
            )

    async def _look(self, seen: Capacity | None, idle: Capacity | None) -> Capacity | None:
        """Try to take the turn, or read while another has it: reading costs half, and no write."""
        table = self._parts.table
        try:
            if seen is not None and seen.seller is not None and idle is None:
                return await table.capacity(self._event_id)
            at_ms = self._parts.clock()
            taken = await table.take_turn(self._event_id, self._name, at_ms, idle)
        except Transient as error:
            # In a conflict, somebody's transaction is under way.
            return await self._read() if error.is_conflict else None
        except Rejected:
            return None
        if taken is not None and taken.seller == self._name:
            self._held_since = asyncio.get_running_loop().time()
        return taken

    async def _read(self) -> Capacity | None:
        try:
            return await self._parts.table.capacity(self._event_id)
        except (Transient, Rejected):
            return None
