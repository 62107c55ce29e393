"""The processors: take a batch, decode it, have it decided, and pass the result on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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
from worker.inbox import Inbox
from worker.metrics import Stage
from worker.parts import Parts
from worker.results import BatchResult, Decided, Defective
from worker.settle import Settler

log = structlog.get_logger("process")


@dataclass(slots=True)
class Processing:
    """Runs the processors over what is received."""

    parts: Parts
    committer: Committer
    settler: Settler
    processors: int
    _unstarted: list[Delivery] = field(default_factory=list)
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
            batch, trigger = await inbox.take(most, linger_s)
            if not batch:
                return
            metrics.batches.flushed(Stage.PROCESS, len(batch), trigger)
            if self.parts.stop.requested:
                self._unstarted.extend(batch)
                continue
            metrics.busy_processors.inc()
            try:
                result = await self.process(batch)
            except Fatal as error:
                self.parts.fail(error)
                self._unstarted.extend(batch)
            else:
                settling.start_soon(self.settler.settle, result)
            finally:
                metrics.busy_processors.dec()

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

    async def process(self, batch: Sequence[Delivery]) -> BatchResult:
        """Decide one batch of deliveries; raises Fatal only."""
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
        result = BatchResult(defective=defective)
        if decoded:
            candidates = decide.candidates(decoded)
            result += await retry.decide_batch(self.committer, candidates, started_at_ms)
        self._observe_decided(result.decided, started_at_ms)
        # What went well is in the figures; a line for each batch would be a fiftieth of the work.
        troubled = result.defective or result.undecided
        (self._log.info if troubled else self._log.debug)(
            "batch_processed",
            deliveries=len(batch),
            decided=len(result.decided),
            defective=len(result.defective),
            undecided=len(result.undecided),
            took_ms=self.parts.clock() - started_at_ms,
        )
        return result

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
