"""Fixtures of the worker's tests."""

from collections.abc import AsyncIterator

import pytest

from aws.client import Connection
from local.emulator.stack import StackOutputs
from tests.faults.proxy import FaultProxy
from tests.worker.support import World, world_of


@pytest.fixture
async def world(stack: StackOutputs, connection: Connection) -> AsyncIterator[World]:
    """A fresh stack with a tap on its bus."""
    async with world_of(stack, connection) as opened:
        yield opened


@pytest.fixture
async def proxy(connection: Connection) -> AsyncIterator[FaultProxy]:
    """A proxy to the emulator, without any fault yet."""
    assert connection.endpoint_url is not None
    async with FaultProxy(connection.endpoint_url) as running:
        yield running
