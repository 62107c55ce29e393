"""Prometheus figures of AWS calls and of batches, alike in every program."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter

from runtime.batcher import Trigger
from runtime.histogram import Histogram

_CALL_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
_BATCH_BUCKETS: Final = (1, 2, 3, 5, 8, 10, 15, 20, 25, 50, 75, 99)


class CallMetrics:
    """Seconds and errors of AWS calls, by service and operation."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "aws_call_seconds",
            "Seconds an AWS call took, successful or not.",
            ("service", "operation"),
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            "aws_call_errors",
            "AWS calls that failed, by the service's error code.",
            ("service", "operation", "code"),
            registry=registry,
        )

    def observe(self, service: str, operation: str, seconds: float, code: str | None) -> None:
        """Take note of one call; `code` is None for a success."""
        self._seconds.series(service, operation).observe(seconds)
        if code is not None:
            self._errors.labels(service, operation, code).inc()


class BatchMetrics:
    """Sizes and causes of the batches that left, by stage; every child exists from the start."""

    def __init__(self, registry: CollectorRegistry, program: str, stages: tuple[str, ...]) -> None:
        messages = Histogram(
            f"{program}_batch_messages",
            "Messages in a batch that left, by stage.",
            ("stage",),
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        flushes = Counter(
            f"{program}_batch_flushes",
            "Batches that left, by stage and by what made them leave.",
            ("stage", "trigger"),
            registry=registry,
        )
        self._messages = {stage: messages.series(stage) for stage in stages}
        self._flushes = {
            (stage, trigger): flushes.labels(stage, trigger.value)
            for stage in stages
            for trigger in Trigger
        }

    def flushed(self, stage: str, items: int, trigger: Trigger) -> None:
        """Take note of one batch."""
        self._messages[stage].observe(items)
        self._flushes[stage, trigger].inc()
