"""The figures of calls."""

from prometheus_client import CollectorRegistry

from aws.errors import Throttle
from aws.metrics import CallMetrics


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


def test_throttles_are_counted_by_reason_and_resource() -> None:
    registry = CollectorRegistry()
    metrics = CallMetrics(registry)
    throttle = Throttle("IndexWriteKeyRangeThroughputExceeded", "table/T/index/GSI2")

    metrics.throttled("dynamodb", "TransactWriteItems", throttle)
    metrics.throttled("dynamodb", "TransactWriteItems", throttle)

    labels = {
        "service": "dynamodb",
        "operation": "TransactWriteItems",
        "reason": "IndexWriteKeyRangeThroughputExceeded",
        "resource": "table/T/index/GSI2",
    }
    assert registry.get_sample_value("aws_throttles_total", labels) == 2
