"""Performs one plan: load, plan, commit; what another writer blocked stays undecided."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar
from weakref import WeakValueDictionary

import anyio

from aws.errors import Fatal, Transient
from aws.table import Loaded, is_condition_failed
from config.limits import DYNAMODB_BATCH_STATEMENTS
from worker import decide
from worker.decide import Candidate, Plan, Reading, Seeker, Step
from worker.events import Events
from worker.outage import Outage
from worker.parts import Parts
from worker.results import BatchResult, Decided, Defective, Retry, Undecided
from worker.seats import Seller

_READ: Final = "read"
_WRITE: Final = "write"

T = TypeVar("T")


class Committer:
    """Decides candidates and commits the decisions, one try at a time.

    Nothing is ever guessed: after a cancelled transaction, a failed condition, or an answer that
    did not come, the requests stay undecided, to be read again and decided by what the table says.
    """

    def __init__(self, parts: Parts) -> None:
        self.random = parts.random
        self.stop = parts.stop
        self.outage = Outage("dynamodb", parts.metrics.paused["dynamodb"], parts.random, parts.stop)
        self._parts = parts
        self._table = parts.table
        self._clock = parts.clock
        self._worker_id = parts.worker_id
        self._events = Events(parts.metrics.seats_left)
        self._sellers: WeakValueDictionary[str, Seller] = WeakValueDictionary()

    async def attempt(
        self, batch: Sequence[Candidate], started_at_ms: int
    ) -> AsyncIterator[BatchResult]:
        """Try once to decide every candidate: first come the young, who wait for no seats.

        Raises Fatal where only an operator can help, and any unforeseen error as it is.
        """
        try:
            loaded = await self.load(batch)
        except Transient as error:
            yield BatchResult(
                undecided=[Undecided(c, str(error), Retry.AFTER_OUTAGE) for c in batch]
            )
            return
        reading = self.reading(started_at_ms)
        plan = decide.plan(batch, loaded, reading)
        if plan.young:
            yield BatchResult(young=plan.young)
        yield _without_writes(plan, reading) + await self._execute(plan)

    def reading(self, started_at_ms: int) -> Reading:
        """The clock now, for a batch whose processing began then."""
        return Reading(started_at_ms, self._clock(), self._worker_id)

    async def load(self, batch: Sequence[Candidate]) -> Loaded:
        """Read the candidates' requests, and those events that are not remembered."""
        event_ids = [candidate.message.event_id for candidate in batch]
        remembered = {e: s for e in dict.fromkeys(event_ids) if (s := self._events.known(e))}
        try:
            loaded = await self._table.load(
                [candidate.message.request_id for candidate in batch],
                [event_id for event_id in event_ids if event_id not in remembered],
            )
        except Transient as error:
            self.outage.failed(_READ, error)
            raise
        self.outage.answered(_READ)
        self._events.learn(loaded.events)
        return replace(loaded, events={**loaded.events, **remembered})

    async def write(self, steps: Sequence[Step]) -> BatchResult:
        """Write decisions that depend on no seat, each on its own condition."""
        chunks = [
            steps[start : start + DYNAMODB_BATCH_STATEMENTS]
            for start in range(0, len(steps), DYNAMODB_BATCH_STATEMENTS)
        ]
        written = await _concurrently([partial(self._write_chunk, chunk) for chunk in chunks])
        return sum(written, BatchResult())

    async def _execute(self, plan: Plan) -> BatchResult:
        calls = [partial(self._seat, *seekers) for seekers in plan.seekers.items()]
        if plan.writes:
            calls.append(partial(self.write, plan.writes))
        return sum(await _concurrently(calls), BatchResult())

    async def _seat(self, event_id: str, seekers: Sequence[Seeker]) -> BatchResult:
        """Commit one event's winners, and then the losers."""
        seller = self._sellers.get(event_id)
        if seller is None:
            seller = Seller(self._parts, self._events, self.outage, event_id)
            self._sellers[event_id] = seller
        try:
            result, losers = await seller.sell(seekers)
        except Transient as error:
            self.outage.failed(_READ, error)
            return BatchResult(
                undecided=[Undecided(s.candidate, str(error), Retry.AFTER_OUTAGE) for s in seekers]
            )
        return result + await self.write(losers) if losers else result

    async def _write_chunk(self, steps: Sequence[Step]) -> BatchResult:
        try:
            errors = await self._table.write([step.change for step in steps])
        except Transient as failed:
            self.outage.failed(_WRITE, failed)
            return BatchResult(
                undecided=[_put_off(step, failed, Retry.AFTER_OUTAGE) for step in steps]
            )
        self.outage.answered(_WRITE)
        for error in errors:
            if isinstance(error, Fatal):
                raise error
        outcomes = list(zip(steps, errors, strict=True))
        return BatchResult(
            decided=[_decided(step) for step, error in outcomes if error is None],
            undecided=[
                _put_off(step, error, _retry(error))
                for step, error in outcomes
                if error is not None
            ],
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
                Undecided(candidate, "another message on the request came first", Retry.WHEN_FREE)
                for candidate in plan.deferred
            ),
        ],
    )


def _decided(step: Step) -> Decided:
    return Decided(step.candidate.deliveries, step.change.after, by_this_worker=True)


def _put_off(step: Step, error: Exception, retry: Retry) -> Undecided:
    return Undecided(replace(step.candidate, attempted=step.change.after), str(error), retry)


def _retry(error: Exception) -> Retry:
    """Whether another try helps against one statement's error."""
    if is_condition_failed(error):
        return Retry.IMMEDIATELY
    busy = isinstance(error, Transient) and error.is_busy
    return Retry.WHEN_FREE if busy else Retry.AFTER_BACKOFF


async def _concurrently(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run calls concurrently and return their results in order; a lone one needs no task."""
    if len(calls) <= 1:
        return [await call() for call in calls]
    results: dict[int, T] = {}

    async def run(index: int, call: Callable[[], Awaitable[T]]) -> None:
        results[index] = await call()

    async with anyio.create_task_group() as tasks:
        for index, call in enumerate(calls[1:], start=1):
            tasks.start_soon(run, index, call)
        await run(0, calls[0])
    return [results[index] for index in range(len(calls))]
