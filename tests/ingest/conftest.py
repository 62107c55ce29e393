"""Fixtures of ingest's tests on the embedded AWS."""

import pytest

from tests.faults.proxy import FaultProxy
from tests.ingest.live import Live
from tests.ingest.support import EVENT
from tests.worker.support import World


@pytest.fixture
async def live(world: World, proxy: FaultProxy) -> Live:
    """A fresh stack with an event of five seats; ingest reaches it by the proxy."""
    await world.create_event(EVENT.event_id, 5)
    return Live(world, proxy)
