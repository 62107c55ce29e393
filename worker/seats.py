"""Sells one event's seats: what all batches of this worker wait for, oldest first."""

import asyncio
from bisect import insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

import anyio
import structlog

from aws.errors import AwsError, Fatal, Transient
from aws.statements import Mark
from aws.table import EventState, SeatsCancelled
from runtime import backoff
from schema.items import Change
from worker import decide, line
from worker.decide import Seeker, Step
from worker.events import Events
from worker.line import Place
from worker.metrics import Cancellation
from worker.outage import Outage
from worker.parts import Parts
from worker.results import BatchResult, Decided, Retry, Undecided
from worker.size import Size
from worker.turn import Turn

_SAME_TOKEN_TRIES: Final = 2
_BACKOFF_BASE_S: Final = 0.05
_BACKOFF_MAX_S: Final = 1.0
_CONDITION: Final = "ConditionalCheckFailed"
_CONFLICT: Final = "TransactionConflict"
_NO_THROTTLES: Final = frozenset({"None", _CONDITION, _CONFLICT})

log = structlog.get_logger("seats")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that waits for a seat, and what has become of it."""

    seeker: Seeker
    outcome: Decided | Undecided | Step | None = None
    """A step is one to be written: no seat is left, for certain."""


class Seller:
    """Commits one event's winners, up to 99 in one transaction, one transaction at a time.

    Each batch waits for its own requests; whichever comes first sells for all that wait. Two
    transactions of one worker would only cancel each other, and a seat goes to whoever was queued
    first among all that this worker has at hand.
    """

    def __init__(self, parts: Parts, events: Events, outage: Outage, event_id: str) -> None:
        self._parts = parts
        self._events = events
        self._outage = outage
        self._event_id = event_id
        self._turn = Turn(parts, event_id)
        self._numbers = count()
        self._waiting: list[tuple[tuple[int, str], int, _Waiting]] = []
        """Oldest first."""
        self._lock = asyncio.Lock()
        self._size = Size()
        self._cancellations = 0
        """Transactions in a row that another worker, or a throttle, was in the way of."""
        self._busy_since = 0.0
        """Since when somebody has waited all the time (event loop time)."""

    async def sell(self, seekers: Sequence[Seeker]) -> tuple[BatchResult, list[Step]]:
        """Decide seekers; returns what is decided or undecided, and the losers to be written."""
        mine = [_Waiting(seeker) for seeker in seekers]
        for waiting in mine:
            self._wait(waiting)
        try:
            async with self._lock:
                while any(waiting.outcome is None for waiting in mine):
                    await self._sell_some()
                if not self._waiting:
                    await self._turn.release()
        except BaseException:
            # Whoever sells next must not decide what nobody waits for.
            for waiting in mine:
                waiting.outcome = waiting.outcome or Undecided(waiting.seeker.candidate, "given up")
            self._waiting = [entry for entry in self._waiting if entry[2].outcome is None]
            raise
        outcomes = [waiting.outcome for waiting in mine]
        return (
            BatchResult(
                decided=[outcome for outcome in outcomes if isinstance(outcome, Decided)],
                undecided=[outcome for outcome in outcomes if isinstance(outcome, Undecided)],
            ),
            [outcome for outcome in outcomes if isinstance(outcome, Step)],
        )

    async def _sell_some(self) -> None:
        """Take one step: read the event, turn everybody away, or commit the oldest."""
        event = self._events.known(self._event_id)
        if event is None:
            read = (await self._parts.table.load((), [self._event_id])).events
            self._events.learn(read)
            event = read[self._event_id]
        if event.defect is not None:
            # What breaks the contract is not missing: its requests wait for an operator.
            for waiting in self._next(len(self._waiting)):
                waiting.outcome = Undecided(waiting.seeker.candidate, event.defect)
            return
        if not event.seats_left:
            # So the table said within the last two seconds.
            with self._kept(self._next(len(self._waiting))) as everybody:
                self._plan(everybody, event)
            return
        seats_left = event.seats_left
        if not self._turn.is_held:
            await self._sell_in_turn(event, seats_left)
        else:
            await self._sell_share(event, seats_left)

    async def _sell_in_turn(self, event: EventState, seats_left: int) -> None:
        """Wait for the turn, and begin it."""
        async with self._turn.taken(self._mine) as capacity:
            if capacity is not None and capacity.remaining != seats_left:
                # To wait for a turn anew because others sell would never end.
                seats_left, event = capacity.remaining, replace(event, capacity=capacity)
                self._events.learn({self._event_id: event})
                self._events.left(self._event_id, seats_left)
                if seats_left <= 0:
                    return
            await self._sell_share(event, seats_left)

    async def _sell_share(self, event: EventState, seats_left: int) -> None:
        """Commit the oldest, as many as may be sold before others; none: it is the others' turn."""
        mine = self._mine()
        if self._turn.is_hasty(mine, seats_left, self._busy_since):
            await self._turn.settle(self._busy_since)
            return
        most = min(self._size.most, seats_left, self._turn.share(mine, seats_left))
        chunk = self._next(most)
        if not chunk:
            await self._turn.release(mine, seats_left)
            return
        with self._kept(chunk):
            await self._commit(chunk, event)

    @contextmanager
    def _kept(self, chunk: Sequence[_Waiting]) -> Iterator[Sequence[_Waiting]]:
        """Those who have no outcome wait on, as long as they have waited."""
        busy_since = self._busy_since
        try:
            yield chunk
        finally:
            for waiting in chunk:
                if waiting.outcome is None:
                    self._wait(waiting)
                    self._busy_since = min(self._busy_since, busy_since)

    def _wait(self, waiting: _Waiting) -> None:
        if not self._waiting:
            self._busy_since = asyncio.get_running_loop().time()
        entry = waiting.seeker.turn, next(self._numbers), waiting
        if self._waiting and entry < self._waiting[-1]:
            insort(self._waiting, entry)
        else:
            self._waiting.append(entry)  # as most come

    def _mine(self) -> Place:
        """When the oldest that wait were queued: what others may know of them."""
        return [turn[0] for turn, _, _ in self._waiting[: line.SHOWN]]

    def _next(self, most: int) -> list[_Waiting]:
        """The oldest that wait, each request once: a transaction may name an item only once."""
        found: dict[str, _Waiting] = {}
        taken = 0
        for _, _, waiting in self._waiting:
            if len(found) == most:
                break
            taken += 1
            request_id = waiting.seeker.request_id
            if request_id in found:
                reason = "another message on the request came first"
                candidate = waiting.seeker.candidate
                waiting.outcome = Undecided(candidate, reason, Retry.WHEN_FREE)
                continue
            found[request_id] = waiting
        del self._waiting[:taken]
        return list(found.values())

    def _plan(self, chunk: Sequence[_Waiting], event: EventState) -> Sequence[Step]:
        """The winners' steps; who gets no seat has that as the outcome."""
        seekers = [waiting.seeker for waiting in chunk]
        plan = decide.seats(seekers, event, self._parts.clock(), self._parts.worker_id)
        for waiting, loser in zip(chunk[len(plan.winners) :], plan.losers, strict=True):
            waiting.outcome = loser
        return plan.winners

    async def _commit(self, chunk: Sequence[_Waiting], event: EventState) -> None:
        """One transaction; what could not be part of it for an unforeseen reason goes by halves."""
        steps = self._plan(chunk, event)
        try:
            await self._take_seats(steps, event)
        except SeatsCancelled as error:
            await self._cancelled(chunk, error)
        except Transient as error:
            self._outage.failed("seats", error)
            if error.is_throttle:
                self._size.throttled(len(steps))
            for waiting, step in zip(chunk, steps, strict=True):
                # It may have taken effect: what was meant to be written is recognised then.
                attempted = replace(step.candidate, attempted=step.change.after)
                waiting.outcome = Undecided(attempted, str(error), Retry.AFTER_OUTAGE)
        except Fatal:
            raise
        except Exception as error:
            if len(chunk) == 1:
                log.exception("decision_failed", request_id=chunk[0].seeker.request_id)
                chunk[0].outcome = Undecided(chunk[0].seeker.candidate, str(error))
                return
            middle = len(chunk) // 2
            await self._commit(chunk[:middle], event)
            await self._commit(chunk[middle:], event)
        else:
            self._cancellations = 0
            self._size.committed(len(steps))
            for waiting, step in zip(chunk, steps, strict=True):
                deliveries = step.candidate.deliveries
                waiting.outcome = Decided(deliveries, step.change.after, by_this_worker=True)

    async def _take_seats(self, winners: Sequence[Step], event: EventState) -> None:
        """The transaction; its token must be unique, not secret (AWS: ClientRequestToken)."""
        changes = [step.change for step in winners]
        token = f"{self._parts.random.getrandbits(128):032x}"
        at_ms = self._parts.clock()
        known = self._events.known(self._event_id) or event
        left = max(0, (known.seats_left or 0) - len(changes))
        mine, full = self._mine(), len(self._waiting) // self._size.most
        mark = self._turn.mark(mine, left, full)
        looks = bool(mine and left) and self._turn.is_look_due(left, full)
        for attempt in range(1, _SAME_TOKEN_TRIES + 1):
            try:
                await self._transact(changes, at_ms, token, mark, looks=looks)
            except Transient:
                # The same token makes a repetition harmless, should the first have worked.
                if attempt == _SAME_TOKEN_TRIES:
                    raise
            else:
                break
        self._outage.answered("seats")
        self._turn.marked(mark)
        if left:
            self._events.left(self._event_id, left)
        else:
            self._events.sold_out(self._event_id)

    async def _transact(
        self, changes: Sequence[Change], at_ms: int, token: str, mark: Mark | None, *, looks: bool
    ) -> None:
        """Make the call, and see meanwhile who else would sell."""
        table = self._parts.table
        if not looks:
            await table.take_seats(self._event_id, changes, at_ms, token, mark)
            return
        failed: AwsError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._turn.look)
            try:
                await table.take_seats(self._event_id, changes, at_ms, token, mark)
            except AwsError as error:
                failed = error
        if failed is not None:
            raise failed

    async def _cancelled(self, chunk: Sequence[_Waiting], error: SeatsCancelled) -> None:
        """Leave out who was in the way; the others wait on, and need not be read again."""
        self._outage.answered("seats")
        capacity, *requests = error.reasons or ("None",)
        self._parts.metrics.seat_cancellations[_why(capacity, requests)].inc()
        for waiting, reason in zip(chunk, requests, strict=False):
            if reason == _CONDITION:
                waiting.outcome = _again(waiting, error, Retry.IMMEDIATELY)
            elif reason == _CONFLICT:
                waiting.outcome = _again(waiting, error, Retry.WHEN_FREE)
        if capacity == _CONDITION:
            if error.seats_left is None:
                self._events.forget(self._event_id)
            else:
                self._events.left(self._event_id, error.seats_left)
            return
        if capacity == _CONFLICT:
            self._turn.lost()
        is_throttled = not {capacity, *requests} <= _NO_THROTTLES
        if is_throttled:
            self._size.throttled(len(chunk))
        if is_throttled or not any(waiting.outcome for waiting in chunk):
            await self._back_off(chunk, error)

    async def _back_off(self, chunk: Sequence[_Waiting], error: SeatsCancelled) -> None:
        """Wait for another worker that sells, too, or for the table's next units."""
        if self._parts.stop.requested:
            for waiting in chunk:
                waiting.outcome = waiting.outcome or _again(waiting, error, Retry.WHEN_FREE)
            return
        self._cancellations += 1
        await anyio.sleep(
            backoff.full_delay_s(
                self._cancellations, _BACKOFF_BASE_S, _BACKOFF_MAX_S, self._parts.random
            )
        )


def _again(waiting: _Waiting, error: SeatsCancelled, retry: Retry) -> Undecided:
    return Undecided(waiting.seeker.candidate, str(error), retry)


def _why(capacity: str, requests: Sequence[str]) -> Cancellation:
    if capacity == _CONDITION:
        return Cancellation.SEATS_GONE
    if capacity == _CONFLICT:
        return Cancellation.CAPACITY_CONFLICT
    if _CONFLICT in requests:
        return Cancellation.REQUEST_CONFLICT
    if _CONDITION in requests:
        return Cancellation.REQUEST_CHANGED
    return Cancellation.THROTTLED
