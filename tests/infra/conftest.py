"""Fixtures of the deployment's tests."""

from collections.abc import AsyncIterator

import pytest

from aws.client import Connection
from local.emulator.stack import StackOutputs
from tests.worker.support import World, world_of


@pytest.fixture
async def world(stack: StackOutputs, connection: Connection) -> AsyncIterator[World]:
    """A fresh stack with a tap on its bus."""
    async with world_of(stack, connection) as opened:
        yield opened
