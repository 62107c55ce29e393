"""The service without its sockets: clients, checks, gateway and app, all else handed in."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from random import Random
from typing import Final

from starlette.types import ASGIApp

from aws import checks, publisher
from aws.bus import Bus
from aws.checks import Check
from aws.client import ClientOptions, Opener
from aws.metrics import CallMetrics
from aws.publisher import Publisher, PublishPolicy
from aws.queue import Queue
from aws.table import Table
from config.settings import IngestSettings
from ingest.app import Health, create_app
from ingest.aws_gateway import CALLS_PER_STAGE, STAGES, AwsGateway
from ingest.metrics import IngestMetrics
from ingest.tokens import Authenticator
from runtime.batch_metrics import BatchMetrics
from runtime.program import StartError

_CONNECT_TIMEOUT_S: Final = 1.0
_READ_TIMEOUT_S: Final = 3.0
CLOSING_S: Final = 5.0
"""What the batchers and the publisher may need after the last answer."""
_TABLE_CONNECTIONS: Final = 4 * CALLS_PER_STAGE + 64
"""Four coalesced stages, and the index queries, which cannot share a call."""


@asynccontextmanager
async def open_service(
    settings: IngestSettings,
    opener: Opener,
    authentication: AbstractAsyncContextManager[Authenticator],
    *,
    metrics: IngestMetrics,
    health: Health,
    clock_ms: Callable[[], int],
    stopwatch_s: Callable[[], float],
    random: Random,
) -> AsyncIterator[ASGIApp]:
    """Open the clients, check what must exist, and put the app together; raises StartError.

    The authenticator is opened after the checks. The service knows no other clocks than those
    handed in and the event loop's, and leaves nothing to chance but by `random`.
    """
    calls = CallMetrics(metrics.registry)
    publishing = settings.publish_requested_events
    stages = (*STAGES, publisher.STAGE) if publishing else STAGES
    flushes = BatchMetrics(metrics.registry, "ingest", stages)

    def options(connections: int, endpoint_url: str | None = None) -> ClientOptions:
        return ClientOptions(connections, _CONNECT_TIMEOUT_S, _READ_TIMEOUT_S, endpoint_url)

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dynamodb = await enter(opener("dynamodb", options(_TABLE_CONNECTIONS), calls))
        sqs = await enter(opener("sqs", options(CALLS_PER_STAGE), calls))
        table, queue = Table(dynamodb, settings.table_name), Queue(sqs, settings.queue_url)
        bus: Bus | None = None
        if publishing:
            events = options(settings.publish_concurrency + 1, settings.events_endpoint_url)
            bus = Bus(await enter(opener("events", events, calls)), settings.event_bus_name)
        await _check(table, queue, bus)
        authenticator = await enter(authentication)
        publishes: Publisher | None = None
        if bus is not None:
            policy = PublishPolicy.of(settings)
            publishes = Publisher(bus, policy, random=random, observer=metrics, flushes=flushes)
        linger_s = settings.coalesce_linger_ms / 1000
        gateway = AwsGateway(
            table, queue, publishes, linger_s=linger_s, random=random, flushes=flushes
        )
        await enter(gateway.running())
        yield create_app(
            gateway,
            authenticator,
            settings,
            metrics=metrics,
            health=health,
            clock_ms=clock_ms,
            stopwatch_s=stopwatch_s,
        )


async def _check(table: Table, queue: Queue, bus: Bus | None) -> None:
    """Raise StartError that reports everything that is missing, in one text."""
    needed: dict[tuple[str, str], Check] = {
        ("TABLE_NAME", table.name): table.check,
        ("QUEUE_URL", queue.url): queue.describe,
    }
    if bus is not None:
        needed["EVENT_BUS_NAME", bus.name] = bus.check
    missing = await checks.missing(needed)
    if wrong := [*missing.wrong, *missing.away]:
        raise StartError("\n  ".join(["cannot start:", *wrong]))
