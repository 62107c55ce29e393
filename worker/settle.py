"""Settles deliveries: publish, then acknowledge, hand back, or quarantine; credits come last."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Final

import anyio
import structlog

from aws.errors import Fatal
from aws.publisher import LossReason, Publisher
from aws.queue import Delivery, OutgoingMessage, VisibilityChange, is_lost_handle
from config.limits import SQS_VISIBILITY_TIMEOUT_SECONDS
from runtime import backoff
from runtime.batcher import Batcher, ItemTooLargeError
from schema import events, names
from schema.events import AnalyticsEvent, DeliveryInfo, Timestamps
from schema.states import Status
from worker.credits import Credits
from worker.leases import Leases
from worker.parts import Parts
from worker.results import BatchResult, Decided, Defective, Outcome, Undecided

_DELETE_TRIES: Final = 4
_DELETE_BACKOFF_BASE_S: Final = 0.1
_DELETE_BACKOFF_MAX_S: Final = 2.0
_OUTCOMES: Final = {
    Status.SUCCEEDED: Outcome.SUCCEEDED,
    Status.REJECTED: Outcome.REJECTED,
    Status.FAILED_FINAL: Outcome.FAILED_FINAL,
}

log = structlog.get_logger("settle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The batched operations on one queue, and the leases on its messages."""

    deletes: Batcher[str, None]
    visibility: Batcher[VisibilityChange, None]
    leases: Leases


