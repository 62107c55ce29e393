"""The bus adapter against the embedded AWS and against the model: both must answer alike."""

from collections.abc import AsyncIterator
from time import time

import pytest

from aws.bus import Bus, BusEntry
from aws.client import Client, Connection
from aws.errors import Fatal, Rejected
from aws.sdk import open_client
from config.limits import EVENTBRIDGE_BATCH_BYTES
from local.emulator.stack import StackOutputs
from tests.aws.contract import EMBEDDED, MODEL, model_client

DEFAULT_BUS = "default"


@pytest.fixture(params=[EMBEDDED, MODEL])
async def events(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    if request.param == MODEL:
        yield model_client("events")
        return
    connection: Connection = request.getfixturevalue("connection")
    async with open_client("events", connection) as client:
        yield client


def entry(detail: bytes = b"{}") -> BusEntry:
    return BusEntry("s", "t", detail, int(time()))


async def test_events_that_a_bus_takes_have_no_error(events: Client) -> None:
    assert await Bus(events, DEFAULT_BUS).put([entry()] * 10) == [None] * 10


async def test_each_event_has_an_answer_in_its_place(events: Client) -> None:
    answer = await events.call(
        "PutEvents", Entries=[{"Source": "s", "DetailType": "t", "Detail": "{}"}] * 3
    )

    assert answer["FailedEntryCount"] == 0
    assert [set(result) for result in answer["Entries"]] == [{"EventId"}] * 3


async def test_a_bus_that_does_not_exist_takes_every_event(events: Client) -> None:
    assert await Bus(events, "no-such-bus").put([entry()]) == [None]


async def test_a_bus_that_does_not_exist_is_missed(events: Client) -> None:
    await Bus(events, DEFAULT_BUS).check()

    with pytest.raises(Fatal):
        await Bus(events, "no-such-bus").check()


async def test_the_deployed_bus_is_found(connection: Connection, stack: StackOutputs) -> None:
    async with open_client("events", connection) as client:
        bus = Bus(client, stack.event_bus_name)
        await bus.check()
        assert await bus.put([entry()]) == [None]


# On the model alone: the embedded AWS takes what AWS refuses (EventBridge API Reference,
# "PutEventsRequestEntry": Detail is "a valid JSON object"; User Guide, "Calculating PutEvents event
# entry size").


async def test_a_detail_that_is_no_json_fails_alone() -> None:
    bus = Bus(model_client("events"), DEFAULT_BUS)

    broken, whole = await bus.put([entry(b"{"), entry()])

    assert isinstance(broken, Rejected)
    assert broken.code == "MalformedDetail"
    assert whole is None


async def test_a_request_is_as_large_as_the_adapter_counts_it() -> None:
    bus = Bus(model_client("events"), DEFAULT_BUS)
    spare = EVENTBRIDGE_BATCH_BYTES - entry(b'{"a":""}').size
    largest = entry(b'{"a":"' + b"x" * (spare - 1) + b'"}')
    too_large = entry(b'{"a":"' + b"x" * spare + b'"}')
    assert too_large.size == EVENTBRIDGE_BATCH_BYTES

    assert await bus.put([largest]) == [None]
    with pytest.raises(Rejected):
        await bus.put([too_large])
