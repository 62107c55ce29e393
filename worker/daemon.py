"""The worker as a process: checks at the start, one deadline for the drain, its health."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import anyio
import structlog
from prometheus_client import CollectorRegistry

from aws import checks
from aws.bus import Bus
from aws.client import ClientOptions, Connection
from aws.errors import AwsError, Fatal, Transient
from aws.queue import Delivery, Queue, QueueDescription, VisibilityChange
from aws.sdk import open_client
from aws.table import Table
from config import identity
from config.limits import SQS_BATCH_ENTRIES
from config.settings import WorkerSettings, drain_reserve_s
from runtime import health, program
from runtime.stop import ExitCode, Stop
from worker import pipeline
from worker.leases import Leases
from worker.metrics import WorkerMetrics
from worker.parts import Parts

_READ_TIMEOUT_S: Final = 10.0
_SPARE_CONNECTIONS: Final = 16
_POLL_GRACE_S: Final = 30.0

log = structlog.get_logger("worker")


@asynccontextmanager
async def assemble(
    settings: WorkerSettings,
    connection: Connection,
    clock: Callable[[], int] | None = None,
    stop: Stop | None = None,
) -> AsyncIterator[Parts]:
    """Open the clients, check what must exist, and put the parts together.

    Raises Fatal with one line for each thing that is missing or forbidden: PutEvents to a
    missing bus *succeeds* and drops the event, so nothing but a check can find out.
    A stop requested meanwhile ends the checks: the parts then have nothing to do but drain.
    """
    metrics = WorkerMetrics(CollectorRegistry())
    polls = settings.pollers + settings.dlq_pollers
    wait_s = settings.receive_wait_s

    def options(connections: int, read_timeout_s: float = _READ_TIMEOUT_S) -> ClientOptions:
        return ClientOptions(
            max_connections=connections + _SPARE_CONNECTIONS, read_timeout_s=read_timeout_s
        )

    async with AsyncExitStack() as stack:
        sqs = await stack.enter_async_context(
            open_client("sqs", connection, options(polls, wait_s + _READ_TIMEOUT_S), metrics.calls)
        )
        dynamodb = await stack.enter_async_context(
            open_client("dynamodb", connection, options(settings.processors * 5), metrics.calls)
        )
        events = await stack.enter_async_context(
            open_client(
                "events",
                connection,
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
        table = Table(dynamodb, settings.table_name)
        bus = Bus(events, settings.event_bus_name)
        stop = stop or Stop()
        description: QueueDescription | None = None
        with stop.interrupts():
            description = await check_all(queue, dlq, table, bus)
        yield Parts(
            settings=settings,
            worker_id=identity.worker_id(settings.worker_id),
            queue=queue,
            dlq=dlq,
            table=table,
            bus=bus,
            metrics=metrics,
            clock=clock or program.epoch_ms,
            max_receive_count=description.max_receive_count if description else None,
            stop=stop,
        )


async def check_all(queue: Queue, dlq: Queue, table: Table, bus: Bus) -> QueueDescription:
    """Check that everything exists; raises Fatal with all that does not, in one text.

    Returns the main queue's description.
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

    wrong = await checks.failures(
        {
            ("QUEUE_URL", queue.url): queue_is_there,
            ("DLQ_URL", dlq.url): dlq.describe,
            ("TABLE_NAME", table.name): table.check,
            ("EVENT_BUS_NAME", bus.name): bus_is_there,
        }
    )
    if wrong:
        raise Fatal("worker", "start", "NotReady", "\n  ".join(["", *wrong]))
    return found[0]


async def run(settings: WorkerSettings, connection: Connection) -> ExitCode:
    """Run the worker until a signal stops it; returns its exit code."""

    async def main(stop: Stop) -> ExitCode:
        async with assemble(settings, connection, stop=stop) as parts:
            return await supervise(parts)

    return await program.run("worker", main, AwsError, OSError)


async def supervise(parts: Parts) -> ExitCode:
    """Run a pipeline with its HTTP port, and drain it when the stop is requested."""
    settings = parts.settings
    beat = health.LoopBeat(parts.metrics.registry)
    with health.serve(
        settings.http_host,
        settings.http_port,
        parts.metrics.registry,
        healthy=lambda: beat.check() or _dead_poller(parts, beat.loop_time_s),
        ready=lambda: "draining" if parts.stop.requested else None,
    ) as port:
        log.info("worker_started", port=port, worker_id=parts.worker_id, **_limits(settings))
        code = ExitCode.CRASHED
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(beat.run)
                code = await _run_to_the_end(parts)
                tasks.cancel_scope.cancel()
        finally:
            _log_the_end(parts, code)
    return code


def _log_the_end(parts: Parts, code: ExitCode) -> None:
    tally = parts.state.tally
    log.info(
        "worker_stopped",
        exit_code=int(code),
        settled=tally.settled,
        returned=tally.returned,
        retried=tally.retried,
        abandoned=_held(parts),
    )


async def _run_to_the_end(parts: Parts) -> ExitCode:
    """Run the pipeline; after a stop it has until the deadline, and a moment to hand back."""
    total_s = parts.settings.shutdown_timeout_s
    reserve_s = drain_reserve_s(total_s)
    scope = anyio.CancelScope()

    def begin_to_drain() -> None:
        scope.deadline = anyio.current_time() + total_s - reserve_s
        log.info("worker_stopping", timeout_s=total_s, in_flight=_held(parts))

    parts.stop.calls(begin_to_drain)
    try:
        with scope:
            await pipeline.run(parts)
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(reserve_s * 0.8):
            await _hand_back_the_rest(parts)
    if parts.state.failure is not None:
        return ExitCode.CANNOT_RUN
    return ExitCode.DEADLINE if scope.cancelled_caught else ExitCode.DRAINED


async def _hand_back_the_rest(parts: Parts) -> None:
    """Make what a cut-off drain left in flight visible to others immediately."""

    async def hand_back(queue: Queue, leases: Leases, held: dict[str, Delivery]) -> None:
        handles = list(held)
        try:
            results = await queue.change_visibility([VisibilityChange(h, 0) for h in handles])
        except AwsError as error:
            log.warning("hand_back_failed", messages=len(handles), error=str(error))
            return
        for handle, problem in zip(handles, results, strict=True):
            if problem is None:
                leases.release(held[handle])
                parts.state.tally.returned += 1

    async with anyio.create_task_group() as tasks:
        for queue, leases in parts.state.leases:
            left = leases.held
            for start in range(0, len(left), SQS_BATCH_ENTRIES):
                chunk = left[start : start + SQS_BATCH_ENTRIES]
                held = {delivery.receipt_handle: delivery for delivery in chunk}
                tasks.start_soon(hand_back, queue, leases, held)


def _held(parts: Parts) -> int:
    return sum(len(leases.held) for _, leases in parts.state.leases)


def _dead_poller(parts: Parts, now_s: float) -> str | None:
    """Whether a poller does not poll any more; `now_s` is the event loop's time."""
    if parts.stop.requested:
        return None
    longest_s = parts.settings.receive_wait_s + _READ_TIMEOUT_S + _POLL_GRACE_S
    for index, poller in enumerate(parts.state.pollers):
        if poller.ended:
            return f"poller {index} has ended"
        since = poller.polling_since
        if since is not None and now_s - since > longest_s:
            return f"poller {index} has been in one poll for over {longest_s:.0f} s"
    return None


def _limits(settings: WorkerSettings) -> dict[str, int]:
    return {
        "pollers": settings.pollers,
        "processors": settings.processors,
        "max_in_flight": settings.max_in_flight,
        "batch_max_messages": settings.batch_max_messages,
    }
