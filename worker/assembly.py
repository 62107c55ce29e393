"""Puts a worker together: opens its clients, and checks that all exists that it needs."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from random import Random
from typing import Final

import anyio
import structlog
from prometheus_client import CollectorRegistry

from aws import checks
from aws.bus import Bus
from aws.checks import Check
from aws.client import ClientOptions, Opener
from aws.errors import Fatal, Transient
from aws.queue import Queue, QueueDescription
from aws.table import Table
from config import identity
from config.settings import WorkerSettings
from runtime import backoff
from runtime.stop import Stop
from worker.metrics import WorkerMetrics
from worker.parts import Parts

READ_TIMEOUT_S: Final = 10.0
"""How long a call may go unanswered; a long poll may take its wait as well."""
_SPARE_CONNECTIONS: Final = 48
_CHECK_BASE_S: Final = 0.5
_CHECK_MAX_S: Final = 3.0

log = structlog.get_logger("worker")


@asynccontextmanager
async def assemble(
    settings: WorkerSettings,
    opener: Opener,
    *,
    clock: Callable[[], int],
    random: Random,
    stop: Stop | None = None,
) -> AsyncIterator[Parts]:
    """Open the clients and put the parts together; what must exist is not checked yet.

    The worker knows no other clock than `clock` (epoch milliseconds) and the event loop's, and
    leaves nothing to chance but by `random`.
    """
    metrics = WorkerMetrics(CollectorRegistry(), clock)
    polls = settings.pollers + settings.dlq_pollers
    wait_s = settings.receive_wait_s

    def options(connections: int, read_timeout_s: float = READ_TIMEOUT_S) -> ClientOptions:
        return ClientOptions(
            max_connections=connections + _SPARE_CONNECTIONS, read_timeout_s=read_timeout_s
        )

    async with AsyncExitStack() as stack:
        sqs = await stack.enter_async_context(
            opener("sqs", options(polls, wait_s + READ_TIMEOUT_S), metrics.calls)
        )
        dynamodb = await stack.enter_async_context(
            opener("dynamodb", options(settings.processors * 5), metrics.calls)
        )
        events = await stack.enter_async_context(
            opener(
                "events",
                ClientOptions(
                    max_connections=settings.publish_concurrency + 1,
                    # Only a safety net: the publisher's own deadline comes first.
                    read_timeout_s=settings.publish_timeout_s + 1,
                    connect_timeout_s=min(3.0, settings.publish_timeout_s),
                    endpoint_url=settings.events_endpoint_url,
                ),
                metrics.calls,
            )
        )
        queue = Queue(sqs, settings.queue_url)
        dlq = Queue(sqs, settings.dlq_url, is_dlq=True)
        table = Table(dynamodb, settings.table_name, random, metrics.calls)
        bus = Bus(events, settings.event_bus_name)
        lost_url = settings.lost_events_queue_url
        lost_events = None if lost_url is None else Queue(sqs, lost_url)
        yield Parts(
            settings=settings,
            worker_id=identity.worker_id(settings.worker_id),
            queue=queue,
            dlq=dlq,
            table=table,
            bus=bus,
            lost_events=lost_events,
            metrics=metrics,
            clock=clock,
            random=random,
            stop=stop or Stop(),
        )


async def wait_until_ready(parts: Parts) -> None:
    """Return when all exists that the worker needs, or a stop is requested.

    What is away for the moment is asked for again, for as long as that takes. Raises Fatal with
    one line for each thing that is missing or forbidden: PutEvents to a missing bus *succeeds*
    and drops the event, so nothing but a check can find out.
    """
    state, stop = parts.state, parts.stop
    if state.is_ready:
        return
    with stop.interrupts():
        for attempt in count(1):
            try:
                description = await check_all(
                    parts.queue, parts.dlq, parts.table, parts.bus, parts.lost_events
                )
            except Transient as error:
                log.warning("start_waits", error=str(error))
                wait_s = backoff.delay_s(attempt, _CHECK_BASE_S, _CHECK_MAX_S, parts.random)
                await anyio.sleep(wait_s)
            else:
                state.max_receive_count = description.max_receive_count
                state.is_ready = True
                return


async def check_all(
    queue: Queue, dlq: Queue, table: Table, bus: Bus, lost_events: Queue | None = None
) -> QueueDescription:
    """Check once that everything exists; returns the main queue's description.

    Raises Fatal with all that is wrong, in one text; else Transient if something is away.
    """
    found: list[QueueDescription] = []

    async def queue_is_there() -> None:
        found.append(await queue.describe())

    async def bus_is_there() -> None:
        try:
            await bus.check()
        except Transient as error:
            # An EventBridge that is down for now must not hold up a single decision.
            log.warning("bus_unreachable", bus=bus.name, error=str(error))

    needed: dict[tuple[str, str], Check] = {
        ("QUEUE_URL", queue.url): queue_is_there,
        ("DLQ_URL", dlq.url): dlq.describe,
        ("TABLE_NAME", table.name): table.check,
        ("EVENT_BUS_NAME", bus.name): bus_is_there,
    }
    missing = await checks.missing({**needed, **checks.of_lost_events(lost_events)})
    if missing.wrong:
        raise Fatal("worker", "start", "NotReady", "\n  ".join(["", *missing.wrong]))
    if missing.away:
        raise Transient("worker", "start", "NotReady", "; ".join(missing.away))
    return found[0]
