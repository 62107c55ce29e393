"""The figures of calls and batches."""

from prometheus_client import CollectorRegistry

from aws.metrics import BatchMetrics, CallMetrics
from runtime.batcher import Trigger


def test_a_call_s_seconds_are_observed_whether_it_succeeds_or_not() -> None:
    registry = CollectorRegistry()
    metrics = CallMetrics(registry)

    metrics.observe("sqs", "ReceiveMessage", 0.5, None)
    metrics.observe("sqs", "ReceiveMessage", 1.5, "Timeout")

    labels = {"service": "sqs", "operation": "ReceiveMessage"}
    assert registry.get_sample_value("aws_call_seconds_count", labels) == 2
    assert registry.get_sample_value("aws_call_seconds_sum", labels) == 2
    errors = labels | {"code": "Timeout"}
    assert registry.get_sample_value("aws_call_errors_total", errors) == 1


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
