"""What a worker is made of: settings and adapters handed in, and the state that others watch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import structlog

from aws.bus import Bus
from aws.errors import Fatal
from aws.queue import Queue
from aws.table import Table
from config.settings import WorkerSettings
from runtime.stop import Stop
from worker.leases import Leases
from worker.metrics import WorkerMetrics

log = structlog.get_logger("worker")


@dataclass(slots=True)
class Poller:
    """One poller's state, for the health check."""

    polling_since: float | None = None
    """Event loop time at which the poll under way began."""
    ended: bool = False


@dataclass(slots=True)
class Tally:
    """How many deliveries were settled, handed back and retried, for the closing log line."""

    settled: int = 0
    returned: int = 0
    retried: int = 0


@dataclass(slots=True, kw_only=True)
class State:
    """What the daemon and the health checks see of a running pipeline."""

    pollers: list[Poller] = field(default_factory=list)
    leases: list[tuple[Queue, Leases]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    is_ready: bool = False
    """Whether all was found that the worker needs."""
    max_receive_count: int | None = None
    """The main queue's redrive policy; None where it has none."""
    failure: Fatal | None = None
    """Why the worker can't go on; it still drains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that the stages share."""

    settings: WorkerSettings
    worker_id: str
    queue: Queue
    dlq: Queue
    table: Table
    bus: Bus
    lost_events: Queue | None = None
    """Where events go that could not be published."""
    metrics: WorkerMetrics
    clock: Callable[[], int]
    """Epoch milliseconds."""
    random: Random = field(default_factory=Random)
    """All that this worker leaves to chance: the jitter of its waits, its idempotency tokens.

    No two workers of one table, and no two runs of one, may draw the same numbers: a token used
    again within ten minutes commits nothing, or is refused for its other payload.
    """
    stop: Stop = field(default_factory=Stop)
    state: State = field(default_factory=State)

    def fail(self, error: Fatal) -> None:
        """Stop for an error that only an operator can resolve; what is under way still drains.

        Nothing is cancelled: a poll cut off in the middle would go on at the service and take
        back the very messages that the drain returns.
        """
        if self.state.failure is None:
            self.state.failure = error
            log.error("cannot_go_on", error=str(error))
        self.stop.request()
