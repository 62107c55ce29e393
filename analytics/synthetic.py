"""Synthetic lakes for tests and benchmarks: seeded, skewed, late, repeated and partly broken."""

import gzip
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from analytics.engine import Partition
from schema.events import (
    DeliveryInfo,
    Failure,
    Meta,
    ParticipationProcessed,
    RequestFailed,
    Timestamps,
    encode,
)
from schema.names import LAKE_ROOT
from schema.states import EventType, FailureClass, ResultCode, Status

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000
_BURST_MS: Final = 90_000
_OBJECT_BYTES: Final = 1024 * 1024
"""The size at which Firehose closes an object (g1 §8.2)."""

MALFORMED: Final = (
    b'{"schemaVersion":1,"env":"dev","eventId":"event-',
    b"{not json}",
    b"",
    b"\xff\xfe\x00 binary",
    b'"a string"',
    b'{"schemaVersion":1,}',
)
"""Lines that are no event to Athena either, which reads `[1,2,3]` or `{…}}` as one."""
_CAUSES: Final = (
    (ResultCode.FAILED_WORKER, FailureClass.RETRYABLE, "ThrottlingException", "rate exceeded"),
    (ResultCode.FAILED_WORKER, FailureClass.RETRYABLE, "ReadTimeoutError", "no answer in 10 s"),
    (
        ResultCode.FAILED_EVENT_NOT_FOUND,
        FailureClass.NON_RETRYABLE,
        "EVENT_NOT_FOUND",
        "이벤트를 찾을 수 없습니다",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeSpec:
    """What the lake should hold; the ratios are of the requests."""

    requests: int
    first_day: date
    days: int = 3
    seed: int = 1
    event_ids: tuple[str, ...] = ("event-1", "event-2", "event-3", "event-4")
    skew: float = 0.7
    """The share of the requests that come in the seconds after their event opens."""
    capacity: int = 1_000
    """Seats of each event; the last event is a lottery and has none."""
    duplicate_ratio: float = 0.01
    malformed_ratio: float = 0.001
    late_ratio: float = 0.005
    """The share that arrives one to six hours after its completion."""
    failed_ratio: float = 0.004
    unreadable_ratio: float = 0.000_5
    """RequestFailed events; every other one of them has no ids."""
    empty_hours: frozenset[int] = frozenset({3, 4})
    """Hours of the day (UTC) in which nothing arrives: it comes later."""
    compressed: bool = False


@dataclass(slots=True)
class LakeSummary:
    """What was written, counted while writing."""

    lines: int = 0
    requests: int = 0
    repeated: int = 0
    malformed: int = 0
    unreadable: int = 0
    late: int = 0
    bytes: int = 0
    files: int = 0
    seats: Counter[str] = field(default_factory=Counter)


def generate(lake_dir: Path, spec: LakeSpec) -> LakeSummary:
    """Write a lake below a folder, object by object; the same spec gives the same bytes."""
    summary = LakeSummary()
    writer = _Writer(lake_dir, spec, summary)
    # Seeded on purpose: the same spec gives the same lake.
    chance = random.Random(spec.seed)  # noqa: S311
    for number in range(spec.requests):
        event = _request(number, spec, chance, summary)
        line = encode(event)
        arrival_ms = _arrival_ms(event.timestamps.finishedAt, spec, chance, summary)
        writer.add(arrival_ms, line)
        if chance.random() < spec.duplicate_ratio:
            summary.repeated += isinstance(event, ParticipationProcessed)
            writer.add(arrival_ms + chance.randint(30_000, 90_000), line)
        if chance.random() < spec.malformed_ratio:
            summary.malformed += 1
            writer.add(arrival_ms, chance.choice(MALFORMED))
    writer.close()
    return summary


def _request(
    number: int, spec: LakeSpec, chance: random.Random, summary: LakeSummary
) -> ParticipationProcessed | RequestFailed:
    # The first event is the most popular.
    which = min(int(chance.expovariate(0.7)), len(spec.event_ids) - 1)
    event_id = spec.event_ids[which]
    times, in_burst = _times(which, spec, chance)
    delivery = DeliveryInfo(
        attempt=1 + (chance.random() < 0.02) + (chance.random() < 0.005),  # noqa: PLR2004
        isDlq=chance.random() < 0.002,  # noqa: PLR2004
    )
    meta = Meta(workerId=f"worker-{chance.randrange(4)}")
    if chance.random() < spec.unreadable_ratio:
        summary.unreadable += 1
        known = number % 2 == 0
        return RequestFailed(
            env="dev",
            eventId=event_id if known else None,
            requestId=f"unreadable-{number}" if known else None,
            timestamps=times,
            delivery=delivery,
            failure=Failure(FailureClass.NON_RETRYABLE.value, "FIELD_MISSING", "userId is missing"),
            meta=meta,
        )
    summary.requests += 1
    is_lottery = which == len(spec.event_ids) - 1
    status, code, failure = _outcome(
        event_id, spec, chance, summary, in_burst=in_burst, is_lottery=is_lottery
    )
    return ParticipationProcessed(
        env="dev",
        eventId=event_id,
        requestId=f"{chance.getrandbits(128):032x}",
        eventType=(EventType.LOTTERY if is_lottery else EventType.FIRST_COME).value,
        finalStatus=status.value,
        resultCode=code.value,
        timestamps=times,
        delivery=delivery,
        failure=failure,
        meta=meta,
    )


def _times(which: int, spec: LakeSpec, chance: random.Random) -> tuple[Timestamps, bool]:
    """An event opens at its own hour of its own day; most clicks come right then."""
    start_ms = _epoch_ms(spec.first_day)
    in_burst = chance.random() < spec.skew
    if in_burst:
        # One of the events opens a minute before midnight, so that its lines cross it.
        opens_ms = (which % spec.days) * _DAY_MS + (
            _DAY_MS - _MINUTE_MS if which == 1 else (9 + 3 * which) * _HOUR_MS
        )
        waited = chance.random() ** 2 * _BURST_MS
        queued_ms = start_ms + opens_ms + int(waited)
        queue_delay = int(chance.lognormvariate(6.5, 0.8))
    else:
        queued_ms = start_ms + chance.randrange(spec.days * _DAY_MS)
        queue_delay = int(chance.lognormvariate(3.0, 0.6))
    if chance.random() < 0.002:  # noqa: PLR2004
        queue_delay += 60_000 * chance.randint(1, 5)
    started_ms = queued_ms + queue_delay
    return Timestamps(queued_ms, started_ms, started_ms + int(chance.lognormvariate(3.2, 0.5))), (
        in_burst
    )


def _outcome(
    event_id: str,
    spec: LakeSpec,
    chance: random.Random,
    summary: LakeSummary,
    *,
    in_burst: bool,
    is_lottery: bool,
) -> tuple[Status, ResultCode, Failure]:
    if chance.random() < spec.failed_ratio:
        code, failure_class, error_code, message = chance.choice(_CAUSES)
        return Status.FAILED_FINAL, code, Failure(failure_class.value, error_code, message)
    if is_lottery:
        return Status.SUCCEEDED, ResultCode.SUCCESS, Failure()
    if in_burst and summary.seats[event_id] < spec.capacity:
        summary.seats[event_id] += 1
        return Status.SUCCEEDED, ResultCode.SUCCESS, Failure()
    return Status.REJECTED, ResultCode.REJECTED_CAPACITY, Failure()


def _arrival_ms(
    finished_ms: int, spec: LakeSpec, chance: random.Random, summary: LakeSummary
) -> int:
    """The time that names the object's folder: its oldest record's, so it may be before ours."""
    if chance.random() < spec.late_ratio:
        summary.late += 1
        return finished_ms + chance.randint(_HOUR_MS, 6 * _HOUR_MS)
    return finished_ms + chance.randint(-30_000, 60_000)


class _Writer:
    """Buffers lines by partition and writes an object whenever one is full."""

    def __init__(self, lake_dir: Path, spec: LakeSpec, summary: LakeSummary) -> None:
        self._root = lake_dir / LAKE_ROOT.rstrip("/")
        self._spec = spec
        self._summary = summary
        self._buffers: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._numbers: Counter[Partition] = Counter()

    def add(self, arrival_ms: int, line: bytes) -> None:
        hour = arrival_ms // _HOUR_MS
        while hour % 24 in self._spec.empty_hours:
            hour += 1
        buffer = self._buffers[hour]
        buffer += line
        buffer += b"\n"
        self._summary.lines += 1
        if len(buffer) >= _OBJECT_BYTES:
            self._write(hour)

    def close(self) -> None:
        for hour in list(self._buffers):
            self._write(hour)

    def _write(self, hour: int) -> None:
        content = self._buffers.pop(hour)
        at = datetime.fromtimestamp(hour * 3600, tz=UTC)
        partition = Partition(f"{at:%Y-%m-%d}", f"{at:%H}")
        folder = self._root / f"dt={partition.dt}" / f"hour={partition.hour}"
        folder.mkdir(parents=True, exist_ok=True)
        self._numbers[partition] += 1
        name = f"participation-1-{at:%Y-%m-%d-%H}-00-00-{self._numbers[partition]:05d}"
        self._summary.bytes += len(content)
        self._summary.files += 1
        if self._spec.compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, compresslevel=1, mtime=0))
        else:
            (folder / name).write_bytes(content)


def _epoch_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
