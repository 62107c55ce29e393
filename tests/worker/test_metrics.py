"""The worker's figures: every series of the contract exists with 0 from the start."""

import pytest
from prometheus_client import CollectorRegistry

from aws.losses import LossReason
from worker.metrics import Cancellation, WorkerMetrics
from worker.results import Outcome

UNLABELLED = (
    "worker_in_flight_messages",
    "worker_in_flight_limit",
    "worker_pollers_active",
    "worker_busy_processors",
    "worker_stream_depth",
    "worker_queue_delay_seconds_count",
    "worker_e2e_delay_seconds_count",
    "worker_message_age_seconds_count",
    "worker_publish_events_total",
    "worker_lost_events_kept_total",
    "worker_lost_events_not_kept_total",
    "worker_delete_failures_total",
    "worker_lease_extensions_total",
    "worker_clock_corrections_total",
)


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics(CollectorRegistry(), lambda: 0)


@pytest.mark.parametrize("name", UNLABELLED)
def test_a_series_without_labels_exists_with_zero(metrics: WorkerMetrics, name: str) -> None:
    assert metrics.registry.get_sample_value(name) == 0


def test_every_label_of_a_bounded_set_exists_with_zero(metrics: WorkerMetrics) -> None:
    value = metrics.registry.get_sample_value
    for queue in ("main", "dlq"):
        assert value("worker_messages_received_total", {"queue": queue}) == 0
        for outcome in Outcome:
            labels = {"queue": queue, "outcome": outcome.value}
            assert value("worker_messages_settled_total", labels) == 0
    for why in Cancellation:
        assert value("worker_seat_cancellations_total", {"reason": why.value}) == 0
    for service in ("dynamodb", "sqs"):
        assert value("worker_paused", {"service": service}) == 0
    for reason in LossReason.ALL:
        assert value("worker_publish_failures_total", {"reason": reason}) == 0
    for stage in ("process", "publish", "delete", "visibility", "quarantine"):
        assert value("worker_batch_messages_count", {"stage": stage}) == 0
        assert value("worker_batch_flushes_total", {"stage": stage, "trigger": "linger"}) == 0


def test_outcomes_are_counted_by_queue(metrics: WorkerMetrics) -> None:
    metrics.settled(Outcome.REJECTED, 3)
    metrics.settled(Outcome.REJECTED, is_dlq=True)

    value = metrics.registry.get_sample_value
    name = "worker_messages_settled_total"
    assert value(name, {"queue": "main", "outcome": "rejected"}) == 3
    assert value(name, {"queue": "dlq", "outcome": "rejected"}) == 1


def test_an_event_that_a_worker_meets_no_more_is_no_longer_shown() -> None:
    now_ms = [1_000_000]
    metrics = WorkerMetrics(CollectorRegistry(), lambda: now_ms[0])
    metrics.seats_left.note("sold", 0)
    metrics.seats_left.note("selling", 7)
    now_ms[0] += 59_000
    metrics.seats_left.note("selling", 5)
    value = metrics.registry.get_sample_value
    name = "worker_seats_left"
    assert [value(name, {"event": event}) for event in ("sold", "selling")] == [0, 5]
    now_ms[0] += 2_000
    assert [value(name, {"event": event}) for event in ("sold", "selling")] == [None, 5]


def test_two_workers_in_a_process_count_apart(metrics: WorkerMetrics) -> None:
    other = WorkerMetrics(CollectorRegistry(), lambda: 0)

    metrics.published(5)
    metrics.lost(LossReason.TIMEOUT, 2)

    assert other.registry.get_sample_value("worker_publish_events_total") == 0
    labels = {"reason": "timeout"}
    assert metrics.registry.get_sample_value("worker_publish_failures_total", labels) == 2
    assert other.registry.get_sample_value("worker_publish_failures_total", labels) == 0
