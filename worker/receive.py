"""The pollers: long polls that take credits first and never cancel a poll under way."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import structlog

from aws.errors import Fatal, Rejected, Transient
from aws.queue import Delivery
from config.limits import SQS_BATCH_ENTRIES
from runtime import backoff
from schema import names
from worker.channel import Channel
from worker.inbox import Inbox
from worker.metrics import queue_name
from worker.outage import Outage
from worker.parts import Parts, Poller

_ERROR_BACKOFF_BASE_S: Final = 1.0
_ERROR_BACKOFF_MAX_S: Final = 5.0

_REST_S: Final = 60.0
"""How long the DLQ's consumer leaves a queue alone that holds nothing but quarantined messages:
people want to see them, and each receive hides them for a moment."""

log = structlog.get_logger("receive")


@dataclass(slots=True)
class Receiver:
    """Polls one queue: one poller while it is empty, all of them after a non-empty receive."""

    parts: Parts
    channel: Channel
    pollers: int
    table: Outage
    """While the table is away nothing is received: it could not be decided."""
    queue: Outage
    _busy: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, inbox: Inbox) -> None:
        """Poll until the stop is requested."""
        async with anyio.create_task_group() as tasks:
            for index in range(self.pollers):
                poller = Poller()
                self.parts.state.pollers.append(poller)
                tasks.start_soon(self._poll_on, poller, index, inbox, name=f"poller {index}")

    async def _poll_on(self, poller: Poller, index: int, inbox: Inbox) -> None:
        failures = 0
        now = asyncio.get_running_loop().time
        try:
            while not self.parts.stop.requested:
                if failures or (index > 0 and not self._busy.is_set()):
                    with self.parts.stop.interrupts():
                        await self._turn(index, failures)
                await self.table.over_or_stop()
                taken = await self.channel.credits.take(SQS_BATCH_ENTRIES)
                if not taken:
                    return
                try:
                    received = await self._poll(poller, taken, now)
                except Fatal as error:
                    self.parts.fail(error)
                except (Transient, Rejected) as error:
                    failures += 1
                    self.queue.failed("receive", error)
                    log.warning("receive_failed", failures=failures, error=str(error))
                else:
                    failures = 0
                    self.queue.answered("receive")
                    # Even after a stop: the processors hand back what they have not started.
                    if received:
                        inbox.put(received)
                    if _are_left_for_people(received):
                        with self.parts.stop.interrupts():
                            await anyio.sleep(_REST_S)
        finally:
            poller.ended = True

    async def _turn(self, index: int, failures: int) -> None:
        """Wait until this poller should poll: the first always, the others after messages."""
        if index > 0:
            await self._busy.wait()
        if failures:
            await anyio.sleep(
                backoff.delay_s(
                    failures, _ERROR_BACKOFF_BASE_S, _ERROR_BACKOFF_MAX_S, self.parts.random
                )
            )

    async def _poll(self, poller: Poller, taken: int, now: Callable[[], float]) -> list[Delivery]:
        """One receive. It is never cancelled for a stop: SQS may have assigned messages."""
        settings = self.parts.settings
        received: list[Delivery] = []
        poller.polling_since = now()
        self.parts.metrics.pollers_active.inc()
        try:
            received = await self.channel.queue.receive(
                taken, settings.receive_wait_s, settings.visibility_timeout_s
            )
        finally:
            poller.polling_since = None
            self.parts.metrics.pollers_active.dec()
            self.channel.credits.give_back(taken - len(received))
        if received:
            self._busy.set()
            self.parts.metrics.in_flight.inc(len(received))
            self.channel.leases.hold(received, now())
            self.parts.metrics.received[queue_name(is_dlq=self.channel.queue.is_dlq)].inc(
                len(received)
            )
        elif self._busy.is_set():
            self._busy = anyio.Event()
        return received


def _are_left_for_people(received: list[Delivery]) -> bool:
    return bool(received) and all(
        delivery.from_dlq and names.REASON_CODE_ATTRIBUTE in delivery.attributes
        for delivery in received
    )
