"""The event loop's lag: zero where nothing blocks, and the length of what does."""

import time

import anyio
import pytest
from anyio.lowlevel import checkpoint
from prometheus_client import CollectorRegistry

from ingest import loop_lag
from ingest.metrics import IngestMetrics
from tests.virtual_time import virtual_time


@virtual_time
async def test_without_anything_that_blocks_there_is_no_lag() -> None:
    registry = CollectorRegistry()
    async with loop_lag.watched(IngestMetrics(registry)):
        await anyio.sleep(10)

    assert registry.get_sample_value("event_loop_lag_seconds") == pytest.approx(0, abs=1e-6)


async def test_what_blocks_the_loop_shows_as_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_lag, "_INTERVAL_S", 0.02)
    registry = CollectorRegistry()
    async with loop_lag.watched(IngestMetrics(registry)):
        await checkpoint()
        time.sleep(0.2)  # noqa: ASYNC251 - the blocking is what is measured
        for _ in range(5):  # until the late sleeper has woken
            await checkpoint()

        assert (registry.get_sample_value("event_loop_lag_seconds") or 0) > 0.1
