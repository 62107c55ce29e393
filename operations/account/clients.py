"""The clients of one account that a look at it needs, opened together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aws.client import Client, Connection
from aws.sdk import open_client


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """One client of each service."""

    autoscaling: Client
    cloudformation: Client
    cloudwatch: Client
    dynamodb: Client
    ecs: Client
    elbv2: Client
    events: Client
    service_quotas: Client
    sqs: Client


@asynccontextmanager
async def opened(connection: Connection) -> AsyncIterator[Clients]:
    """Open them all; they connect when they are used."""
    async with AsyncExitStack() as stack:

        async def of(service: str) -> Client:
            return await stack.enter_async_context(open_client(service, connection))

        yield Clients(
            autoscaling=await of("application-autoscaling"),
            cloudformation=await of("cloudformation"),
            cloudwatch=await of("cloudwatch"),
            dynamodb=await of("dynamodb"),
            ecs=await of("ecs"),
            elbv2=await of("elbv2"),
            events=await of("events"),
            service_quotas=await of("service-quotas"),
            sqs=await of("sqs"),
        )
