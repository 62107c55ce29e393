"""Publishes analytics events in batches and swallows every failure, as g1 §7.1 requires."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import chain
from math import inf
from random import Random
from types import TracebackType
from typing import Final, Self, TypeAlias

import anyio
import structlog
from anyio.abc import TaskGroup

from aws.bus import Bus, BusEntry
from aws.bus_watch import BusWatch
from aws.entries import entry_of
from aws.errors import Transient
from aws.losses import LossReason, PublishObserver, reason_of
from aws.lost_events import LostEvents
from aws.pace import Pace
from aws.queue import Queue
from config.limits import EVENTBRIDGE_BATCH_BYTES, EVENTBRIDGE_BATCH_ENTRIES
from config.settings import CommonSettings
from runtime import backoff
from runtime.batcher import Batcher, BatchLimits, ClosedError, FlushObserver, OverloadedError
from schema.events import AnalyticsEvent
from schema.values import value

STAGE: Final = "publish"
"""The publisher's name in the figures of batches."""
_RETRY_BASE_S: Final = 0.1
_LOOK_S: Final = 0.5
"""How often one that waits for its turn looks whether it still may."""
_RETRY_MAX_S: Final = 0.5
_STARVED_AFTER_TIMEOUTS: Final = 6

log = structlog.get_logger("publisher")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPolicy:
    """How the publisher batches, and how long it may keep its caller waiting."""

    concurrency: int
    linger_s: float
    timeout_s: float
    max_attempts: int
    bus_check_interval_s: float = 30.0
    max_pending: int | None = None
    """Events that may wait for their first attempt; None where the callers bound them."""

    @classmethod
    def of(cls, settings: CommonSettings, max_pending: int | None = None) -> Self:
        """The policy that a program's settings ask for."""
        return cls(
            concurrency=settings.publish_concurrency,
            linger_s=settings.publish_linger_ms / 1000,
            timeout_s=settings.publish_timeout_s,
            max_attempts=settings.publish_max_attempts,
            bus_check_interval_s=settings.bus_check_interval_s,
            max_pending=max_pending,
        )


@value(frozen=True, slots=True)
class _Outgoing:
    entry: BusEntry
    size: int
    request_id: str
    since_s: float


_Error: TypeAlias = Exception | str
"""Why an event was not published: what a call raised, or a LossReason."""
_Failure: TypeAlias = tuple[_Outgoing, _Error]
_Ended: TypeAlias = asyncio.Future[Exception | None]
"""Ends when an event is published or lost after all; holds an error if the publisher ended first.
"""


