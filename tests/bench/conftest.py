"""A stand-in for AWS, shared by the tests of a module and emptied before each."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from aws.client import Client, Connection
from aws.sdk import open_client
from bench.stub_process import REGION, Stub, running_stub


@pytest.fixture(scope="module")
def running() -> Iterator[Stub]:
    with running_stub() as stub:
        yield stub


@pytest.fixture
def stub(running: Stub) -> Stub:
    running.reset()
    return running


@dataclass(frozen=True, slots=True)
class Clients:
    sqs: Client
    dynamodb: Client
    events: Client


@pytest.fixture
async def clients(stub: Stub) -> AsyncIterator[Clients]:
    connection = Connection(REGION, stub.url, "stand-in", "stand-in")
    async with AsyncExitStack() as stack:
        yield Clients(
            *[
                await stack.enter_async_context(open_client(service, connection))
                for service in ("sqs", "dynamodb", "events")
            ]
        )
