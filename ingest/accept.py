"""Accepts a click: insert, send, mark as queued, and the healing of what a crash left behind."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from config.settings import IngestSettings
from ingest.gateway import (
    Advance,
    CorruptItem,
    Failure,
    Gateway,
    Insertion,
    Progress,
    Unavailable,
)
from schema import keys
from schema.events import ParticipationRequested
from schema.items import EventConfig, RequestItem
from schema.message import message_of
from schema.states import Status
from schema.values import value

_SECONDS_PER_DAY: Final = 86_400
_SEND_UNTIL_S: Final = 2.5
"""A click whose first steps have taken longer is refused instead of queued: with what its last
two may take (`ingest/aws_gateway.py`) it is answered within about three seconds."""


@value(frozen=True, slots=True)
class Accepted:
    """The request is stored and queued, by this click or by an earlier one."""

    request_id: str
    is_duplicate: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The request could not be queued now; the same click, made later, continues it."""

    request_id: str


Acceptance = Accepted | Refused


class _UnderWay:
    """A click that is being accepted, and those who made the same click meanwhile."""

    __slots__ = ("acceptance", "done")

    def __init__(self) -> None:
        self.done: anyio.Event | None = None
        self.acceptance: Acceptance | None = None

    async def wait(self) -> Acceptance | None:
        if self.done is None:
            self.done = anyio.Event()
        await self.done.wait()
        return self.acceptance


class Acceptor:
    """Takes clicks through the fixed order of domain §5: insert, send, update, answer."""

    def __init__(
        self, gateway: Gateway, settings: IngestSettings, clock_ms: Callable[[], int]
    ) -> None:
        self._gateway = gateway
        self._settings = settings
        self._clock_ms = clock_ms
        self._under_way: dict[str, _UnderWay] = {}

    async def accept(self, event: EventConfig, user_id: str) -> Acceptance:
        """Accept one click on an open event.

        Equal clicks that arrive while the first is under way share what becomes of it: they cost
        no call, and none is answered "accepted" where the queue then refuses the message.
        """
        request_id = keys.request_id(event.event_id, user_id)
        first = self._under_way.get(request_id)
        if first is not None:
            if isinstance(await first.wait(), Accepted):
                return Accepted(request_id, is_duplicate=True)
            return Refused(request_id)
        mine = self._under_way[request_id] = _UnderWay()
        try:
            mine.acceptance = await self._accept(event, user_id, request_id)
            return mine.acceptance
        finally:
            del self._under_way[request_id]
            if mine.done is not None:
                mine.done.set()

    async def _accept(self, event: EventConfig, user_id: str, request_id: str) -> Acceptance:
        began_s = asyncio.get_running_loop().time()
        now_ms = self._clock_ms()
        request = RequestItem(
            request_id=request_id,
            event_id=event.event_id,
            user_id=user_id,
            event_type=event.event_type,
            status=Status.RECEIVED,
            requested_at_ms=now_ms,
            ttl_s=now_ms // 1000 + self._settings.request_ttl_days * _SECONDS_PER_DAY,
        )
        come = await self._gateway.advance(request)
        if come.progress is Progress.QUEUED or come.progress is Progress.OVERTAKEN:
            await self._announce(request, come.queued_at_ms)
            return Accepted(request_id, is_duplicate=False)
        try:
            return await self._finish(request, come, began_s)
        except Unavailable:
            return Refused(request_id)

    async def _finish(self, request: RequestItem, come: Advance, began_s: float) -> Acceptance:
        """Take a request from where it stopped to the end; raises Unavailable."""
        progress = come.progress
        insertion = Insertion(is_new=progress is not Progress.EXISTS)
        if progress is Progress.NEW:
            insertion = await self._gateway.insert(request, come.failure)
        is_duplicate = False
        if not insertion.is_new:
            stored = await self._gateway.load_request(request.request_id)
            if stored is None:
                return Refused(request.request_id)  # it expired in between
            is_duplicate = not (
                insertion.was_retried and stored.requested_at_ms == request.requested_at_ms
            )
            request = stored
        # Whoever stored it may never queue it, and a 202 is a promise that it is queued.
        if request.status is Status.RECEIVED:
            if progress is not Progress.SENT:
                if asyncio.get_running_loop().time() > began_s + _SEND_UNTIL_S:
                    return Refused(request.request_id)
                await self._gateway.send(
                    message_of(request), come.failure if progress is Progress.STORED else None
                )
            await self._record(request, come.failure if progress is Progress.SENT else None)
        return Accepted(request.request_id, is_duplicate)

    async def _record(self, request: RequestItem, failed: Failure | None) -> None:
        """Record queuedAt, where nobody faster has recorded it, and have it published.

        The message is queued, so that nothing here fails the click: what is not recorded now, the
        worker records with the decision (domain §6).
        """
        now_ms = self._clock_ms()
        try:
            was_received = await self._gateway.mark_queued(request, now_ms, failed)
        except Unavailable:
            return
        await self._announce(request, now_ms if was_received else None)

    async def _announce(self, request: RequestItem, queued_at_ms: int | None) -> None:
        """Have a queued request published, where that is asked for; fails no click.

        Only a queuedAt that is known to be stored is published: it is read where `queued_at_ms`,
        which we have recorded, is None.
        """
        if not self._settings.publish_requested_events:
            return
        if queued_at_ms is None:
            try:
                stored = await self._gateway.load_request(request.request_id)
            except (CorruptItem, Unavailable):
                return
            queued_at_ms = None if stored is None else stored.queued_at_ms
        if queued_at_ms is not None:
            self._gateway.publish(
                ParticipationRequested(
                    env=self._settings.environment,
                    eventId=request.event_id,
                    requestId=request.request_id,
                    userId=request.user_id,
                    queuedAt=queued_at_ms,
                )
            )
