"""What must exist before a program starts: all that is wrong is reported together."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio
import structlog

from aws.errors import AwsError, Transient
from aws.queue import Queue

Check = Callable[[], Awaitable[object]]
"""Returns if the thing exists; raises AwsError."""

log = structlog.get_logger("start")


@dataclass(slots=True)
class Missing:
    """One line for each check that failed."""

    wrong: list[str] = field(default_factory=list)
    """What only an operator can resolve."""
    away: list[str] = field(default_factory=list)
    """What did not answer for the moment."""


def of_lost_events(queue: Queue | None) -> Mapping[tuple[str, str], Check]:
    """The check of the queue of lost events, if there is to be one.

    A program can do without it for now: while SQS does not answer, it passes with a warning.
    """
    if queue is None:
        return {}

    async def check() -> None:
        try:
            await queue.describe()
        except Transient as error:
            log.warning("lost_events_queue_unreachable", url=queue.url, error=str(error))

    return {("LOST_EVENTS_QUEUE_URL", queue.url): check}


async def missing(checks: Mapping[tuple[str, str], Check]) -> Missing:
    """Make all checks concurrently.

    A check's key is the variable that names the thing, and its value.
    """
    found = Missing()

    async def check(variable: str, value: str, is_there: Check) -> None:
        try:
            await is_there()
        except AwsError as error:
            lines = found.away if isinstance(error, Transient) else found.wrong
            lines.append(
                f"{variable}={value}: {error.operation} failed with {error.code}: {error.message}"
            )

    async with anyio.create_task_group() as tasks:
        for (variable, value), is_there in checks.items():
            tasks.start_soon(check, variable, value, is_there)
    found.wrong.sort()
    found.away.sort()
    return found
