"""Fixtures of ingest's tests on the embedded AWS."""

from collections.abc import AsyncIterator

import pytest

from aws.client import Connection
from local.emulator.stack import StackOutputs
from tests.faults.proxy import FaultProxy
from tests.ingest.live import Live
from tests.ingest.support import EVENT
from tests.worker.support import world_of


@pytest.fixture
async def proxy(connection: Connection) -> AsyncIterator[FaultProxy]:
    """A proxy to the emulator, without any fault yet."""
    assert connection.endpoint_url is not None
    async with FaultProxy(connection.endpoint_url) as running:
        yield running


@pytest.fixture
async def live(
    stack: StackOutputs, connection: Connection, proxy: FaultProxy
) -> AsyncIterator[Live]:
    """A fresh stack with an event of five seats; ingest reaches it by the proxy."""
    async with world_of(stack, connection) as world:
        await world.create_event(EVENT.event_id, 5)
        yield Live(world, proxy)
