"""Counts one event's decisions from their analytics events, each request once."""

from collections import Counter, deque
from typing import Final

import orjson

from local.live.snapshot import Decision, Delays

_SHOWN: Final = 8
_MEASURED: Final = 1_000
_OUTCOMES: Final = {"SUCCESS": "succeeded", "REJECTED": "rejected", "FAILED": "failed"}


class Tally:
    """One event's decisions; a worker that is killed cannot make it forget any."""

    def __init__(self, event_id: str) -> None:
        self.event_id = event_id
        self.outcomes: Counter[str] = Counter()
        """Requests by `succeeded`, `rejected` and `failed`."""
        self.request_ids: set[str] = set()
        self._latest: deque[Decision] = deque(maxlen=_MEASURED)

    def add(self, record: str) -> None:
        """Take an analytics event as the lake gets it; other events and repetitions are left."""
        event = orjson.loads(record)
        code, request_id = event.get("resultCode"), event.get("requestId")
        if event.get("eventId") != self.event_id or not code or request_id in self.request_ids:
            return
        self.request_ids.add(request_id)
        self.outcomes[_OUTCOMES.get(code.partition("_")[0], "failed")] += 1
        times = event["timestamps"]
        queued_at = times["queuedAt"]
        self._latest.append(
            Decision(
                times["finishedAt"],
                request_id,
                code,
                times["startedAt"] - queued_at,
                times["finishedAt"] - queued_at,
            )
        )

    @property
    def latest(self) -> tuple[Decision, ...]:
        """The latest decisions, the youngest first."""
        return tuple(list(self._latest)[: -_SHOWN - 1 : -1])

    @property
    def delays(self) -> Delays | None:
        """The percentiles of the latest 1,000 decisions; None before the first."""
        if not self._latest:
            return None
        queue = sorted(decision.queue_ms for decision in self._latest)
        e2e = sorted(decision.e2e_ms for decision in self._latest)
        return Delays(
            len(queue),
            percentile(queue, 50),
            percentile(queue, 95),
            percentile(e2e, 50),
            percentile(e2e, 95),
        )


def percentile(ordered: list[int], percent: int) -> int:
    """The nearest-rank percentile of ordered values, of which there is at least one."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
