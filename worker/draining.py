"""Runs the pipeline to its end: after a stop there is one deadline, and a moment to hand back."""

import anyio
import structlog

from aws.errors import AwsError
from aws.queue import Delivery, Queue, VisibilityChange
from config.limits import SQS_BATCH_ENTRIES
from config.settings import drain_reserve_s
from runtime.stop import ExitCode
from worker import pipeline
from worker.assembly import wait_until_ready
from worker.leases import Leases
from worker.parts import Parts

log = structlog.get_logger("worker")


async def run_until_drained(parts: Parts) -> ExitCode:
    """Run the pipeline until a stop is requested and everything under way has ended.

    After the stop it has until SHUTDOWN_TIMEOUT_S, less a reserve in which what is left goes back
    to the queue. Needs neither signals nor a health port. Raises Fatal where something is missing.
    """
    await wait_until_ready(parts)
    total_s = parts.settings.shutdown_timeout_s
    reserve_s = drain_reserve_s(total_s)
    scope = anyio.CancelScope()

    def begin_to_drain() -> None:
        scope.deadline = anyio.current_time() + total_s - reserve_s
        log.info("worker_stopping", timeout_s=total_s, in_flight=held(parts))

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

    async def hand_back(queue: Queue, leases: Leases, by_handle: dict[str, Delivery]) -> None:
        handles = list(by_handle)
        try:
            results = await queue.change_visibility([VisibilityChange(h, 0) for h in handles])
        except AwsError as error:
            log.warning("hand_back_failed", messages=len(handles), error=str(error))
            return
        for handle, problem in zip(handles, results, strict=True):
            if problem is None:
                leases.release(by_handle[handle])
                parts.state.tally.returned += 1

    async with anyio.create_task_group() as tasks:
        for queue, leases in parts.state.leases:
            left = leases.held
            for start in range(0, len(left), SQS_BATCH_ENTRIES):
                chunk = left[start : start + SQS_BATCH_ENTRIES]
                by_handle = {delivery.receipt_handle: delivery for delivery in chunk}
                tasks.start_soon(hand_back, queue, leases, by_handle)


def held(parts: Parts) -> int:
    """How many deliveries are received and not yet settled."""
    return sum(len(leases.held) for _, leases in parts.state.leases)
