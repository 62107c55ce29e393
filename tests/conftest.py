"""Fixtures that tests of every package share: the embedded AWS, and a fresh stack in it."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from anyio.from_thread import start_blocking_portal

from aws.client import Connection
from local import ministack
from local import stack as stacks
from local.ministack import Emulator
from local.stack import StackOutputs


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One embedded AWS for the whole session (with pytest-xdist: one for each worker).

    It runs in an event loop of its own thread, since each test has another loop.
    """
    directory = tmp_path_factory.mktemp("ministack")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(ministack.running(directory)) as running,
    ):
        yield running


@pytest.fixture
def connection(emulator: Emulator) -> Connection:
    """How to reach the embedded AWS."""
    return emulator.connection


@pytest.fixture
async def stack(connection: Connection) -> StackOutputs:
    """A fresh deployment of `infra/pipeline.yaml` that no other test knows."""
    name = f"test-{uuid4().hex[:12]}"
    return await stacks.deploy_pipeline(connection, name, stacks.own_names(name))
