"""The service without its sockets: clients, checks, gateway and app, all else handed in."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random
from typing import Final

import anyio
import structlog

from aws import checks, publisher
from aws.bus import Bus
from aws.checks import Check
from aws.client import ClientOptions, Opener
from aws.errors import Transient
from aws.metrics import CallMetrics
from aws.publisher import Publisher, PublishPolicy
from aws.queue import Queue
from aws.table import Table
from config.settings import IngestSettings
from ingest.app import Health, create_app
from ingest.asgi import ASGIApp
from ingest.aws_gateway import (
    CALLS_PER_STAGE,
    PATIENCE_S,
    STAGES,
    TABLE_CONNECTIONS,
    AwsGateway,
)
from ingest.metrics import IngestMetrics
from ingest.tokens import Authenticator
from runtime import backoff
from runtime.batch_metrics import BatchMetrics
from runtime.program import StartError

_CONNECT_TIMEOUT_S: Final = 1.0
_READ_TIMEOUT_S: Final = PATIENCE_S
"""Nobody waits longer; the breaker shall hear of a call that hangs as soon as the user does."""
_BUS_READ_TIMEOUT_S: Final = 3.0
CLOSING_S: Final = 5.0
"""What the batchers and the publisher may need after the last answer."""
_CHECK_AGAIN_BASE_S: Final = 0.5
_CHECK_AGAIN_MAX_S: Final = 5.0

log = structlog.get_logger("ingest")


@dataclass(frozen=True, slots=True)
class Service:
    """The app, which answers from now on, and what it needs before it can take requests."""

    app: ASGIApp
    _needed: Mapping[tuple[str, str], Check]
    _random: Random

    async def wait_until_ready(self) -> None:
        """Return when all exists that is needed.

        What is away for the moment is asked for again, as long as that takes. Raises StartError,
        with everything in one text, where an operator must act.
        """
        for attempt in count(1):
            missing = await checks.missing(self._needed)
            if missing.wrong:
                raise StartError("\n  ".join(["cannot start:", *missing.wrong]))
            if not missing.away:
                return
            log.warning("start_waits", error="; ".join(missing.away))
            await anyio.sleep(
                backoff.delay_s(attempt, _CHECK_AGAIN_BASE_S, _CHECK_AGAIN_MAX_S, self._random)
            )


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
) -> AsyncIterator[Service]:
    """Open the clients and put the app together; what is needed is not checked yet.

    The service knows no other clocks than those handed in and the event loop's, and leaves
    nothing to chance but by `random`.
    """
    calls = CallMetrics(metrics.registry)
    publishing = settings.publish_requested_events
    stages = (*STAGES, publisher.STAGE) if publishing else STAGES
    flushes = BatchMetrics(metrics.registry, "ingest", stages)

    def options(connections: int) -> ClientOptions:
        return ClientOptions(connections, _CONNECT_TIMEOUT_S, _READ_TIMEOUT_S)

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dynamodb = await enter(opener("dynamodb", options(TABLE_CONNECTIONS), calls))
        sqs = await enter(opener("sqs", options(CALLS_PER_STAGE), calls))
        table = Table(dynamodb, settings.table_name, random, calls)
        queue = Queue(sqs, settings.queue_url)
        bus: Bus | None = None
        if publishing:
            events = ClientOptions(
                settings.publish_concurrency + 1,
                _CONNECT_TIMEOUT_S,
                _BUS_READ_TIMEOUT_S,
                settings.events_endpoint_url,
            )
            bus = Bus(await enter(opener("events", events, calls)), settings.event_bus_name)
        lost_url = settings.lost_events_queue_url if publishing else None
        lost_events = None if lost_url is None else Queue(sqs, lost_url)
        authenticator = await enter(authentication)
        publishes: Publisher | None = None
        if bus is not None:
            publishes = Publisher(
                bus,
                PublishPolicy.of(settings, max_pending=settings.max_pending_requests),
                random=random,
                observer=metrics,
                flushes=flushes,
                lost_events=lost_events,
            )
        linger_s = settings.coalesce_linger_ms / 1000
        gateway = AwsGateway(
            table,
            queue,
            publishes,
            linger_s=linger_s,
            clock_ms=clock_ms,
            random=random,
            observer=metrics,
            flushes=flushes,
        )
        await enter(gateway.running())
        app = create_app(
            gateway,
            authenticator,
            settings,
            metrics=metrics,
            health=health,
            clock_ms=clock_ms,
            stopwatch_s=stopwatch_s,
            random=random,
        )
        yield Service(app, _needed(table, queue, bus, lost_events), random)


def _needed(
    table: Table, queue: Queue, bus: Bus | None, lost_events: Queue | None
) -> Mapping[tuple[str, str], Check]:
    """What must exist, by the variable that names it."""
    needed: dict[tuple[str, str], Check] = {
        ("TABLE_NAME", table.name): table.check,
        ("QUEUE_URL", queue.url): queue.describe,
    }
    if bus is not None:
        needed["EVENT_BUS_NAME", bus.name] = partial(_bus_unless_away, bus)
    return {**needed, **checks.of_lost_events(lost_events)}


async def _bus_unless_away(bus: Bus) -> None:
    """Check the bus; one that is away for the moment costs events, and no click."""
    try:
        await bus.check()
    except Transient as error:
        log.warning("bus_unreachable", bus=bus.name, error=str(error))
