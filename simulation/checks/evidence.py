"""Checks of the events: what is published is what is stored, and all of it reaches the lake."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from schema import events, names
from simulation.checks.requests import RequestChecks
from simulation.checks.verdict import Verdict
from simulation.trace import Trace


class EvidenceChecks:
    """Follows every event from the bus to the lake."""

    def __init__(self, trace: Trace, verdict: Verdict, requests: RequestChecks, env: str) -> None:
        self._trace = trace
        self._broken = verdict.broken
        self._requests = requests
        self._env = env
        self.published: Counter[str] = Counter()
        """How often each request's event was published."""
        self.failed = 0
        """RequestFailed events."""
        self.delivered = 0

    def accepted(self, caller: str, entry: Mapping[str, Any]) -> None:
        """Check that an event says what the table says."""
        kind, detail = entry["DetailType"], str(entry["Detail"])
        if kind == names.REQUEST_FAILED:
            self.failed += 1
            self._trace.note(caller, "a RequestFailed event")
            return
        if kind != names.PARTICIPATION_PROCESSED:
            return
        request_id = str(orjson.loads(detail)["requestId"])
        self._trace.note(caller, f"event of request {request_id}")
        self.published[request_id] += 1
        item = self._requests.items.get(request_id)
        if item is None or not item.status.is_final:
            self._broken("evidence", f"request {request_id} is published undecided", request_id)
        elif detail.encode() != events.encode(events.participation_processed(item, env=self._env)):
            text = f"the event of request {request_id} does not say what is stored: {detail}"
            self._broken("evidence", text, request_id)

    @property
    def undelivered(self) -> int:
        """Events that the bus accepted and the lake has not taken."""
        return self.published.total() + self.failed - self.delivered

    def delivered_record(self, record: bytes) -> None:
        """Count what the lake takes, and check that it is one line of JSON."""
        self.delivered += 1
        if b"\n" in record.rstrip(b"\n"):
            self._broken("lake", f"a record of several lines: {record[:200]!r}")
