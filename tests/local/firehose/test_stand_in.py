"""The Firehose stand-in between the emulator's EventBridge and its S3."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import anyio
import orjson
import pytest

from aws.client import Client, Connection
from aws.objects import list_objects, read_object
from aws.sdk import open_client
from local.emulator import stack as stacks
from local.emulator.stack import StackOutputs
from local.errors import LocalError
from local.firehose import stand_in as firehose
from schema import names
from tests.faults.actions import SERVER_ERROR, DropAnswer, Fault
from tests.faults.proxy import FaultProxy

LONG_S = 600.0
"""A buffer interval that no test waits for."""
WITHIN_S = 30
PUT_OBJECT = "PUT"
"""The proxy knows S3's calls by their HTTP method."""


@dataclass(frozen=True, slots=True)
class Lake:
    """One stack's bus and bucket."""

    stack: StackOutputs
    events: Client
    s3: Client

    async def publish(
        self,
        numbers: Sequence[int],
        source: str = names.WORKER_SOURCE,
        detail_type: str = names.PARTICIPATION_PROCESSED,
    ) -> None:
        for start in range(0, len(numbers), 10):
            entries = [
                {
                    "EventBusName": self.stack.event_bus_name,
                    "Source": source,
                    "DetailType": detail_type,
                    "Detail": orjson.dumps(detail(number)).decode(),
                }
                for number in numbers[start : start + 10]
            ]
            await self.events.call("PutEvents", Entries=entries)

    async def keys(self) -> list[str]:
        return [stored.key async for stored in list_objects(self.s3, self.stack.bucket_name, "")]

    async def lines(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        for key in await self.keys():
            body = await read_object(self.s3, self.stack.bucket_name, key)
            assert body.endswith(b"\n")
            lines += [orjson.loads(line) for line in body.splitlines()]
        return sorted(lines, key=lambda line: line["number"])

    async def object_appears(self) -> None:
        with anyio.fail_after(WITHIN_S):
            while not await self.keys():  # noqa: ASYNC110 - S3 notifies nobody
                await anyio.sleep(0.02)


def detail(number: int) -> dict[str, Any]:
    return {"number": number, "text": "한 줄\n두 줄", "nothing": None}


def details(numbers: Sequence[int]) -> list[dict[str, Any]]:
    return [detail(number) for number in numbers]


@pytest.fixture
async def lake(connection: Connection, stack: StackOutputs) -> AsyncIterator[Lake]:
    async with open_lake(connection, stack) as opened:
        yield opened


@asynccontextmanager
async def open_lake(connection: Connection, stack: StackOutputs) -> AsyncIterator[Lake]:
    async with (
        open_client("events", connection) as events,
        open_client("s3", connection) as s3,
    ):
        yield Lake(stack, events, s3)


async def test_what_is_published_is_in_the_lake_after_a_flush_each_detail_a_line(
    connection: Connection, lake: Lake
) -> None:
    async with firehose.standing_in(
        connection, lake.stack.event_bus_name, buffer_interval_s=LONG_S
    ) as stand_in:
        await lake.publish(range(25))
        assert await lake.keys() == []
        await stand_in.flush()
        assert await lake.lines() == details(range(25))
        assert stand_in.delivered.records == 25
        assert stand_in.delivered.objects == len(await lake.keys())
        await stand_in.flush()
        assert stand_in.delivered.records == 25


async def test_an_objects_key_is_the_prefix_of_its_hour_and_the_streams_name(
    connection: Connection, lake: Lake
) -> None:
    async with firehose.standing_in(connection, lake.stack.event_bus_name):
        await lake.publish([1])
    (key,) = await lake.keys()
    hour = r"events/dt=(\d{4}-\d\d-\d\d)/hour=(\d\d)"
    time = r"(\d{4}-\d\d-\d\d)-(\d\d)-\d\d-\d\d"
    match = re.fullmatch(rf"{hour}/{lake.stack.stream_name}-1-{time}-[0-9a-f-]{{36}}", key)
    assert match is not None
    assert match.group(1, 2) == match.group(3, 4)


async def test_the_end_of_the_block_delivers_what_is_left(
    connection: Connection, lake: Lake
) -> None:
    async with firehose.standing_in(
        connection, lake.stack.event_bus_name, buffer_interval_s=LONG_S
    ):
        await lake.publish(range(15))
    assert await lake.lines() == details(range(15))


async def test_what_has_waited_for_the_interval_is_written_without_a_flush(
    connection: Connection, lake: Lake
) -> None:
    async with firehose.standing_in(connection, lake.stack.event_bus_name, buffer_interval_s=0.05):
        await lake.publish([7])
        await lake.object_appears()
        assert await lake.lines() == details([7])


async def test_the_streams_own_interval_counts_unless_another_is_given(
    connection: Connection, stack: StackOutputs
) -> None:
    name = f"{stack.work_group}-2"
    quick = await stacks.deploy_pipeline(
        connection, name, {**stacks.own_names(name), "FirehoseBufferSeconds": "0"}
    )
    async with (
        open_lake(connection, quick) as lake,
        firehose.standing_in(connection, quick.event_bus_name),
    ):
        await lake.publish([7])
        await lake.object_appears()


async def test_objects_are_written_as_soon_as_they_are_full_and_are_never_larger(
    connection: Connection, lake: Lake
) -> None:
    text, count = "x" * 100_000, 25
    async with firehose.standing_in(
        connection, lake.stack.event_bus_name, buffer_interval_s=LONG_S
    ):
        for number in range(count):
            await lake.events.call(
                "PutEvents",
                Entries=[
                    {
                        "EventBusName": lake.stack.event_bus_name,
                        "Source": names.WORKER_SOURCE,
                        "DetailType": names.PARTICIPATION_PROCESSED,
                        "Detail": orjson.dumps({"number": number, "text": text}).decode(),
                    }
                ],
            )
        await lake.object_appears()
    stored = [entry async for entry in list_objects(lake.s3, lake.stack.bucket_name, "")]
    assert [entry.size for entry in stored if entry.size > 1024 * 1024] == []
    assert sorted(entry.size // 100_000 for entry in stored) == [5, 10, 10]
    assert [line["number"] for line in await lake.lines()] == list(range(count))


async def test_only_events_that_the_rule_matches_come(connection: Connection, lake: Lake) -> None:
    async with firehose.standing_in(connection, lake.stack.event_bus_name):
        await lake.publish([1], source=names.INGEST_SOURCE)
        await lake.publish([2], detail_type=names.PARTICIPATION_REQUESTED)
        await lake.publish([3], detail_type=names.REQUEST_FAILED)
        await lake.publish([4])
    assert await lake.lines() == details([3, 4])


async def test_no_message_leaves_the_queue_before_its_object_is_stored(
    connection: Connection, lake: Lake
) -> None:
    assert connection.endpoint_url is not None
    async with FaultProxy(connection.endpoint_url) as proxy:
        proxy.add(Fault(PUT_OBJECT, SERVER_ERROR, times=3))
        through = replace(connection, endpoint_url=proxy.endpoint_url)
        async with firehose.standing_in(through, lake.stack.event_bus_name) as stand_in:
            await lake.publish(range(12))
            await stand_in.flush()
            puts = proxy.calls_of(PUT_OBJECT)
            assert [put.took_effect for put in puts] == [False, False, False, True]
            deletes = proxy.calls_of("DeleteMessageBatch")
            stored_s = puts[-1].forwarded_s
            assert stored_s is not None
            assert deletes
            assert all(delete.arrived_s > stored_s for delete in deletes)
    assert await lake.lines() == details(range(12))


async def test_nothing_is_lost_while_the_queue_fails(connection: Connection, lake: Lake) -> None:
    assert connection.endpoint_url is not None
    async with FaultProxy(connection.endpoint_url) as proxy:
        through = replace(connection, endpoint_url=proxy.endpoint_url)
        async with firehose.standing_in(through, lake.stack.event_bus_name):
            proxy.add(Fault("ReceiveMessage", SERVER_ERROR, times=6))
            proxy.add(Fault("DeleteMessageBatch", DropAnswer(), times=1))
            await lake.publish(range(12))
    assert await lake.lines() == details(range(12))


async def test_thousands_arrive_once_each(connection: Connection, lake: Lake) -> None:
    numbers = range(3000)
    async with firehose.standing_in(connection, lake.stack.event_bus_name) as stand_in:
        await lake.publish(numbers)
        await stand_in.flush()
        assert stand_in.delivered.records == len(numbers)
    assert await lake.lines() == details(numbers)


async def test_after_the_block_the_rule_is_as_it_was(connection: Connection, lake: Lake) -> None:
    async def targets() -> list[str]:
        response = await lake.events.call(
            "ListTargetsByRule", EventBusName=lake.stack.event_bus_name, Rule=names.RULE_NAME
        )
        return [target["Id"] for target in response["Targets"]]

    before = await targets()
    async with firehose.standing_in(connection, lake.stack.event_bus_name):
        assert len(await targets()) == 2
    assert await targets() == before
    async with open_client("sqs", connection) as sqs:
        response = await sqs.call("ListQueues", QueueNamePrefix=f"{lake.stack.stream_name}-tap")
    assert not response.get("QueueUrls")


async def test_an_error_in_the_block_comes_out_as_itself(
    connection: Connection, lake: Lake
) -> None:
    async def failing() -> None:
        async with firehose.standing_in(connection, lake.stack.event_bus_name):
            raise LocalError("ours")

    with pytest.raises(LocalError, match="ours"):
        await failing()


async def test_a_bus_without_a_stream_is_refused(connection: Connection, lake: Lake) -> None:
    bus = f"{lake.stack.event_bus_name}-2"
    await lake.events.call("CreateEventBus", Name=bus)
    with pytest.raises(LocalError, match="has a Firehose target"):
        async with firehose.standing_in(connection, bus):
            pytest.fail("there is nothing to deliver")