class Settler:
    """Ends every delivery's way. A publish failure changes nothing here (domain §6)."""

    def __init__(
        self,
        parts: Parts,
        *,
        main: Channel,
        dlq: Channel,
        quarantine: Batcher[OutgoingMessage, str],
        publisher: Publisher,
        credits: Credits,
    ) -> None:
        self._parts = parts
        self._metrics = parts.metrics
        self._tally = parts.state.tally
        self._main = main
        self._dlq = dlq
        self._quarantine = quarantine
        self._publisher = publisher
        self._credits = credits
        self._log = log.bind()  # once: for each batch it would cost more than its line

    async def settle(self, result: BatchResult) -> None:
        """Publish and acknowledge one batch, and hand back what was not decided."""
        if not result.defective and not result.undecided:
            await self._guarded_decided(result)
            return
        async with anyio.create_task_group() as tasks:
            for defective in result.defective:
                settling = partial(self._settle_defective, defective, result)
                tasks.start_soon(self._guarded, [defective.delivery], settling)
            for undecided in result.undecided:
                settling = partial(self._hand_back_later, undecided)
                tasks.start_soon(self._guarded, undecided.deliveries, settling)
            await self._guarded_decided(result)

    async def _guarded_decided(self, result: BatchResult) -> None:
        await self._guarded(
            [delivery for entry in result.decided for delivery in entry.deliveries],
            partial(self._settle_decided, result.decided),
        )

    async def _guarded(
        self, deliveries: Sequence[Delivery], settling: Callable[[], Awaitable[None]]
    ) -> None:
        """Settle deliveries; an unforeseen error hands them back and cuts off no others."""
        try:
            await settling()
        except Exception:
            # Unforeseen, so retryable (domain §6): whatever is still leased goes back.
            log.exception("settling_failed")
            held = [d for d in deliveries if self._channel(d).leases.holds(d)]
            await self._hand_back(held, [self._backoff_s(d) for d in held], Outcome.RETRIED)

    async def return_unstarted(self, deliveries: Sequence[Delivery]) -> None:
        """Make deliveries that were not started visible to others at once."""
        await self._hand_back(deliveries, [0] * len(deliveries), Outcome.RETURNED)

    async def _settle_decided(self, decided: Sequence[Decided]) -> None:
        if not decided:
            return
        await self._publisher.publish(self._events_of(decided))
        await self._delete([delivery for entry in decided for delivery in entry.deliveries])
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
            (_outcome(entry, delivery), delivery.from_dlq)
            for entry in decided
            for delivery in entry.deliveries
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
        for (outcome, is_dlq), count in settled.items():
            self._metrics.settled(outcome, is_dlq=is_dlq, count=count)
        self._tally.settled += settled.total()

    async def _delete(self, deliveries: Sequence[Delivery]) -> None:
        """Delete, with a bounded number of tries for each; then lease and credit end.

        A message whose delete SQS never confirmed comes again, finds its request decided, and
        is deleted then.
        """
        left = list(deliveries)
        for attempt in range(1, _DELETE_TRIES + 1):
            if attempt > 1:
                wait_s = backoff.delay_s(attempt - 1, _DELETE_BACKOFF_BASE_S, _DELETE_BACKOFF_MAX_S)
                await anyio.sleep(wait_s)
            failed = await self._delete_once(left)
            if not failed:
                return
            left = failed
        self._metrics.delete_failures.inc(len(left))
        log.warning("delete_failed", message_ids=[delivery.message_id for delivery in left])
        self._let_go(left)

    async def _delete_once(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        failed: list[Delivery] = []
        gone: list[Delivery] = []
        by_queue = [
            [delivery for delivery in deliveries if delivery.from_dlq is from_dlq]
            for from_dlq in (False, True)
        ]
        for group in filter(None, by_queue):
            results = await self._channel(group[0]).deletes.submit_many(
                [delivery.receipt_handle for delivery in group]
            )
            if not any(results):
                gone += group
                continue
            for delivery, error in zip(group, results, strict=True):
                if error is None or is_lost_handle(error):
                    gone.append(delivery)
                else:
                    failed.append(delivery)
                if isinstance(error, Fatal):
                    self._parts.give_up(error)
        self._let_go(gone)
        return failed

    async def _settle_defective(self, defective: Defective, result: BatchResult) -> None:
        delivery, defect = defective.delivery, defective.defect
        bound = log.bind(message_id=delivery.message_id, reason=defect.reason.value)
        if delivery.from_dlq and names.REASON_CODE_ATTRIBUTE in delivery.attributes:
            # It is for people to see, so it is visible again at once.
            await self._hand_back([delivery], [0], Outcome.RETURNED)
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
            await self._hand_back([delivery], [self._backoff_s(delivery)], Outcome.RETRIED)
            return
        await self._publisher.publish([self._request_failed(defective, result)])
        await self._delete([delivery])
        self._metrics.settled(Outcome.QUARANTINED, is_dlq=delivery.from_dlq)
        self._tally.settled += 1
        bound.warning("message_quarantined", detail=defect.detail, request_id=defect.request_id)

    def _request_failed(self, defective: Defective, result: BatchResult) -> AnalyticsEvent:
        delivery = defective.delivery
        queued_at = delivery.sent_at_ms
        started_at = max(result.started_at_ms, queued_at)
        return events.request_failed(
            defective.defect,
            env=self._parts.settings.environment,
            worker_id=self._parts.worker_id,
            timestamps=Timestamps(queued_at, started_at, max(result.finished_at_ms, started_at)),
            delivery=DeliveryInfo(
                delivery.attempt, names.REDRIVEN_AT_ATTRIBUTE in delivery.attributes
            ),
        )

    async def _hand_back_later(self, undecided: Undecided) -> None:
        """No acknowledgement: the message comes again after a backoff, or enters the DLQ."""
        first = undecided.deliveries[0]
        log.warning(
            "delivery_retried",
            request_id=undecided.request_id,
            message_id=first.message_id,
            attempt=first.attempt,
            reason=undecided.reason,
        )
        if any(self._is_last_try(delivery) for delivery in undecided.deliveries):
            await self._stamp_dlq(undecided.request_id)
        await self._hand_back(
            undecided.deliveries,
            [self._backoff_s(delivery) for delivery in undecided.deliveries],
            Outcome.RETRIED,
        )

    def _is_last_try(self, delivery: Delivery) -> bool:
        limit = self._parts.max_receive_count
        return not delivery.from_dlq and limit is not None and delivery.attempt >= limit

    async def _stamp_dlq(self, request_id: str) -> None:
        try:
            await self._parts.table.stamp_dlq(request_id, self._parts.clock())
        except Exception as error:  # noqa: BLE001 - a note for later must not hold the message
            log.warning("dlq_stamp_failed", request_id=request_id, error=str(error))

    def _backoff_s(self, delivery: Delivery) -> int:
        settings = self._parts.settings
        wait_s = backoff.delay_s(
            delivery.attempt, settings.retry_backoff_base_s, settings.retry_backoff_max_s
        )
        return min(ceil(wait_s), SQS_VISIBILITY_TIMEOUT_SECONDS)

    async def _hand_back(
        self, deliveries: Sequence[Delivery], timeouts_s: Sequence[int], outcome: Outcome
    ) -> None:
        # The lease ends first, so that no extension undoes the new timeout.
        for delivery in deliveries:
            self._channel(delivery).leases.release(delivery)
        for delivery in deliveries:
            self._metrics.settled(outcome, is_dlq=delivery.from_dlq)
        for from_dlq in (False, True):
            group = [
                VisibilityChange(delivery.receipt_handle, timeout_s)
                for delivery, timeout_s in zip(deliveries, timeouts_s, strict=True)
                if delivery.from_dlq is from_dlq
            ]
            channel = self._dlq if from_dlq else self._main
            for error in await channel.visibility.submit_many(group):
                # Without it the message comes again when its visibility timeout ends.
                if error is not None:
                    log.warning("hand_back_failed", error=str(error))
        self._free(len(deliveries))
        if outcome is Outcome.RETURNED:
            self._tally.returned += len(deliveries)
        else:
            self._tally.retried += len(deliveries)

    def _let_go(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._channel(delivery).leases.release(delivery)
        self._free(len(deliveries))

    def _free(self, places: int) -> None:
        self._metrics.in_flight.dec(places)
        self._credits.give_back(places)

    def _channel(self, delivery: Delivery) -> Channel:
        return self._dlq if delivery.from_dlq else self._main


def _outcome(entry: Decided, delivery: Delivery) -> Outcome:
    """Only the first delivery of a request that this worker decided is no duplicate."""
    if entry.by_this_worker and delivery is entry.deliveries[0]:
        return _OUTCOMES[entry.item.status]
    return Outcome.DUPLICATE
