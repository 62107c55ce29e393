"""The processors: take a batch, decode it, have it decided, and pass the result on."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup
from structlog.typing import FilteringBoundLogger

from aws.errors import Fatal
from aws.queue import Delivery
from schema import message
from schema.message import MessageDefect, ParticipationMessage
from worker import decide, retry
from worker.commit import Committer
from worker.decide import Candidate
from worker.inbox import Inbox
from worker.metrics import Stage
from worker.parts import Parts
from worker.results import BatchResult, Decided, Defective
from worker.settle import Settler

_ASIDE_S: Final = 0.02
"""How long a young request is put aside first: ingest's next write takes 10 to 20 ms."""
_MOST_ASIDE: Final = 3
"""How often; a request that stays RECEIVED longer is one that nobody is about to write."""

log = structlog.get_logger("process")


@dataclass(slots=True)
class Processing:
    """Runs the processors over what is received."""

    parts: Parts
    committer: Committer
    settler: Settler
    processors: int
    _busy: int = 0
    """How many processors decide a batch."""
    _unstarted: list[Delivery] = field(default_factory=list)
    _aside: dict[str, int] = field(default_factory=dict)
    """How often deliveries, by receipt handle, were put aside."""
    # Bound once: to bind it for each batch would cost more than to write the line.
    _log: FilteringBoundLogger = field(default_factory=log.bind)

    async def run(self, inbox: Inbox, settling: TaskGroup) -> None:
        """Process until the inbox ends; what a stop kept from being started goes back."""
        async with anyio.create_task_group() as tasks:
            for index in range(self.processors):
                tasks.start_soon(self._process_on, inbox, settling, name=f"processor {index}")
            tasks.start_soon(self._return_unstarted, inbox, name="return unstarted")
        await self._give_back()

    async def _process_on(self, inbox: Inbox, settling: TaskGroup) -> None:
        settings, metrics = self.parts.settings, self.parts.metrics
        most, linger_s = settings.batch_max_messages, settings.batch_linger_ms / 1000
        while True:
            batch, trigger = await inbox.take(most, linger_s, lambda: not self._busy)
            if not batch:
                return
            metrics.batches.flushed(Stage.PROCESS, len(batch), trigger)
            if self.parts.stop.requested:
                self._unstarted.extend(batch)
                continue
            self._busy += 1
            metrics.busy_processors.inc()
            try:
                await self._process(batch, settling)
            finally:
                self._busy -= 1
                metrics.busy_processors.dec()

    async def _process(self, batch: Sequence[Delivery], settling: TaskGroup) -> None:
        """Have what is decided settled as soon as it is, and the young come again."""
        results: list[BatchResult] = []
        try:
            async for result in self.results(batch):
                results.append(result)
                if result.decided or result.defective or result.undecided:
                    settling.start_soon(self.settler.settle, result)
                if result.young:
                    settling.start_soon(self._put_aside, result.young, settling)
        except Fatal as error:
            self.parts.fail(error)
            begun = {d.receipt_handle for result in results for d in result.deliveries}
            self._unstarted.extend(d for d in batch if d.receipt_handle not in begun)
        if self._aside:
            waiting = {d.receipt_handle for r in results for c in r.young for d in c.deliveries}
            for delivery in batch:
                if delivery.receipt_handle not in waiting:
                    self._aside.pop(delivery.receipt_handle, None)

    async def _put_aside(self, candidates: Sequence[Candidate], settling: TaskGroup) -> None:
        """Let a moment pass, in which ingest writes QUEUED, and process deliveries again.

        They wait for no processor: younger requests would be decided before them.
        """
        young = [delivery for candidate in candidates for delivery in candidate.deliveries]
        tries = 1 + max(self._aside.get(delivery.receipt_handle, 0) for delivery in young)
        self._aside |= {delivery.receipt_handle: tries for delivery in young}
        with self.parts.stop.interrupts():
            await anyio.sleep(_ASIDE_S * 2 ** (tries - 1))
        if self.parts.stop.requested:
            await self.settler.return_now(young)
        else:
            await self._process(young, settling)
            await self._give_back()

    async def _return_unstarted(self, inbox: Inbox) -> None:
        """After a stop, give back what waits, even if all processors are busy.

        The inbox ends with the last poll. Given back any earlier, the messages would be taken
        by our own polls under way, and each time come closer to the DLQ.
        """
        await self.parts.stop.wait()
        await inbox.wait_closed()
        self._unstarted.extend(inbox.take_nowait())
        await self._give_back()

    async def _give_back(self) -> None:
        unstarted, self._unstarted = self._unstarted, []
        if unstarted:
            await self.settler.return_now(unstarted)

    async def results(self, batch: Sequence[Delivery]) -> AsyncIterator[BatchResult]:
        """Decide one batch of deliveries, result by result; raises Fatal only."""
        started_at_ms = self.parts.clock()
        self._observe_ages(batch, started_at_ms)
        defective: list[Defective] = []
        decoded: list[tuple[Delivery, ParticipationMessage]] = []
        for delivery in batch:
            read = message.decode(delivery.body)
            if isinstance(read, MessageDefect):
                defective.append(Defective(delivery, read, started_at_ms, self.parts.clock()))
            else:
                decoded.append((delivery, read))
        if defective:
            yield BatchResult(defective=defective)
        candidates = decide.candidates(decoded)
        if self._aside:
            candidates = [
                replace(candidate, has_waited=True) if self._has_waited(candidate) else candidate
                for candidate in candidates
            ]
        undecided = 0
        async for result in retry.decide_batch(self.committer, candidates, started_at_ms):
            self._observe_decided(result.decided, started_at_ms)
            undecided += len(result.undecided)
            yield result
        # What went well is in the figures; a line for each batch would be a fiftieth of the work.
        (self._log.info if defective or undecided else self._log.debug)(
            "batch_processed",
            deliveries=len(batch),
            defective=len(defective),
            undecided=undecided,
            took_ms=self.parts.clock() - started_at_ms,
        )

    def _has_waited(self, candidate: Candidate) -> bool:
        """Whether a request was put aside as often as it may be."""
        tries = [self._aside.get(d.receipt_handle, 0) for d in candidate.deliveries]
        return max(tries) >= _MOST_ASIDE

    def _observe_ages(self, batch: Sequence[Delivery], now_ms: int) -> None:
        oldest_ms = min(delivery.sent_at_ms for delivery in batch)
        self.parts.metrics.message_age.observe(max(0, now_ms - oldest_ms) / 1000)

    def _observe_decided(self, decided: Sequence[Decided], started_at_ms: int) -> None:
        queue_delays_s: list[float] = []
        e2e_delays_s: list[float] = []
        corrections_s: list[float] = []
        for entry in decided:
            item = entry.item
            queued, started, finished = item.queued_at_ms, item.started_at_ms, item.finished_at_ms
            if not entry.by_this_worker or queued is None or started is None or finished is None:
                continue
            queue_delays_s.append((started - queued) / 1000)
            e2e_delays_s.append((finished - queued) / 1000)
            if queued > started_at_ms:
                corrections_s.append((queued - started_at_ms) / 1000)
        metrics = self.parts.metrics
        metrics.queue_delay.observe_many(queue_delays_s)
        metrics.e2e_delay.observe_many(e2e_delays_s)
        metrics.clock_corrections.inc(len(corrections_s))
        metrics.clock_correction_seconds.observe_many(corrections_s)
