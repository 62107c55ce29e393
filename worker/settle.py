"""Settles deliveries: publish, then acknowledge, hand back, or quarantine."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import ceil
from typing import Final

import anyio
import structlog

from aws.losses import LossReason
from aws.publisher import Publisher
from aws.queue import Delivery, OutgoingMessage
from config.limits import SQS_VISIBILITY_TIMEOUT_SECONDS
from runtime import backoff
from runtime.batcher import Batcher, ItemTooLargeError
from schema import events, names
from schema.events import AnalyticsEvent, DeliveryInfo, Timestamps
from schema.states import Status
from worker.channel import Channel
from worker.parts import Parts
from worker.results import OTHERS_FAULT, BatchResult, Decided, Defective, Outcome, Undecided

_OUTCOMES: Final = {
    Status.SUCCEEDED: Outcome.SUCCEEDED,
    Status.REJECTED: Outcome.REJECTED,
    Status.FAILED_FINAL: Outcome.FAILED_FINAL,
}

log = structlog.get_logger("settle")


class Settler:
    """Settles one queue's deliveries; a failed publish changes nothing (domain §6)."""

    def __init__(
        self,
        parts: Parts,
        channel: Channel,
        quarantine: Batcher[OutgoingMessage, str],
        publisher: Publisher,
    ) -> None:
        self._parts = parts
        self._metrics = parts.metrics
        self._tally = parts.state.tally
        self._channel = channel
        self._is_dlq = channel.queue.is_dlq
        self._quarantine = quarantine
        self._publisher = publisher
        self._log = log.bind()  # once: for each batch it would cost more than the line

    async def settle(self, result: BatchResult) -> None:
        """Publish and acknowledge one batch, and hand back what was not decided."""
        if not result.defective and not result.undecided:
            await self._guarded_decided(result.decided)
            return
        async with anyio.create_task_group() as tasks:
            for defective in result.defective:
                settling = partial(self._settle_defective, defective)
                tasks.start_soon(self._guarded, [defective.delivery], settling)
            for undecided in result.undecided:
                settling = partial(self._hand_back_later, undecided)
                tasks.start_soon(self._guarded, undecided.candidate.deliveries, settling)
            await self._guarded_decided(result.decided)

    async def _guarded_decided(self, decided: Sequence[Decided]) -> None:
        deliveries = [delivery for entry in decided for delivery in entry.deliveries]
        if deliveries:
            await self._guarded(deliveries, partial(self._settle_decided, decided, deliveries))

    async def _guarded(
        self, deliveries: Sequence[Delivery], settling: Callable[[], Awaitable[None]]
    ) -> None:
        """Settle deliveries; an unforeseen error hands them back and affects no others."""
        try:
            await settling()
        except Exception:
            # Unforeseen, so retryable (domain §6): whatever is still leased goes back.
            log.exception("settling_failed")
            await self._retry_later(list(filter(self._channel.leases.holds, deliveries)))

    async def return_now(self, deliveries: Sequence[Delivery]) -> None:
        """Make deliveries that will not be settled here visible to others immediately."""
        self._metrics.settled(Outcome.RETURNED, len(deliveries), is_dlq=self._is_dlq)
        await self._channel.hand_back(deliveries, [0] * len(deliveries))
        self._tally.returned += len(deliveries)

    async def _settle_decided(
        self, decided: Sequence[Decided], deliveries: Sequence[Delivery]
    ) -> None:
        await self._publisher.publish(self._events_of(decided))
        await self._channel.delete(deliveries)
        self._count(decided)

    def _events_of(self, decided: Sequence[Decided]) -> list[AnalyticsEvent]:
        """The events of decided requests; one that an older writer left without times has none."""
        made: list[AnalyticsEvent] = []
        for entry in decided:
            try:
                made.append(
                    events.participation_processed(entry.item, env=self._parts.settings.environment)
                )
            except ValueError as error:
                self._metrics.lost(LossReason.UNENCODABLE, 1)
                log.warning("publish_failed", error=str(error), request_ids=[entry.item.request_id])
        return made

    def _count(self, decided: Sequence[Decided]) -> None:
        settled = Counter(
            _outcome(entry, delivery) for entry in decided for delivery in entry.deliveries
        )
        if self._log.is_enabled_for(logging.DEBUG):
            for entry in decided:
                first = entry.deliveries[0]
                self._log.debug(
                    "delivery_settled",
                    request_id=entry.item.request_id,
                    message_id=first.message_id,
                    outcome=_outcome(entry, first).value,
                    attempt=first.attempt,
                )
        for outcome, count in settled.items():
            self._metrics.settled(outcome, count, is_dlq=self._is_dlq)
        self._tally.settled += settled.total()

    async def _settle_defective(self, defective: Defective) -> None:
        delivery, defect = defective.delivery, defective.defect
        bound = log.bind(message_id=delivery.message_id, reason=defect.reason.value)
        if delivery.from_dlq and names.REASON_CODE_ATTRIBUTE in delivery.attributes:
            # It is for people to see, so it is visible again immediately.
            await self.return_now([delivery])
            bound.info("quarantined_message_left")
            return
        copy = OutgoingMessage(
            delivery.body,
            {
                names.REASON_CODE_ATTRIBUTE: defect.reason.value,
                names.SOURCE_MESSAGE_ID_ATTRIBUTE: delivery.message_id,
                names.ATTEMPT_ATTRIBUTE: str(delivery.attempt),
            },
        )
        try:
            try:
                await self._quarantine.submit(copy)
            except ItemTooLargeError:
                # The body fills the message: it goes without the attributes, as SQS moves it.
                await self._quarantine.submit(OutgoingMessage(delivery.body))
        except Exception as error:  # noqa: BLE001 - not quarantined: the original must stay
            bound.warning("quarantine_failed", error=str(error))
            await self._retry_later([delivery])
            return
        await self._publisher.publish([self._request_failed(defective)])
        await self._channel.delete([delivery])
        self._metrics.settled(Outcome.QUARANTINED, is_dlq=self._is_dlq)
        self._tally.settled += 1
        bound.warning("message_quarantined", detail=defect.detail, request_id=defect.request_id)

    def _request_failed(self, defective: Defective) -> AnalyticsEvent:
        delivery = defective.delivery
        queued_at = delivery.sent_at_ms
        started_at = max(defective.started_at_ms, queued_at)
        return events.request_failed(
            defective.defect,
            env=self._parts.settings.environment,
            worker_id=self._parts.worker_id,
            timestamps=Timestamps(queued_at, started_at, max(defective.finished_at_ms, started_at)),
            delivery=DeliveryInfo(
                delivery.attempt, names.REDRIVEN_AT_ATTRIBUTE in delivery.attributes
            ),
        )

    async def _hand_back_later(self, undecided: Undecided) -> None:
        """No acknowledgement: the message comes again after a back-off, or enters the DLQ."""
        request_id, deliveries = undecided.candidate.request_id, undecided.candidate.deliveries
        if undecided.retry in OTHERS_FAULT:
            # Only a stop ends such waiting: nothing speaks against another worker's next try.
            await self.return_now(deliveries)
            return
        log.warning(
            "delivery_retried",
            request_id=request_id,
            message_id=deliveries[0].message_id,
            attempt=deliveries[0].attempt,
            reason=undecided.reason,
        )
        if any(self._is_last_try(delivery) for delivery in deliveries):
            await self._stamp_dlq(request_id)
        await self._retry_later(deliveries)

    def _is_last_try(self, delivery: Delivery) -> bool:
        limit = self._parts.state.max_receive_count
        return not self._is_dlq and limit is not None and delivery.attempt >= limit

    async def _stamp_dlq(self, request_id: str) -> None:
        try:
            await self._parts.table.stamp_dlq(request_id, self._parts.clock())
        except Exception as error:  # noqa: BLE001 - a note for later must not hold up the message
            log.warning("dlq_stamp_failed", request_id=request_id, error=str(error))

    async def _retry_later(self, deliveries: Sequence[Delivery]) -> None:
        self._metrics.settled(Outcome.RETRIED, len(deliveries), is_dlq=self._is_dlq)
        await self._channel.hand_back(deliveries, list(map(self._backoff_s, deliveries)))
        self._tally.retried += len(deliveries)

    def _backoff_s(self, delivery: Delivery) -> int:
        settings = self._parts.settings
        wait_s = backoff.delay_s(
            delivery.attempt,
            settings.retry_backoff_base_s,
            settings.retry_backoff_max_s,
            self._parts.random,
        )
        return min(ceil(wait_s), SQS_VISIBILITY_TIMEOUT_SECONDS)


def _outcome(entry: Decided, delivery: Delivery) -> Outcome:
    """A duplicate, unless it is the first delivery of a request that this worker decided."""
    if entry.by_this_worker and delivery is entry.deliveries[0]:
        return _OUTCOMES[entry.item.status]
    return Outcome.DUPLICATE
