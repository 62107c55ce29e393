"""Follows what runs: log lines, records, readings and actions become the page's next snapshot."""

from collections import Counter as Counts
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from local.firehose.delivery import Delivered
from local.live.readings import Depth, Readings
from local.live.snapshot import SERVICES, Burst, Check, Fault, Happening, Snapshot, Tone
from local.live.tally import Tally
from schema.items import Capacity

_COURSE_S: Final = 120
_HAPPENINGS: Final = 12
_ACCEPTED: Final = "202"
_QUIET_S: Final = 10
"""Clicks from elsewhere after so long without are reported again."""


class Counter:
    """A program's counter that goes on where a restart sets the program's own back to zero."""

    def __init__(self) -> None:
        self.total = 0.0
        self._last = 0.0

    def read(self, value: float) -> float:
        """Take a reading; returns by how much the counter has grown since the last one."""
        grown = value if value < self._last else value - self._last
        self._last = value
        self.total += grown
        return grown


class Live:
    """What the page knows; `clock` gives epoch milliseconds."""

    def __init__(self, event_id: str, hidden_at_most_s: int, clock: Callable[[], int]) -> None:
        self.tally = Tally(event_id)
        self.lost_ids: set[str] = set()
        """Requests whose analytics events were lost, republished or not."""
        self.faults: tuple[Fault, ...] = ()
        self.burst: Burst | None = None
        self.own_clicks = 0
        """Clicks of this page that were accepted; a burst's are added at its end."""
        self._others_clicks = 0
        self._others_quiet_s = _QUIET_S
        self.is_checking = False
        self.checks: tuple[Check, ...] = ()
        self._hidden_at_most_s = hidden_at_most_s
        self._clock = clock
        self._happenings: deque[Happening] = deque(maxlen=_HAPPENINGS)
        self._happened = 0
        self._many: Counts[str] = Counts()
        """What may happen often within a second, and is reported once."""
        self._course: deque[tuple[int, int, int]] = deque(maxlen=_COURSE_S)
        self._worker_starts = 0
        self._worker_is_running = False
        self._paused: dict[str, int] = {}
        self._away: set[str] = set()
        self._pauses = 0
        self._paused_ms = 0
        self._clicks = {"accepted": Counter(), "refused": Counter()}
        self._clicks_before = {"accepted": 0.0, "refused": 0.0}
        self._settled, self._lost, self._calls = Counter(), Counter(), Counter()
        self._busy_calls = self._busy_messages = 0.0
        self._decided = 0
        self._queue, self._dlq, self._kept = Depth(), Depth(), Depth()
        self._capacity: Capacity | None = None
        self._is_closed = False

    @property
    def kept(self) -> int:
        """Lost events on their queue."""
        return self._kept.total

    def begin(self, event_id: str) -> None:
        """Follow another event."""
        self.tally = Tally(event_id)
        self.checks = ()
        self._capacity, self._is_closed = None, False
        self._clicks_before = {name: counter.total for name, counter in self._clicks.items()}
        self._busy_calls = self._busy_messages = 0.0
        self._decided = 0

    def happened(self, text: str, tone: Tone = Tone.CALM) -> None:
        """Add something to what spectators are shown."""
        self._happened += 1
        self._happenings.append(Happening(self._happened, self._clock(), tone, text))

    def on_line(self, program: str, fields: Mapping[str, Any]) -> None:
        """Take a program's log line."""
        service = str(fields.get("service"))
        match fields.get("event"):
            case "service_away":
                self._away.add(service)
            case "service_back":
                self._away.discard(service)
            case "publish_failed":
                lost = fields.get("request_ids", ())
                self.lost_ids.update(lost)
                self._many["Events that could not be published"] += len(lost)
            case "message_quarantined":
                self._many["Messages moved to the dead-letter queue"] += 1
            case event if program == "worker":
                self._on_worker(str(event), service)

    def _on_worker(self, event: str, service: str) -> None:
        """Follow the worker from its start to its end."""
        name = SERVICES.get(service, service)
        match event:
            case "worker_started":
                self._worker_starts += 1
                self._worker_is_running = True
                if self._worker_starts > 1:
                    self.happened("The worker runs again.", Tone.GOOD)
            case "worker_ended":
                self._worker_is_running = False
                for away in tuple(self._paused):
                    self._resume(away)
                self.happened("The worker is gone; another one is started.", Tone.BAD)
            case "worker_paused":
                self._pauses += 1
                self._paused[service] = self._clock()
                self.happened(f"The worker pauses: {name} does not answer.", Tone.WARN)
            case "worker_resumed":
                self._resume(service)
                self.happened(f"{name} answers again; the worker goes on.", Tone.GOOD)

    def on_record(self, record: str) -> None:
        """Take a record on its way to the lake."""
        self.tally.add(record)

    def read(self, readings: Readings) -> None:
        """Take a second's readings."""
        for text, count in self._many.items():
            self.happened(f"{text}: {count:,}.", Tone.WARN)
        self._many.clear()
        clicks = self._read_clicks(readings)
        self._notice_others()
        self._read_worker(readings)
        self._queue = readings.queue or self._queue
        self._dlq = readings.dlq or self._dlq
        self._kept = readings.lost_events or self._kept
        if readings.event is not None:
            self._capacity = readings.event.capacity or self._capacity
            config = readings.event.config
            closes_at = None if config is None else config.closes_at_ms
            self._is_closed = closes_at is not None and closes_at <= self._clock()
        decided = self.tally.outcomes.total()
        self._course.append((clicks, decided - self._decided, self._queue.total))
        self._decided = decided

    def snapshot(self, lake: Delivered) -> Snapshot:
        """The state of this moment."""
        now = self._clock()
        outcomes, capacity = self.tally.outcomes, self._capacity
        clicks = {
            name: round(counter.total - self._clicks_before[name])
            for name, counter in self._clicks.items()
        }
        return Snapshot(
            at_ms=now,
            event_id=self.tally.event_id,
            seats=0 if capacity is None else capacity.total,
            seats_left=0 if capacity is None else capacity.remaining,
            is_closed=self._is_closed,
            clicks_accepted=clicks["accepted"],
            clicks_refused=clicks["refused"],
            succeeded=outcomes["succeeded"],
            rejected=outcomes["rejected"],
            failed=outcomes["failed"],
            unpublished=round(self._lost.total),
            waiting=self._queue.waiting,
            held=self._queue.held,
            hidden_at_most_s=self._hidden_at_most_s,
            dlq=self._dlq.total,
            kept=self.kept,
            delays=self.tally.delays,
            calls_a_message=(
                self._busy_calls / self._busy_messages if self._busy_messages else None
            ),
            worker_is_running=self._worker_is_running,
            worker_starts=self._worker_starts,
            paused=tuple(self._paused),
            away=tuple(sorted(self._away)),
            pauses=self._pauses,
            paused_s=(self._paused_ms + sum(now - since for since in self._paused.values())) / 1000,
            lake_files=lake.objects,
            lake_events=lake.records,
            lake_bytes=lake.bytes,
            faults=self.faults,
            burst=self.burst,
            is_checking=self.is_checking,
            checks=self.checks,
            latest=self.tally.latest,
            happenings=tuple(self._happenings),
            course=tuple(self._course),
        )

    def _resume(self, service: str) -> None:
        self._paused_ms += self._clock() - self._paused.pop(service, self._clock())

    def _read_clicks(self, readings: Readings) -> int:
        if readings.ingest is None:
            return 0
        answers = [
            sample
            for sample in readings.ingest.samples
            if sample.name == "ingest_requests_total" and sample.labels["route"] == "participate"
        ]
        total = sum(answer.value for answer in answers)
        accepted = sum(a.value for a in answers if a.labels["status"] == _ACCEPTED)
        self._clicks["refused"].read(total - accepted)
        return round(self._clicks["accepted"].read(accepted))

    def _notice_others(self) -> None:
        """Report when clicks begin to arrive that no button of the page has sent."""
        if self.burst is not None:
            return
        others = round(self._clicks["accepted"].total) - self.own_clicks
        if others <= self._others_clicks:
            self._others_quiet_s += 1
            return
        if self._others_quiet_s >= _QUIET_S:
            self.happened("Clicks arrive from elsewhere: not from this page's buttons.")
        self._others_clicks, self._others_quiet_s = others, 0

    def _read_worker(self, readings: Readings) -> None:
        if readings.worker is None:
            return
        settled = self._settled.read(readings.worker.total("worker_messages_settled_total"))
        calls = self._calls.read(readings.worker.total("aws_call_seconds_count"))
        self._lost.read(readings.worker.total("worker_publish_failures_total"))
        if settled:
            # An idle worker's polls are no message's calls.
            self._busy_calls += calls
            self._busy_messages += settled
