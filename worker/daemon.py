"""The worker as a process: signals, the health port, and the exit code."""

from random import Random
from typing import Final

import anyio
import structlog

from aws.client import Connection
from aws.errors import AwsError
from aws.sdk import opener
from config.settings import WorkerSettings
from runtime import health, program
from runtime.stop import ExitCode, Stop
from worker.assembly import READ_TIMEOUT_S, assemble, wait_until_ready
from worker.draining import held, run_until_drained
from worker.parts import Parts

_POLL_GRACE_S: Final = 30.0

log = structlog.get_logger("worker")


async def run(settings: WorkerSettings, connection: Connection) -> ExitCode:
    """Run the worker until a signal stops it; returns its exit code."""

    async def main(stop: Stop) -> ExitCode:
        random = Random()  # noqa: S311 - spreading load, not secrets
        clock = program.epoch_ms
        async with assemble(
            settings, opener(connection), clock=clock, random=random, stop=stop
        ) as parts:
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
        ready=lambda: _not_ready(parts),
    ) as port:
        code = ExitCode.CRASHED
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(beat.run)
                await wait_until_ready(parts)
                log.info(
                    "worker_started", port=port, worker_id=parts.worker_id, **_limits(settings)
                )
                code = await run_until_drained(parts)
                tasks.cancel_scope.cancel()
        finally:
            if parts.state.is_ready or parts.stop.requested:
                _log_the_end(parts, code)
    return code


def _not_ready(parts: Parts) -> str | None:
    if parts.stop.requested:
        return "draining"
    return None if parts.state.is_ready else "starting"


def _log_the_end(parts: Parts, code: ExitCode) -> None:
    tally = parts.state.tally
    log.info(
        "worker_stopped",
        exit_code=int(code),
        settled=tally.settled,
        returned=tally.returned,
        retried=tally.retried,
        abandoned=held(parts),
    )


def _dead_poller(parts: Parts, now_s: float) -> str | None:
    """Whether a poller does not poll any more; `now_s` is the event loop's time."""
    if parts.stop.requested:
        return None
    longest_s = parts.settings.receive_wait_s + READ_TIMEOUT_S + _POLL_GRACE_S
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
