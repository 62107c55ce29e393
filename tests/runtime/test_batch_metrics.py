"""The figures of batches."""

from prometheus_client import CollectorRegistry

from runtime.batch_metrics import BatchMetrics
from runtime.batcher import Trigger


def test_every_stage_and_trigger_exists_with_zero_from_the_start() -> None:
    registry = CollectorRegistry()
    BatchMetrics(registry, "worker", ("publish", "delete"))

    for stage in ("publish", "delete"):
        labels = {"stage": stage}
        assert registry.get_sample_value("worker_batch_messages_count", labels) == 0
        for trigger in Trigger:
            sample = registry.get_sample_value(
                "worker_batch_flushes_total", labels | {"trigger": trigger.value}
            )
            assert sample == 0


def test_a_batch_is_counted_by_its_trigger_and_its_size() -> None:
    registry = CollectorRegistry()
    metrics = BatchMetrics(registry, "worker", ("publish",))

    metrics.flushed("publish", 7, Trigger.LINGER)

    assert registry.get_sample_value("worker_batch_messages_sum", {"stage": "publish"}) == 7
    linger = {"stage": "publish", "trigger": "linger"}
    assert registry.get_sample_value("worker_batch_flushes_total", linger) == 1
