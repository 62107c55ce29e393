"""How late the event loop is: the first figure to rise when one core no longer suffices."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from ingest.metrics import IngestMetrics

_INTERVAL_S: Final = 0.5


@asynccontextmanager
async def watched(metrics: IngestMetrics) -> AsyncIterator[None]:
    """Measure for the length of the block."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch, metrics)
        yield
        tasks.cancel_scope.cancel()


async def _watch(metrics: IngestMetrics) -> None:
    while True:
        due = anyio.current_time() + _INTERVAL_S
        await anyio.sleep(_INTERVAL_S)
        metrics.loop_lag.set(max(0.0, anyio.current_time() - due))
