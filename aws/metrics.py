"""Prometheus figures of AWS calls, the same in every program."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter

from aws.errors import Throttle
from runtime.histogram import Histogram

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class CallMetrics:
    """Seconds, errors and throttles of AWS calls, by service and operation."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "aws_call_seconds",
            "Seconds an AWS call took, successful or not.",
            ("service", "operation"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            "aws_call_errors",
            "AWS calls that failed, by the service's error code.",
            ("service", "operation", "code"),
            registry=registry,
        )
        self._throttles = Counter(
            "aws_throttles",
            "Calls, and parts of calls, that AWS refused for their rate, by its reason.",
            ("service", "operation", "reason", "resource"),
            registry=registry,
        )

    def observe(self, service: str, operation: str, seconds: float, code: str | None) -> None:
        """Take note of one call; `code` is None for a success."""
        self._seconds.series(service, operation).observe(seconds)
        if code is not None:
            self._errors.labels(service, operation, code).inc()

    def throttled(self, service: str, operation: str, throttle: Throttle) -> None:
        """Take note of one throttle."""
        self._throttles.labels(service, operation, throttle.reason, throttle.resource).inc()
