"""Publishes analytics events in batches and swallows every failure, as g1 §7.1 requires."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from types import TracebackType
from typing import Final, Protocol, Self

import anyio
import structlog

from aws.bus import Bus, BusEntry
from aws.errors import Fatal, Rejected, Transient
from config.limits import EVENTBRIDGE_BATCH_BYTES, EVENTBRIDGE_BATCH_ENTRIES
from config.settings import CommonSettings
from runtime import backoff
from runtime.batcher import Batcher, BatchLimits, ClosedError, FlushObserver
from schema import events, names
from schema.events import (
    AnalyticsEvent,
    ParticipationProcessed,
    ParticipationRequested,
    RequestFailed,
)
from schema.keys import MAX_TIME_MS
from schema.values import value

STAGE: Final = "publish"
"""The publisher's name in the figures of batches."""
_RETRY_BASE_S: Final = 0.05
_RETRY_MAX_S: Final = 1.0

log = structlog.get_logger("publisher")


class LossReason:
    """Why an event was lost; the values of `publish_failures_total{reason}`."""

    CONNECTION: Final = "connection"
    TIMEOUT: Final = "timeout"
    THROTTLED: Final = "throttled"
    SERVER_ERROR: Final = "server_error"
    REJECTED: Final = "rejected"
    DENIED: Final = "denied"
    OVERSIZE: Final = "oversize"
    UNENCODABLE: Final = "unencodable"
    BUS_MISSING: Final = "bus_missing"
    CLOSED: Final = "closed"
    ALL: Final = (
        CONNECTION,
        TIMEOUT,
        THROTTLED,
        SERVER_ERROR,
        REJECTED,
        DENIED,
        OVERSIZE,
        UNENCODABLE,
        BUS_MISSING,
        CLOSED,
    )


class PublishObserver(Protocol):
    """Learns of every event exactly once: published, or lost for a reason."""

    def published(self, count: int) -> None:
        """Take note of events that the bus accepted."""
        ...

    def lost(self, reason: str, count: int) -> None:
        """Take note of events that are gone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPolicy:
    """How the publisher batches, and how long it may keep its caller waiting."""

    concurrency: int
    linger_s: float
    timeout_s: float
    max_attempts: int
    bus_check_interval_s: float = 30.0

    @classmethod
    def of(cls, settings: CommonSettings) -> Self:
        """The policy that a program's settings ask for."""
        return cls(
            concurrency=settings.publish_concurrency,
            linger_s=settings.publish_linger_ms / 1000,
            timeout_s=settings.publish_timeout_s,
            max_attempts=settings.publish_max_attempts,
            bus_check_interval_s=settings.bus_check_interval_s,
        )


@value(frozen=True, slots=True)
class _Outgoing:
    entry: BusEntry
    size: int
    request_id: str
    deadline: float


