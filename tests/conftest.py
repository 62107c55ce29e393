"""Fixtures that tests of every package share: the embedded AWS, and a fresh stack in it."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import cast, get_args
from uuid import uuid4

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import settings

from aws.client import ClientKind, Connection
from local.emulator import ministack
from local.emulator import stack as stacks
from local.emulator.ministack import Emulator
from local.emulator.stack import StackOutputs
from tests.faults.proxy import FaultProxy
from tests.worker.support import World, world_of

# A slow machine is no failure.
settings.register_profile("pipeline", deadline=None, max_examples=60, print_blob=True)
settings.load_profile("pipeline")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what runs in the background, and so would programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_PROCESSES_A_CORE = 2
"""Most tests on the embedded AWS wait more than they work; each process has an AWS of its own."""
_MOST_PROCESSES = 8


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """With `-n auto`, all tests run in several processes, a selection in this one: it is faster."""
    options = config.option
    is_all = config.args == config.getini("testpaths")
    if not is_all or options.keyword or options.markexpr or options.lf:
        return 0
    return min(_PROCESSES_A_CORE * (os.cpu_count() or 1), _MOST_PROCESSES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests go first: begun last, one would keep all other processes waiting."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


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
    """How to reach the embedded AWS; PARTICIPATION_TEST_CLIENT=aioboto3 runs tests on the SDK."""
    kind = os.environ.get("PARTICIPATION_TEST_CLIENT", emulator.connection.client)
    assert kind in get_args(ClientKind)
    return replace(emulator.connection, client=cast("ClientKind", kind))


@pytest.fixture
async def stack(connection: Connection) -> StackOutputs:
    """A fresh deployment of `infra/pipeline.yaml` that no other test knows."""
    name = f"test-{uuid4().hex[:12]}"
    return await stacks.deploy_pipeline(connection, name, stacks.own_names(name))


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
