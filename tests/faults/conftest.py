"""Fixtures of the proxy's tests: a queue, a table and a bus, reached directly and by the proxy."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest

from aws.client import Client, ClientOptions, Connection
from aws.sdk import open_client
from tests.faults.proxy import FaultProxy

READ_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Clients:
    """One client of each service that the pipeline calls."""

    sqs: Client
    dynamodb: Client
    events: Client


@dataclass(frozen=True, slots=True)
class World:
    """What a test calls by the proxy, and a way around the proxy to look at the effects."""

    queue_url: str
    tap_url: str
    """The queue that receives what is put on the bus."""
    table: str
    bus: str
    direct: Clients

    async def bodies(self, queue_url: str | None = None) -> list[str]:
        """Take the messages from the queue, and return their bodies, sorted."""
        bodies: list[str] = []
        while messages := await self._receive(queue_url or self.queue_url):
            for message in messages:
                bodies.append(message["Body"])
                await self.direct.sqs.call(
                    "DeleteMessage",
                    QueueUrl=queue_url or self.queue_url,
                    ReceiptHandle=message["ReceiptHandle"],
                )
        return sorted(bodies)

    async def _receive(self, queue_url: str) -> list[dict[str, Any]]:
        response = await self.direct.sqs.call(
            "ReceiveMessage", QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        )
        messages: list[dict[str, Any]] = response.get("Messages", [])
        return messages

    async def keys(self) -> list[str]:
        """List the keys in the table, sorted."""
        response = await self.direct.dynamodb.call("Scan", TableName=self.table)
        return sorted(item["PK"]["S"] for item in response["Items"])

    async def put(self, *keys: str) -> None:
        """Put items that have nothing but their keys."""
        for key in keys:
            await self.direct.dynamodb.call(
                "PutItem", TableName=self.table, Item={"PK": {"S": key}}
            )


async def _open_clients(
    stack: AsyncExitStack, connection: Connection, options: ClientOptions
) -> Clients:
    async def client(service: str) -> Client:
        return await stack.enter_async_context(open_client(service, connection, options))

    return Clients(await client("sqs"), await client("dynamodb"), await client("events"))


async def _queue(clients: Clients, name: str) -> tuple[str, str]:
    url: str = (await clients.sqs.call("CreateQueue", QueueName=name))["QueueUrl"]
    attributes = await clients.sqs.call(
        "GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"]
    )
    return url, attributes["Attributes"]["QueueArn"]


@pytest.fixture
async def world(connection: Connection) -> AsyncIterator[World]:
    """A queue, a table, and a bus whose events go to a queue, all of them this test's own."""
    name = f"faults-{uuid4().hex[:12]}"
    async with AsyncExitStack() as stack:
        direct = await _open_clients(stack, connection, ClientOptions())
        queue_url, _ = await _queue(direct, name)
        tap_url, tap_arn = await _queue(direct, f"{name}-tap")
        await direct.dynamodb.call(
            "CreateTable",
            TableName=name,
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        await direct.events.call("CreateEventBus", Name=name)
        await direct.events.call(
            "PutRule", Name=name, EventBusName=name, EventPattern='{"source": [{"prefix": ""}]}'
        )
        await direct.events.call(
            "PutTargets",
            Rule=name,
            EventBusName=name,
            Targets=[{"Id": "tap", "Arn": tap_arn, "InputPath": "$.detail"}],
        )
        yield World(queue_url, tap_url, name, name, direct)


@pytest.fixture
async def clients(connection: Connection, proxy: FaultProxy) -> AsyncIterator[Clients]:
    """Clients that see the emulator by the proxy only."""
    async with AsyncExitStack() as stack:
        through = replace(connection, endpoint_url=proxy.endpoint_url)
        yield await _open_clients(stack, through, ClientOptions())


@pytest.fixture
async def impatient(connection: Connection, proxy: FaultProxy) -> AsyncIterator[Clients]:
    """The same, but they wait only READ_TIMEOUT_S for an answer."""
    async with AsyncExitStack() as stack:
        through = replace(connection, endpoint_url=proxy.endpoint_url)
        yield await _open_clients(stack, through, ClientOptions(read_timeout_s=READ_TIMEOUT_S))