class Publisher:
    """Puts events on the bus; never raises (domain §6, swallow policy).

    A lost event is counted once, by reason, and each failed call logs one warning that names its
    requests. `publish` returns within the policy's timeout, however EventBridge behaves.
    """

    def __init__(
        self,
        bus: Bus,
        policy: PublishPolicy,
        *,
        random: Random,
        observer: PublishObserver,
        flushes: FlushObserver | None = None,
    ) -> None:
        self._bus = bus
        self._policy = policy
        self._random = random
        self._observer = observer
        self._bus_is_missing = False
        self._batcher: Batcher[_Outgoing, None] = Batcher(
            self._put,
            BatchLimits(
                max_items=EVENTBRIDGE_BATCH_ENTRIES,
                max_bytes=EVENTBRIDGE_BATCH_BYTES,
                linger_s=min(policy.linger_s, policy.timeout_s / 2),
                concurrency=policy.concurrency,
                eager=True,
            ),
            stage=STAGE,
            size_of=lambda outgoing: outgoing.size,
            observer=flushes,
        )

    async def __aenter__(self) -> Self:
        self._now = asyncio.get_running_loop().time
        self._watch = anyio.create_task_group()
        await self._watch.__aenter__()
        self._watch.start_soon(self._watch_bus, name="bus watch")
        await self._batcher.__aenter__()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        try:
            return await self._batcher.__aexit__(error_type, error, trace)
        finally:
            self._watch.cancel_scope.cancel()
            await self._watch.__aexit__(None, None, None)

    async def publish(self, analytics_events: Sequence[AnalyticsEvent]) -> None:
        """Publish events; returns when each is accepted or lost, and raises nothing."""
        deadline = self._now() + self._policy.timeout_s
        outgoing: list[_Outgoing] = []
        for event in analytics_events:
            encoded = self._encode(event, deadline)
            if encoded is not None:
                outgoing.append(encoded)
        if not outgoing:
            return
        try:
            results = await self._batcher.submit_many(outgoing)
        except ClosedError as error:
            self._report_lost({LossReason.CLOSED: [item.request_id for item in outgoing]}, error)
            return
        closed = [
            item.request_id
            for item, result in zip(outgoing, results, strict=True)
            if isinstance(result, ClosedError)
        ]
        if closed:
            self._report_lost({LossReason.CLOSED: closed}, "the publisher was ended")

    def _encode(self, event: AnalyticsEvent, deadline: float) -> _Outgoing | None:
        request_id = str(event.requestId)
        try:
            entry = _bus_entry(event)
            size = entry.size
        except Exception as error:  # noqa: BLE001 - the swallow policy: this event alone is lost
            self._report_lost({LossReason.UNENCODABLE: [request_id]}, error)
            return None
        if size > EVENTBRIDGE_BATCH_BYTES:
            self._report_lost(
                {LossReason.OVERSIZE: [request_id]}, f"{size} > {EVENTBRIDGE_BATCH_BYTES} bytes"
            )
            return None
        return _Outgoing(entry, size, request_id, deadline)

    async def _put(self, batch: Sequence[_Outgoing]) -> list[None]:
        """Put one batch, retry what may be retried, and count every event exactly once."""
        left = list(batch)
        for attempt in range(1, self._policy.max_attempts + 1):
            failures = await self._put_once(left)
            if not failures:
                break
            retryable = [item for item, error in failures if isinstance(error, Transient)]
            wait_s = backoff.delay_s(attempt, _RETRY_BASE_S, _RETRY_MAX_S, self._random)
            last = attempt == self._policy.max_attempts or (
                bool(retryable) and self._now() + wait_s >= retryable[0].deadline
            )
            self._give_up([f for f in failures if last or not isinstance(f[1], Transient)])
            left = retryable
            if last or not left:
                break
            await anyio.sleep(wait_s)
        return [None] * len(batch)

    async def _put_once(
        self, batch: Sequence[_Outgoing]
    ) -> list[tuple[_Outgoing, Exception | str]]:
        """Put events in one call; returns the failed ones with their errors, or their reasons."""
        if self._bus_is_missing:
            return [(item, LossReason.BUS_MISSING) for item in batch]
        # The first event's deadline binds: batches leave in the order of submission, so those
        # behind it have at least as much time left.
        deadline = batch[0].deadline
        if self._now() >= deadline:
            return [(item, LossReason.TIMEOUT) for item in batch]
        # asyncio's timeout, because anyio's scope costs three times as much on each call. An answer
        # in the very turn of the loop in which the deadline passes is too late.
        try:
            async with asyncio.timeout_at(deadline):
                try:
                    results = await self._bus.put([item.entry for item in batch])
                except Exception as error:  # noqa: BLE001 - the swallow policy
                    return [(item, error) for item in batch]
        except TimeoutError:
            return [(item, LossReason.TIMEOUT) for item in batch]
        failed: list[tuple[_Outgoing, Exception | str]] = []
        if any(results):
            failed = [(item, error) for item, error in zip(batch, results, strict=True) if error]
        self._observer.published(len(batch) - len(failed))
        return failed

    def _give_up(self, failures: Sequence[tuple[_Outgoing, Exception | str]]) -> None:
        lost: dict[str, list[str]] = {}
        for item, error in failures:
            lost.setdefault(_reason(error), []).append(item.request_id)
        if lost:
            self._report_lost(lost, failures[0][1])

    def _report_lost(self, lost: Mapping[str, Sequence[str]], error: Exception | str) -> None:
        """Count lost events, given as request ids by reason, and log the first error."""
        counts = {reason: len(request_ids) for reason, request_ids in lost.items()}
        for reason, count in counts.items():
            self._observer.lost(reason, count)
        # One warning per failed call, whatever the mixture of reasons (g1 §7.1).
        log.warning(
            "publish_failed",
            reasons=counts,
            error=str(error),
            request_ids=list(chain.from_iterable(lost.values())),
        )

    async def _watch_bus(self) -> None:
        """Notice a bus that disappears: PutEvents would keep answering 200 and drop every event."""
        while True:
            await anyio.sleep(self._policy.bus_check_interval_s)
            try:
                await self._bus.check()
            except Fatal as error:
                missing = error.code.startswith("ResourceNotFound")
                if missing and not self._bus_is_missing:
                    log.warning("bus_missing", bus=self._bus.name)
                self._bus_is_missing = missing
            except Exception as error:  # noqa: BLE001 - unknown is not missing
                log.debug("bus_check_failed", error=str(error))
            else:
                self._bus_is_missing = False


_ENVELOPES: Final = {
    ParticipationProcessed: (names.WORKER_SOURCE, names.PARTICIPATION_PROCESSED),
    RequestFailed: (names.WORKER_SOURCE, names.REQUEST_FAILED),
    ParticipationRequested: (names.INGEST_SOURCE, names.PARTICIPATION_REQUESTED),
}


def _bus_entry(event: AnalyticsEvent) -> BusEntry:
    source, detail_type = _ENVELOPES[type(event)]
    if isinstance(event, ParticipationRequested):
        time_ms = event.queuedAt
    else:
        time_ms = event.timestamps.finishedAt
    if not 0 <= time_ms <= MAX_TIME_MS:
        raise ValueError(f"{time_ms} is not an epoch time in milliseconds")
    return BusEntry(source, detail_type, events.encode(event), time_ms // 1000)


def _reason(error: Exception | str) -> str:
    match error:
        case str():
            return error
        case Fatal():
            return LossReason.DENIED
        case Rejected():
            return LossReason.REJECTED
        case Transient() if error.is_throttle:
            return LossReason.THROTTLED
        case Transient() if "Timeout" in error.code:
            return LossReason.TIMEOUT
        case Transient() if not error.response:
            return LossReason.CONNECTION
        case _:
            return LossReason.SERVER_ERROR
