"""Remembers events for a few seconds, so that a burst reads each once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

import anyio

from ingest.gateway import Event, Unavailable

_MAX_EVENTS: Final = 10_000
STALE_S: Final = 60.0
"""How long beyond its lifetime an event is used while it cannot be read: longer than most
throttles and outages, and no longer than an operator who closes an event may have to wait."""
_ASK_AGAIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read, until when it is used unasked, and until when if it cannot be read."""

    event: Event | None
    fresh_until_s: float
    stale_until_s: float
    is_unreadable: bool = False
    """Whether the last attempt to read it again failed."""


@dataclass(slots=True)
class _Reading:
    """A read under way, and what became of it."""

    over: anyio.Event = field(default_factory=anyio.Event)
    result: Event | Exception | None = None
    was_cancelled: bool = True


class EventCache:
    """Each event is read at most once per `ttl_s`, however many ask at the same time.

    That an event does not exist is remembered as well. Whoever waits for a read shares what
    becomes of it. While the table does not answer, an event that is known is used for up to
    a minute longer, and read again once a second; one that did not exist is not: by now it may.
    """

    def __init__(
        self,
        read: Callable[[str], Awaitable[Event | None]],
        ttl_s: float,
    ) -> None:
        self._read = read
        self._ttl_s = ttl_s
        self._known: dict[str, _Known] = {}
        self._reading: dict[str, _Reading] = {}

    async def get(self, event_id: str) -> Event | None:
        """An event; None where there is no such event."""
        while True:
            known = self._known.get(event_id)
            if known is not None and _now_s() < known.fresh_until_s:
                return known.event
            reading = self._reading.get(event_id)
            if reading is None:
                return await self._read_for_all(event_id)
            if known is not None and known.is_unreadable and _now_s() < known.stale_until_s:
                return known.event  # what is being tried may hang
            await reading.over.wait()
            if isinstance(reading.result, Exception):
                # It was raised elsewhere, too: without this its traceback would grow each time.
                raise reading.result.with_traceback(None)
            if not reading.was_cancelled:
                return reading.result

    async def _read_for_all(self, event_id: str) -> Event | None:
        reading = self._reading[event_id] = _Reading()
        try:
            event = await self._read_or_known(event_id)
        except Exception as error:
            reading.result, reading.was_cancelled = error, False
            raise
        else:
            reading.result, reading.was_cancelled = event, False
            return event
        finally:
            del self._reading[event_id]
            reading.over.set()

    async def _read_or_known(self, event_id: str) -> Event | None:
        try:
            event = await self._read(event_id)
        except Unavailable:
            known = self._known.get(event_id)
            now_s = _now_s()
            if known is None or known.event is None or now_s >= known.stale_until_s:
                raise
            until_s = min(now_s + _ASK_AGAIN_S, known.stale_until_s)
            self._known[event_id] = replace(known, fresh_until_s=until_s, is_unreadable=True)
            return known.event
        self._known.pop(event_id, None)
        if len(self._known) >= _MAX_EVENTS:
            del self._known[next(iter(self._known))]
        fresh_until_s = _now_s() + self._ttl_s
        self._known[event_id] = _Known(event, fresh_until_s, fresh_until_s + STALE_S)
        return event


def _now_s() -> float:
    return asyncio.get_running_loop().time()