class Publisher:
    """Puts events on the bus; never raises (domain §6, swallow policy).

    Calls keep the pace that EventBridge's throttles allow (`aws/pace.py`); those that failed for
    the moment are repeated. An event has the policy's timeout to be published; it begins when the
    event is handed over, and anew whenever a call waits for its turn, but never after the first
    attempt. A lost event is counted once, by reason, and one warning for each call names its
    requests; where there is a queue of lost events, it goes there.
    """

    def __init__(
        self,
        bus: Bus,
        policy: PublishPolicy,
        *,
        random: Random,
        observer: PublishObserver,
        flushes: FlushObserver | None = None,
        lost_events: Queue | None = None,
    ) -> None:
        self._bus = bus
        self._policy = policy
        self._random = random
        self._observer = observer
        self._lost_events = None if lost_events is None else LostEvents(lost_events)
        self._watch = BusWatch(bus, policy.bus_check_interval_s)
        self._waited_s = -inf
        """When a call last waited for its turn, while EventBridge took events."""
        self._ends_s = inf
        """When no event may wait any more."""
        self._timeouts: set[asyncio.Timeout] = set()
        """Those of the calls under way."""
        self._batcher: Batcher[_Outgoing, _Ended | None] = Batcher(
            self._put,
            BatchLimits(
                max_items=EVENTBRIDGE_BATCH_ENTRIES,
                max_bytes=EVENTBRIDGE_BATCH_BYTES,
                linger_s=min(policy.linger_s, policy.timeout_s / 2),
                concurrency=policy.concurrency,
                eager=True,
                max_pending=policy.max_pending,
            ),
            stage=STAGE,
            size_of=lambda outgoing: outgoing.size,
            observer=flushes,
        )
        self._stack = AsyncExitStack()
        self._repeating: TaskGroup

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self._new_future = loop.create_future
        self._pace = Pace(self._policy.timeout_s * _STARVED_AFTER_TIMEOUTS, self._now())
        # The blocks end from the last to the first: first attempts, repeats, what is lost.
        enter = self._stack.enter_async_context
        watch = await enter(anyio.create_task_group())
        watch.start_soon(self._watch.run, name="bus watch")
        self._stack.callback(watch.cancel_scope.cancel)
        if self._lost_events is not None:
            await enter(self._lost_events.running())
        self._repeating = await enter(anyio.create_task_group())
        await enter(self._batcher)
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(error_type, error, trace)

    def hurry(self, within_s: float) -> None:
        """Have each event published or lost within so long: the program is about to end."""
        self._ends_s = self._now() + within_s
        for timeout in self._timeouts:
            timeout.reschedule(min(timeout.when() or self._ends_s, self._ends_s))

    async def publish(self, analytics_events: Sequence[AnalyticsEvent]) -> None:
        """Publish events; returns when each is accepted or lost, and raises nothing."""
        now_s = self._now()
        outgoing: list[_Outgoing] = []
        for event in analytics_events:
            encoded = self._encode(event, now_s)
            if encoded is not None:
                outgoing.append(encoded)
        del analytics_events  # of no use while the calls are under way
        if not outgoing:
            return
        try:
            results = await self._batcher.submit_many(outgoing)
        except ClosedError as error:
            await self._lose([(item, LossReason.CLOSED) for item in outgoing], error)
            return
        except OverloadedError as error:
            await self._lose([(item, LossReason.THROTTLED) for item in outgoing], error)
            return
        if not any(results):
            return
        closed: list[_Failure] = []
        for item, result in zip(outgoing, results, strict=True):
            # Others wait for it, too: a caller that is cancelled must not cancel it.
            end = await asyncio.shield(result) if isinstance(result, asyncio.Future) else result
            if end is not None:
                closed.append((item, LossReason.CLOSED))
        if closed:
            await self._lose(closed, "the publisher was ended")

    def _encode(self, event: AnalyticsEvent, now_s: float) -> _Outgoing | None:
        request_id = str(event.requestId)
        try:
            entry = entry_of(event)
            size = entry.size
        except Exception as error:  # noqa: BLE001 - the swallow policy: this event alone is lost
            self._report_lost({LossReason.UNENCODABLE: [request_id]}, error)
            return None
        if size > EVENTBRIDGE_BATCH_BYTES:
            self._report_lost(
                {LossReason.OVERSIZE: [request_id]}, f"{size} > {EVENTBRIDGE_BATCH_BYTES} bytes"
            )
            return None
        return _Outgoing(entry, size, request_id, now_s)

    async def _put(self, batch: Sequence[_Outgoing]) -> list[_Ended | None]:
        """Make a batch's first attempt; what fails is seen to without holding up other batches."""
        # The first event's time binds: batches leave in the order of submission, so those behind
        # it have at least as much left.
        deadline_s = await self._turn(batch[0].since_s)
        errors = await self._put_once(batch, deadline_s)
        if not any(errors):
            return [None] * len(batch)
        ended: _Ended = self._new_future()
        failures = [(item, error) for item, error in zip(batch, errors, strict=True) if error]
        self._repeating.start_soon(self._see_to, failures, deadline_s, ended)
        return [ended if error else None for error in errors]

    async def _turn(self, since_s: float) -> float:
        """Wait until a new call may leave; returns by when its events must be published."""
        while True:
            now_s = self._now()
            deadline_s = max(since_s, self._waited_s) + self._policy.timeout_s
            deadline_s = min(deadline_s, self._ends_s)
            wait_s = self._pace.wait_s(now_s, is_repeat=False)
            if wait_s == 0.0 or now_s >= deadline_s:
                return deadline_s
            await anyio.sleep(min(wait_s, deadline_s - now_s, _LOOK_S))
            now_s = self._now()
            if self._pace.is_worth_waiting(now_s):
                self._waited_s = now_s

    async def _put_once(
        self, batch: Sequence[_Outgoing], deadline_s: float
    ) -> Sequence[_Error | None]:
        """Put events in one call: None, or the error, of each."""
        if self._watch.bus_is_missing:
            return [LossReason.BUS_MISSING] * len(batch)
        called_s = self._now()
        deadline_s = min(deadline_s, self._ends_s)
        if called_s >= deadline_s:
            waits = self._pace.wait_s(called_s, is_repeat=False) > 0
            return [LossReason.THROTTLED if waits else LossReason.TIMEOUT] * len(batch)
        self._pace.take_turn(called_s)
        errors: Sequence[_Error | None]
        # asyncio's timeout, because anyio's scope costs three times as much on each call. An answer
        # in the very turn of the loop in which the deadline passes is too late.
        try:
            async with asyncio.timeout_at(deadline_s) as timeout:
                self._timeouts.add(timeout)
                try:
                    errors = await self._bus.put([item.entry for item in batch])
                except Exception as error:  # noqa: BLE001 - the swallow policy
                    errors = [error] * len(batch)
                finally:
                    self._timeouts.discard(timeout)
        except TimeoutError:
            errors = [LossReason.TIMEOUT] * len(batch)
        if not any(errors):
            self._pace.accepted(called_s, self._now())
            self._observer.published(len(batch))
            return errors
        self._hear(errors, called_s)
        if published := sum(error is None for error in errors):
            self._observer.published(published)
        return errors

    def _hear(self, errors: Sequence[_Error | None], called_s: float) -> None:
        """What a call that failed, at least in part, means for the pace."""
        if any(map(_is_throttle, errors)):
            self._pace.throttled(called_s, self._now())
        elif None not in errors:
            self._pace.unanswered()

    async def _see_to(self, failures: Sequence[_Failure], deadline_s: float, ended: _Ended) -> None:
        """Repeat what failed for the moment, and lose what is left; `ended` says when."""
        end: Exception | None = ClosedError("the publisher was ended")
        try:
            await self._lose(await self._repeat(failures, deadline_s))
            end = None
        finally:
            ended.set_result(end)

    async def _repeat(self, failures: Sequence[_Failure], deadline_s: float) -> list[_Failure]:
        """Repeat a call until nothing is left of it that may be repeated; returns what is lost.

        A throttled call took no effect: it does not count as an attempt, only the time ends it.
        """
        lost: list[_Failure] = []
        calls, attempts = 1, 0
        while True:
            attempts += not any(_is_throttle(error) for _, error in failures)
            lost += [failure for failure in failures if not isinstance(failure[1], Transient)]
            left = [failure for failure in failures if isinstance(failure[1], Transient)]
            if not left:
                return lost
            wait_s = backoff.full_delay_s(calls, _RETRY_BASE_S, _RETRY_MAX_S, self._random)
            if attempts >= self._policy.max_attempts or not await self._turn_again(
                wait_s, deadline_s
            ):
                return lost + left
            batch = [item for item, _ in left]
            errors = await self._put_once(batch, deadline_s)
            failures = [(item, error) for item, error in zip(batch, errors, strict=True) if error]
            calls += 1

    async def _turn_again(self, wait_s: float, deadline_s: float) -> bool:
        """Back off, then wait for a repeated call's turn; False if that would be too late.

        Its turn comes before that of new calls, and after half a second it goes anyway: the pace of
        new calls pays for it.
        """
        latest_s = self._now() + wait_s + _RETRY_MAX_S
        self._pace.repeats_waiting += 1
        try:
            while wait_s > 0.0:
                if self._now() + wait_s >= min(deadline_s, self._ends_s):
                    return False
                await anyio.sleep(wait_s)
                now_s = self._now()
                wait_s = min(self._pace.wait_s(now_s, is_repeat=True), latest_s - now_s)
        finally:
            self._pace.repeats_waiting -= 1
        return True

    async def _lose(self, failures: Sequence[_Failure], error: _Error | None = None) -> None:
        """Count lost events, and keep them where there is a queue for them."""
        if not failures:
            return
        lost: dict[str, list[str]] = {}
        for item, reason in failures:
            lost.setdefault(reason_of(reason), []).append(item.request_id)
        self._report_lost(lost, error or failures[0][1])
        if self._lost_events is not None:
            kept = await self._lost_events.keep([item.entry for item, _ in failures])
            self._observer.kept(kept)
            self._observer.not_kept(len(failures) - kept)

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


def _is_throttle(error: _Error | None) -> bool:
    return isinstance(error, Transient) and error.is_throttle
