"""The service's Prometheus figures; every one of them exists with value 0 from the start."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from aws.losses import LossReason
from ingest import openapi
from ingest.http1.bounds import Refusal
from runtime import build_info
from runtime.histogram import Histogram

SERVICES: Final = ("dynamodb", "sqs")
"""What an answer to a user depends on."""
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class IngestMetrics:
    """Requests by route and status, their seconds, and what became of published events."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        build_info.expose(registry)
        statuses = {operation.name: operation.statuses for operation in openapi.operations()}
        statuses["other"] = (404, 405)
        self._requests = Counter(
            "ingest_requests",
            "Answers, by route and status.",
            ("route", "status"),
            registry=registry,
        )
        seconds = Histogram(
            "ingest_request_seconds",
            "Seconds from a request's arrival to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._published = Counter(
            "ingest_publish_events", "Events that the bus accepted.", registry=registry
        )
        failures = Counter(
            "ingest_publish_failures",
            "Events that were lost, by reason.",
            ("reason",),
            registry=registry,
        )
        away = Gauge(
            "ingest_service_away",
            "1 while a service does not answer and requests that need it are refused.",
            ("service",),
            registry=registry,
        )
        self._kept = Counter(
            "ingest_lost_events_kept",
            "Lost events that are on the queue of lost events.",
            registry=registry,
        )
        self._not_kept = Counter(
            "ingest_lost_events_not_kept",
            "Lost events that could not be put there.",
            registry=registry,
        )
        self.in_flight = Gauge(
            "ingest_in_flight_requests",
            "Requests being answered, with those that wait for a decision.",
            registry=registry,
        )
        self.waiting = Gauge(
            "ingest_waiting_requests", "Requests that wait for a decision.", registry=registry
        )
        self.connections = Gauge("ingest_connections", "Open connections.", registry=registry)
        refused = Counter(
            "ingest_refused",
            "Clients refused for what they sent, or did not read, by reason.",
            ("reason",),
            registry=registry,
        )
        # Looking a label up costs more than the observation itself.
        self._by_status = {
            (route, status): self._requests.labels(route, str(status))
            for route, known in statuses.items()
            for status in known
        }
        self._away = {service: away.labels(service) for service in SERVICES}
        self._refused = {reason: refused.labels(reason) for reason in Refusal.ALL}
        self._seconds = {route: seconds.series(route) for route in statuses}
        self._failures = {reason: failures.labels(reason) for reason in LossReason.ALL}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Take note of one answer."""
        counter = self._by_status.get((route, status))
        if counter is None:
            counter = self._requests.labels(route, str(status))
            self._by_status[route, status] = counter
        counter.inc()
        self._seconds[route].observe(seconds)

    def refused(self, reason: str) -> None:
        """Take note of a client that was refused outside of the app."""
        self._refused[reason].inc()

    def service_away(self, service: str, *, is_away: bool) -> None:
        """Take note that a service went away or came back."""
        self._away[service].set(is_away)

    def published(self, count: int) -> None:
        """Take note of events that the bus accepted."""
        self._published.inc(count)

    def lost(self, reason: str, count: int) -> None:
        """Take note of events that are gone."""
        self._failures[reason].inc(count)

    def kept(self, count: int) -> None:
        """Take note of lost events that are on the queue of lost events."""
        self._kept.inc(count)

    def not_kept(self, count: int) -> None:
        """Take note of lost events that should be there, and may not be."""
        self._not_kept.inc(count)
