"""Performs plans: load, plan, commit, and again for whatever another writer got in the way of."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from secrets import token_hex
from typing import Any, Final
from weakref import WeakValueDictionary

import anyio
import structlog

from aws.errors import Fatal, Rejected, Transient
from aws.table import Loaded, SeatsCancelled, is_condition_failed
from config.limits import DYNAMODB_BATCH_STATEMENTS
from runtime import backoff
from schema.items import RequestItem
from worker import decide
from worker.decide import Candidate, Plan, Reading, SeatPlan, Step
from worker.parts import Parts
from worker.results import Decided, Defective, Undecided

MAX_ROUNDS: Final = 6
"""Tries to decide a batch here, before what is left goes back to the queue."""
_SAME_TOKEN_TRIES: Final = 2
_BACKOFF_BASE_S: Final = 0.05
_BACKOFF_MAX_S: Final = 1.0

log = structlog.get_logger("commit")


@dataclass(slots=True)
class Outcomes:
    """What has become of a batch so far."""

    decided: list[Decided] = field(default_factory=list)
    defective: list[Defective] = field(default_factory=list)
    undecided: list[Undecided] = field(default_factory=list)

    def extend(self, more: "Outcomes") -> None:
        """Take over what has become of others."""
        self.decided.extend(more.decided)
        self.defective.extend(more.defective)
        self.undecided.extend(more.undecided)


@dataclass(slots=True)
class _Round:
    """One try's leftovers: whom to decide again, why, and whether to wait before."""

    again: list[Candidate] = field(default_factory=list)
    reason: str = ""
    contention: bool = False

    def put_off(self, steps: Sequence[Step], error: Exception) -> None:
        self.again.extend(step.candidate for step in steps)
        self.reason = str(error)
        if isinstance(error, SeatsCancelled):
            self.contention |= error.is_contention
        else:
            self.contention |= not is_condition_failed(error)


