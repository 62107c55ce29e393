"""Performs one plan: load, plan, commit; what another writer blocked stays undecided."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar
from weakref import WeakValueDictionary

import anyio

from aws.errors import Fatal, Transient
from aws.table import Loaded, SeatsCancelled, is_condition_failed
from config.limits import DYNAMODB_BATCH_STATEMENTS
from worker import decide
from worker.decide import Candidate, Plan, Reading, SeatPlan, Step
from worker.parts import Parts
from worker.results import BatchResult, Decided, Defective, Retry, Undecided

_SAME_TOKEN_TRIES: Final = 2

T = TypeVar("T")


class Committer:
    """Decides candidates and commits the decisions, one try at a time.

    Nothing is ever guessed: after a cancelled transaction, a failed condition, or an answer that
    did not come, the requests stay undecided, to be read again and decided by what the table says.
    """

    def __init__(self, parts: Parts) -> None:
        self.random = parts.random
        self._table = parts.table
        self._clock = parts.clock
        self._worker_id = parts.worker_id
        self._metrics = parts.metrics
        self._event_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def attempt(self, batch: Sequence[Candidate], started_at_ms: int) -> BatchResult:
        """Try once to decide every candidate.

        Raises Fatal where only an operator can help, and any unforeseen error as it is.
        """
        try:
            loaded = await self.load(batch)
        except Transient as error:
            return BatchResult(
                undecided=[Undecided(c, str(error), Retry.AFTER_BACKOFF) for c in batch]
            )
        reading = self.reading(started_at_ms)
        plan = decide.plan(batch, loaded, reading)
        return _without_writes(plan, reading) + await self._execute(plan)

    def reading(self, started_at_ms: int) -> Reading:
        """The clock now, for a batch whose processing began then."""
        return Reading(started_at_ms, self._clock(), self._worker_id)

    async def load(self, batch: Sequence[Candidate]) -> Loaded:
        """Read the candidates' requests and events."""
        return await self._table.load(
            [candidate.message.request_id for candidate in batch],
            [candidate.message.event_id for candidate in batch],
        )

    async def write(self, steps: Sequence[Step]) -> BatchResult:
        """Write decisions that depend on no seat, each on its own condition."""
        chunks = [
            steps[start : start + DYNAMODB_BATCH_STATEMENTS]
            for start in range(0, len(steps), DYNAMODB_BATCH_STATEMENTS)
        ]
        written = await _concurrently([partial(self._write_chunk, chunk) for chunk in chunks])
        return sum(written, BatchResult())

    async def _execute(self, plan: Plan) -> BatchResult:
        seated = await _concurrently([partial(self._seat, *seats) for seats in plan.seats.items()])
        losers = [step for _, losers in seated for step in losers]
        written = await self.write([*plan.writes, *losers])
        return sum((result for result, _ in seated), written)

    async def _seat(self, event_id: str, seats: SeatPlan) -> tuple[BatchResult, Sequence[Step]]:
        """Commit one event's winners; returns the losers who may be written then."""
        try:
            await self._take_seats(event_id, seats.winners)
        except (SeatsCancelled, Transient) as error:
            return BatchResult(undecided=[_put_off(step, error) for step in seats.steps]), ()
        # The last seat is taken now, for certain.
        return BatchResult([_decided(step) for step in seats.winners]), seats.losers

    async def _take_seats(self, event_id: str, winners: Sequence[Step]) -> None:
        """One transaction of one event at a time: two of one worker would only conflict.

        Its token must be unique, not secret (AWS: TransactWriteItems, ClientRequestToken).
        """
        lock = self._event_locks.get(event_id)
        if lock is None:
            lock = self._event_locks[event_id] = asyncio.Lock()
        changes = [step.change for step in winners]
        token = f"{self.random.getrandbits(128):032x}"
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

    async def _write_chunk(self, steps: Sequence[Step]) -> BatchResult:
        errors: Sequence[Exception | None]
        try:
            errors = await self._table.write([step.change for step in steps])
        except Transient as unanswered:
            errors = [unanswered] * len(steps)
        for error in errors:
            if isinstance(error, Fatal):
                raise error
        outcomes = list(zip(steps, errors, strict=True))
        return BatchResult(
            decided=[_decided(step) for step, error in outcomes if error is None],
            undecided=[_put_off(step, error) for step, error in outcomes if error is not None],
        )


def _without_writes(plan: Plan, reading: Reading) -> BatchResult:
    """What the table had decided already, and what can't be decided by this plan."""
    return BatchResult(
        # A commit whose answer was lost left exactly what we meant to write: it is ours.
        [
            Decided(c.deliveries, item, by_this_worker=c.attempted == item)
            for c, item in plan.decided
        ],
        [
            Defective(delivery, defect, reading.started_at_ms, reading.now_ms)
            for candidate, defect in plan.defects
            for delivery in candidate.deliveries
        ],
        [
            *(Undecided(candidate, reason) for candidate, reason in plan.blocked),
            *(
                Undecided(candidate, "another message on the request came first", Retry.IMMEDIATELY)
                for candidate in plan.deferred
            ),
        ],
    )


def _decided(step: Step) -> Decided:
    return Decided(step.candidate.deliveries, step.change.after, by_this_worker=True)


def _put_off(step: Step, error: Exception) -> Undecided:
    if isinstance(error, SeatsCancelled):
        out_of_date = not error.is_contention
    else:
        out_of_date = is_condition_failed(error)
    return Undecided(
        replace(step.candidate, attempted=step.change.after),
        str(error),
        Retry.IMMEDIATELY if out_of_date else Retry.AFTER_BACKOFF,
    )


async def _concurrently(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run calls concurrently and return their results in order; a lone one needs no task."""
    if len(calls) <= 1:
        return [await call() for call in calls]
    results: dict[int, T] = {}

    async def run(index: int, call: Callable[[], Awaitable[T]]) -> None:
        results[index] = await call()

    async with anyio.create_task_group() as tasks:
        for index, call in enumerate(calls):
            tasks.start_soon(run, index, call)
    return [results[index] for index in range(len(calls))]
