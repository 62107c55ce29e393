"""Measurements as they might have been made."""

from bench.contestants import Contestant
from bench.measure import Measurement


def measured(
    contestant: Contestant, cpu_s: float, lone_ms: float = 5.0, latency_ms: float = 0.0
) -> Measurement:
    """One measurement of 1,000 messages, in batches of 50."""
    return Measurement(
        contestant=contestant.name,
        job=contestant.job.value,
        latency_ms=latency_ms,
        seats="mixed",
        batch=50 if contestant.uses_batches else None,
        messages=1000,
        cpu_s=cpu_s,
        wall_s=cpu_s,
        calls=360,
        p50_ms=10,
        p95_ms=20,
        lone_ms=lone_ms,
        rss_mib=50,
        stub_utilisation=0.1,
    )
