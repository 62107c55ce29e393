"""Remembers events' configuration for a few seconds, so that a burst reads it once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from schema.items import EventConfig

_MAX_EVENTS: Final = 10_000


class EventCache:
    """Each event is read at most once per `ttl_s`, however many ask at the same time.

    That an event does not exist is remembered as well. A read that fails is not remembered:
    each caller that waited for it reads again.
    """

    def __init__(
        self,
        read: Callable[[str], Awaitable[EventConfig | None]],
        ttl_s: float,
    ) -> None:
        self._read = read
        self._ttl_s = ttl_s
        self._known: dict[str, tuple[EventConfig | None, float]] = {}
        self._reading: dict[str, anyio.Event] = {}

    async def get(self, event_id: str) -> EventConfig | None:
        """An event's configuration; None where there is no such event."""
        while True:
            known = self._known.get(event_id)
            if known is not None and _now_s() < known[1]:
                return known[0]
            reading = self._reading.get(event_id)
            if reading is None:
                return await self._read_and_remember(event_id)
            await reading.wait()
            # With a lifetime of zero what was just read is already old, but still new enough
            # for those who were waiting for it.
            just_read = self._known.get(event_id)
            if just_read is not None and just_read is not known:
                return just_read[0]

    async def _read_and_remember(self, event_id: str) -> EventConfig | None:
        reading = self._reading[event_id] = anyio.Event()
        try:
            config = await self._read(event_id)
            self._known.pop(event_id, None)
            if len(self._known) >= _MAX_EVENTS:
                del self._known[next(iter(self._known))]
            self._known[event_id] = (config, _now_s() + self._ttl_s)
            return config
        finally:
            del self._reading[event_id]
            reading.set()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