class Committer:
    """Decides batches of candidates and commits the decisions.

    Nothing is ever guessed: after a cancelled transaction, a failed condition, or an answer that
    did not come, the requests are read again and decided by what the table says.
    """

    def __init__(self, parts: Parts) -> None:
        self._table = parts.table
        self._clock = parts.clock
        self._worker_id = parts.worker_id
        self._metrics = parts.metrics
        self._event_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def decide(self, batch: Sequence[Candidate], started_at_ms: int) -> Outcomes:
        """Decide every candidate, or say why it must be tried later; raises Fatal only."""
        outcomes = Outcomes()
        attempted: dict[str, RequestItem] = {}
        left, reason = list(batch), ""
        for attempt in range(1, MAX_ROUNDS + 1):
            leftovers = _Round()
            try:
                loaded = await self._load(left)
            except Transient as error:
                leftovers.again, leftovers.reason, leftovers.contention = left, str(error), True
            else:
                plan = decide.plan(left, loaded, self._reading(started_at_ms))
                self._take_over(plan, attempted, outcomes)
                for candidate, why in plan.blocked:
                    outcomes.extend(await self.give_up([candidate], why, started_at_ms))
                leftovers = await self._execute(plan, attempted, outcomes)
            left, reason = leftovers.again, leftovers.reason
            if not left:
                return outcomes
            if leftovers.contention and attempt < MAX_ROUNDS:
                await anyio.sleep(backoff.delay_s(attempt, _BACKOFF_BASE_S, _BACKOFF_MAX_S))
        outcomes.extend(await self.give_up(left, reason, started_at_ms))
        return outcomes

    def _reading(self, started_at_ms: int) -> Reading:
        return Reading(started_at_ms, self._clock(), self._worker_id)

    async def _load(self, batch: Sequence[Candidate]) -> Loaded:
        return await self._table.load(
            [candidate.message.request_id for candidate in batch],
            [candidate.message.event_id for candidate in batch],
        )

    def _take_over(self, plan: Plan, attempted: dict[str, RequestItem], outcomes: Outcomes) -> None:
        """What needs no write: redeliveries and defects."""
        for candidate, item in plan.decided:
            # A commit whose answer was lost left exactly what we meant to write: it is ours.
            ours = attempted.get(candidate.request_id) == item
            outcomes.decided.append(Decided(candidate.deliveries, item, by_this_worker=ours))
        for candidate, defect in plan.defects:
            outcomes.defective.extend(Defective(d, defect) for d in candidate.deliveries)

    async def _execute(
        self, plan: Plan, attempted: dict[str, RequestItem], outcomes: Outcomes
    ) -> _Round:
        for step in (*plan.writes, *(s for seats in plan.seats.values() for s in seats.steps)):
            attempted[step.candidate.request_id] = step.change.after
        leftovers = _Round(again=list(plan.deferred))
        writes = list(plan.writes)

        async def take_seats(event_id: str, seats: SeatPlan) -> None:
            try:
                await self._take_seats(event_id, seats)
            except (SeatsCancelled, Transient) as error:
                leftovers.put_off(seats.steps, error)
            else:
                _record(seats.winners, outcomes)
                # The last seat is taken now, for certain: the others may be told.
                writes.extend(seats.losers)

        await _together([partial(take_seats, *event) for event in plan.seats.items()])
        chunks = [
            writes[start : start + DYNAMODB_BATCH_STATEMENTS]
            for start in range(0, len(writes), DYNAMODB_BATCH_STATEMENTS)
        ]
        await _together([partial(self._write, chunk, leftovers, outcomes) for chunk in chunks])
        return leftovers

    async def _take_seats(self, event_id: str, seats: SeatPlan) -> None:
        """One transaction of one event at a time: two of one worker would only conflict."""
        lock = self._event_locks.get(event_id)
        if lock is None:
            lock = self._event_locks[event_id] = asyncio.Lock()
        changes = [step.change for step in seats.winners]
        token = token_hex(16)
        at_ms = self._clock()
        async with lock:
            for attempt in range(1, _SAME_TOKEN_TRIES + 1):
                try:
                    await self._table.take_seats(event_id, changes, at_ms, token)
                except SeatsCancelled as error:
                    if error.is_contention:
                        self._metrics.transaction_conflicts.inc()
                    raise
                except Transient:
                    # The same token makes a repetition harmless, should the first have worked.
                    if attempt == _SAME_TOKEN_TRIES:
                        raise
                else:
                    return

    async def _write(self, steps: Sequence[Step], leftovers: _Round, outcomes: Outcomes) -> None:
        try:
            results = await self._table.write([step.change for step in steps])
        except Transient as unanswered:
            leftovers.put_off(steps, unanswered)
            return
        written: list[Step] = []
        for step, error in zip(steps, results, strict=True):
            if error is None:
                written.append(step)
            elif isinstance(error, Fatal):
                raise error
            else:
                leftovers.put_off([step], error)
        _record(written, outcomes)

    async def give_up(self, left: Sequence[Candidate], reason: str, started_at_ms: int) -> Outcomes:
        """Hand back what can't be decided now; from the DLQ there is no way back (domain §6)."""
        outcomes = Outcomes()
        last_tries = [c for c in left if any(d.from_dlq for d in c.deliveries)]
        leftovers = _Round(again=[c for c in left if c not in last_tries], reason=reason)
        if last_tries:
            await self._say_last_words(last_tries, started_at_ms, leftovers, outcomes)
        outcomes.undecided.extend(
            Undecided(candidate.deliveries, candidate.request_id, leftovers.reason)
            for candidate in leftovers.again
        )
        return outcomes

    async def _say_last_words(
        self,
        candidates: Sequence[Candidate],
        started_at_ms: int,
        leftovers: _Round,
        outcomes: Outcomes,
    ) -> None:
        reason = leftovers.reason
        try:
            loaded = await self._load(candidates)
        except (Transient, Rejected) as error:
            leftovers.reason = str(error)
            leftovers.again.extend(candidates)
            return
        last_words: list[Step] = []
        for candidate in candidates:
            item = loaded.requests.get(candidate.request_id)
            if item is None or item.status.is_final:
                leftovers.again.append(candidate)
            else:
                reading = self._reading(started_at_ms)
                last_words.append(
                    decide.failed_for_good(candidate, item, reading, "RETRIES_EXHAUSTED", reason)
                )
        for start in range(0, len(last_words), DYNAMODB_BATCH_STATEMENTS):
            chunk = last_words[start : start + DYNAMODB_BATCH_STATEMENTS]
            try:
                await self._write(chunk, leftovers, outcomes)
            except Rejected as error:
                leftovers.put_off(chunk, error)


def _record(steps: Sequence[Step], outcomes: Outcomes) -> None:
    outcomes.decided.extend(
        Decided(step.candidate.deliveries, step.change.after, by_this_worker=True) for step in steps
    )


async def _together(calls: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run calls concurrently; a lone one without a task of its own."""
    if len(calls) <= 1:
        for call in calls:
            await call()
        return
    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(call)
