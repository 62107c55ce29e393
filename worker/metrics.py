"""The worker's Prometheus figures; all but the seats left exist with value 0 from the start."""

from collections import Counter as Counts
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from aws import publisher
from aws.losses import LossReason
from aws.metrics import CallMetrics
from runtime import build_info
from runtime.batch_metrics import BatchMetrics
from runtime.histogram import Histogram, Observations
from worker.results import Outcome

MAIN_QUEUE: Final = "main"
DEAD_LETTER_QUEUE: Final = "dlq"
_DELAY_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_SHOWN_MS: Final = 60_000
"""Several scrapes; what a worker knew of an event that it meets no more may be out of date."""
_CORRECTION_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300)


class Stage(StrEnum):
    """The stages that work in batches; the values of `worker_batch_messages{stage}`."""

    PROCESS = "process"
    PUBLISH = publisher.STAGE
    DELETE = "delete"
    VISIBILITY = "visibility"
    QUARANTINE = "quarantine"


class Cancellation(StrEnum):
    """Why a seat transaction took no effect; the values of `worker_seat_cancellations_total`."""

    CAPACITY_CONFLICT = "capacity_conflict"
    """Another worker's transaction on the event was under way."""
    REQUEST_CONFLICT = "request_conflict"
    """Somebody was writing one of the requests."""
    REQUEST_CHANGED = "request_changed"
    """One of the requests was no longer as it had been read."""
    SEATS_GONE = "seats_gone"
    """Fewer seats were left than it would have taken."""
    THROTTLED = "throttled"


def queue_name(*, is_dlq: bool) -> str:
    """The `queue` label's value."""
    return DEAD_LETTER_QUEUE if is_dlq else MAIN_QUEUE


class SeatsLeft(Collector):
    """The seats left of each event that the worker has met within a minute.

    Alone among the figures it has a label without a closed set of values: those are events with a
    capacity item, which an operator has made, and never what a message claims.
    """

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], int]) -> None:
        self._known: dict[str, tuple[int, int]] = {}
        self._clock = clock
        registry.register(self)

    def note(self, event_id: str, seats: int) -> None:
        """Take what was read of an event, or what a commit left."""
        self._known[event_id] = seats, self._clock()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figure, for a scrape, which comes from another thread."""
        shown = GaugeMetricFamily(
            "worker_seats_left", "Seats left, as the worker knows it.", labels=("event",)
        )
        now_ms = self._clock()
        for event_id, (seats, noted_ms) in self._known.copy().items():
            if now_ms - noted_ms < _SHOWN_MS:
                shown.add_metric((event_id,), seats)
            else:
                self._known.pop(event_id, None)
        yield shown


class WorkerMetrics:
    """All figures of one worker, in a registry of its own; `clock` gives epoch milliseconds."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], int]) -> None:
        self.registry = registry
        build_info.expose(registry)
        self.seats_left = SeatsLeft(registry, clock)
        self.calls = CallMetrics(registry)
        self.batches = BatchMetrics(registry, "worker", tuple(Stage))
        received = self._counter("messages_received", "Deliveries received.", ("queue",))
        settled = self._counter(
            "messages_settled", "Deliveries settled, by outcome.", ("queue", "outcome")
        )
        failures = self._counter(
            "publish_failures", "Analytics events lost, by reason.", ("reason",)
        )
        self.received = {q: received.labels(q) for q in (MAIN_QUEUE, DEAD_LETTER_QUEUE)}
        self._settled = {
            (queue, outcome): settled.labels(queue, outcome.value)
            for queue in (MAIN_QUEUE, DEAD_LETTER_QUEUE)
            for outcome in Outcome
        }
        self.lost_events: Counts[str] = Counts()
        """Analytics events lost so far, by reason."""
        self._lost = {reason: failures.labels(reason) for reason in LossReason.ALL}
        self._published = self._counter("publish_events", "Analytics events the bus accepted.")
        self._kept = self._counter(
            "lost_events_kept", "Lost events that are on the queue of lost events."
        )
        self._not_kept = self._counter(
            "lost_events_not_kept", "Lost events that could not be put there."
        )
        self.kept_events = 0
        """Lost events so far that are on the queue of lost events."""
        self.delete_failures = self._counter(
            "delete_failures", "Deletes that SQS did not confirm; the message comes again."
        )
        self.lease_extensions = self._counter("lease_extensions", "Visibility extensions sent.")
        self.lost_leases = self._counter(
            "lost_leases", "Deliveries whose receipt SQS no longer knew when it was extended."
        )
        cancellations = self._counter(
            "seat_cancellations", "Seat transactions that took no effect, by reason.", ("reason",)
        )
        self.seat_cancellations = {why: cancellations.labels(why.value) for why in Cancellation}
        paused = Gauge(
            "worker_paused", "1 while a service is away.", ("service",), registry=self.registry
        )
        self.paused = {service: paused.labels(service) for service in ("dynamodb", "sqs")}
        self.clock_corrections = self._counter(
            "clock_corrections", "Start times set forward to queuedAt for a clock that lags."
        )
        self.clock_correction_seconds = self._histogram(
            "clock_correction_seconds", "Sizes of the clock corrections.", _CORRECTION_BUCKETS
        )
        self.queue_delay = self._histogram(
            "queue_delay_seconds", "startedAt - queuedAt of decided requests.", _DELAY_BUCKETS
        )
        self.e2e_delay = self._histogram(
            "e2e_delay_seconds", "finishedAt - queuedAt of decided requests.", _DELAY_BUCKETS
        )
        self.message_age = self._histogram(
            "message_age_seconds", "Age of the oldest message of a receive.", _DELAY_BUCKETS
        )
        self.in_flight = self._gauge("in_flight_messages", "Deliveries received, not yet settled.")
        self.in_flight_limit = self._gauge("in_flight_limit", "MAX_IN_FLIGHT.")
        self.pollers_active = self._gauge("pollers_active", "Pollers whose poll is under way.")
        self.busy_processors = self._gauge("busy_processors", "Processors that decide a batch.")
        self.stream_depth = self._gauge("stream_depth", "Receives waiting for a processor.")

    def settled(self, outcome: Outcome, count: int = 1, *, is_dlq: bool = False) -> None:
        """Count settled deliveries."""
        self._settled[queue_name(is_dlq=is_dlq), outcome].inc(count)

    def published(self, count: int) -> None:
        """Count events that the bus accepted."""
        self._published.inc(count)

    def lost(self, reason: str, count: int) -> None:
        """Count events that are gone."""
        self._lost[reason].inc(count)
        self.lost_events[reason] += count

    def kept(self, count: int) -> None:
        """Count lost events that are on the queue of lost events."""
        self._kept.inc(count)
        self.kept_events += count

    def not_kept(self, count: int) -> None:
        """Count lost events that should be there, and may not be."""
        self._not_kept.inc(count)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"worker_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"worker_{name}", text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Observations:
        named = f"worker_{name}"
        return Histogram(named, text, buckets=buckets, registry=self.registry).series()
