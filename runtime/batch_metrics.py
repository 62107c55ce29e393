"""Prometheus figures of the batches that leave a program's batchers."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter

from runtime.batcher import Trigger
from runtime.histogram import Histogram

_BUCKETS: Final = (1, 2, 3, 5, 8, 10, 15, 20, 25, 50, 75, 99)


class BatchMetrics:
    """Sizes and causes of the batches that left, by stage; every child exists from the start."""

    def __init__(self, registry: CollectorRegistry, program: str, stages: tuple[str, ...]) -> None:
        messages = Histogram(
            f"{program}_batch_messages",
            "Messages in a batch that left, by stage.",
            ("stage",),
            buckets=_BUCKETS,
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
