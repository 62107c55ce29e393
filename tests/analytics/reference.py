"""Every query's answer computed in plain Python from the files, without any SQL."""

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from sys import intern
from typing import Any, Final, NamedTuple

from analytics.parameters import Parameters

Rows = list[tuple[Any, ...]]
LAST: Final = 2**63
"""Sorts as NULL does: after everything."""


class Line(NamedTuple):
    """One line of the lake."""

    dt: str
    hour: str
    is_event: bool
    event_id: str | None = None
    request_id: str | None = None
    event_type: str | None = None
    status: str | None = None
    code: str | None = None
    queued: int | None = None
    started: int | None = None
    finished: int | None = None
    attempt: int | None = None
    is_dlq: bool | None = None
    failure_class: str | None = None
    error_code: str | None = None
    message: str | None = None


class Lake:
    """All lines of a folder, filtered as the statements do it."""

    def __init__(self, folder: Path) -> None:
        self.lines = [
            _line(path.parent.parent.name[3:], path.parent.name[5:], raw)
            for path in sorted((folder / "events").glob("dt=*/hour=*/*"))
            for raw in path.read_bytes().splitlines()
        ]

    def arrived(self, p: Parameters) -> list[Line]:
        return self._between(p, str(p.dt_from), str(p.dt_to))

    def scanned(self, p: Parameters) -> list[Line]:
        return self._between(p, str(p.scan_from), str(p.scan_to))

    def _between(self, p: Parameters, first: str, last: str) -> list[Line]:
        return [
            line
            for line in self.lines
            if first <= line.dt <= last and (p.event_id is None or line.event_id == p.event_id)
        ]


def _line(dt: str, hour: str, raw: bytes) -> Line:
    dt, hour = intern(dt), intern(hour)
    try:
        value = json.loads(raw)
    except ValueError:
        return Line(dt, hour, is_event=False)
    if not isinstance(value, dict) or "schemaVersion" not in value:
        return Line(dt, hour, is_event=False)
    times, delivery, failure = value["timestamps"], value["delivery"], value["failure"]
    return Line(
        dt,
        hour,
        True,  # noqa: FBT003
        value["eventId"] and intern(value["eventId"]),
        value["requestId"],
        value["eventType"] and intern(value["eventType"]),
        intern(value["finalStatus"]),
        intern(value["resultCode"]),
        times["queuedAt"],
        times["startedAt"],
        times["finishedAt"],
        delivery["attempt"],
        delivery["isDlq"],
        failure["failureClass"],
        failure["errorCode"],
        failure["errorMessage"],
    )


def at(ms: int | None, step_ms: int) -> datetime | None:
    """The beginning of a step of time."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms // step_ms * step_ms // 1000, tz=UTC)


def percentile(values: Iterable[int | None], percent: int) -> int | None:
    """The nearest-rank percentile."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return known[-(-percent * len(known) // 100) - 1]


def ratio(part: int, whole: int) -> float:
    """A percentage of two digits."""
    exact = Decimal(part * 100) / Decimal(whole)
    return float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


def queue_delay(line: Line) -> int | None:
    return None if line.started is None or line.queued is None else line.started - line.queued


def e2e_delay(line: Line) -> int | None:
    return None if line.finished is None or line.queued is None else line.finished - line.queued


def once(lines: Iterable[Line]) -> list[Line]:
    """One line per request: a decision first, then the earliest; lines without an id all."""
    best: dict[str, Line] = {}
    rest: list[Line] = []
    for line in lines:
        if not line.is_event:
            continue
        if line.request_id is None:
            rest.append(line)
            continue
        known = best.get(line.request_id)
        if known is None or _rank(line) < _rank(known):
            best[line.request_id] = line
    return [*best.values(), *rest]


def _rank(line: Line) -> tuple[bool, int, str, str]:
    return (
        line.event_type is None,
        LAST if line.finished is None else line.finished,
        line.dt,
        line.hour,
    )


def _by_arrival_minute(lines: list[Line], time: Callable[[Line], int | None]) -> Rows:
    counts = Counter((line.dt, line.hour, at(time(line), 60_000)) for line in lines)
    rows = [(*key, count) for key, count in counts.items()]
    rows.sort(key=lambda row: (row[0], row[1]), reverse=True)
    rows.sort(key=lambda row: row[2].timestamp() if row[2] else -LAST, reverse=True)
    return rows


def traffic(lake: Lake, p: Parameters) -> Rows:
    return _by_arrival_minute(lake.arrived(p), lambda line: line.queued)


def throughput(lake: Lake, p: Parameters) -> Rows:
    return _by_arrival_minute(lake.arrived(p), lambda line: line.finished)


def result_distribution(lake: Lake, p: Parameters) -> Rows:
    lines = lake.arrived(p)
    counts = Counter((line.code, line.is_dlq) for line in lines)
    rows = [(code, dlq, n, ratio(n, len(lines))) for (code, dlq), n in counts.items()]
    return sorted(rows, key=lambda r: (-r[2], r[0] is None, r[0] or "", r[1] is None, r[1]))


def dlq_share(lake: Lake, p: Parameters) -> Rows:
    lines = [line for line in lake.arrived(p) if line.is_event]
    dlq = sum(bool(line.is_dlq) for line in lines)
    return [(len(lines), dlq, ratio(dlq, len(lines)) if lines else None)]


def p95_delay(lake: Lake, p: Parameters) -> Rows:
    groups: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lake.arrived(p):
        if line.event_id is not None:
            groups[line.event_id].append(line)
    return [
        (event, percentile(map(queue_delay, lines), 95), percentile(map(e2e_delay, lines), 95))
        for event, lines in sorted(groups.items())
    ]


def p95_delay_overall(lake: Lake, p: Parameters) -> Rows:
    lines = lake.arrived(p)
    queue = [delay for delay in map(queue_delay, lines) if delay is not None]
    e2e = [delay for delay in map(e2e_delay, lines) if delay is not None]
    return [
        (
            len(e2e),
            *(percentile(queue, percent) for percent in (50, 95, 99)),
            max(queue, default=None),
            *(percentile(e2e, percent) for percent in (50, 95, 99)),
            max(e2e, default=None),
        )
    ]


def negative_delays(lake: Lake, p: Parameters) -> Rows:
    return [(sum(_runs_backwards(line) for line in lake.arrived(p)),)]


def _runs_backwards(line: Line) -> bool:
    times = (line.queued, line.started, line.finished)
    pairs = ((0, 1), (1, 2), (0, 2))
    return any(
        earlier is not None and later is not None and later < earlier
        for earlier, later in ((times[a], times[b]) for a, b in pairs)
    )


def missing_timestamps(lake: Lake, p: Parameters) -> Rows:
    lines = lake.arrived(p)
    return [(sum(None in (line.queued, line.started, line.finished) for line in lines),)]


def malformed_lines(lake: Lake, p: Parameters) -> Rows:
    counts = Counter(
        (line.dt, line.hour)
        for line in lake.lines
        if not line.is_event and str(p.dt_from) <= line.dt <= str(p.dt_to)
    )
    return [(*key, count) for key, count in sorted(counts.items())]


def totals(lake: Lake, p: Parameters) -> Rows:
    malformed = sum(row[2] for row in malformed_lines(lake, p))
    events = [line for line in lake.arrived(p) if line.is_event]
    ids = [line.request_id for line in events if line.request_id is not None]
    return [
        (
            len(events) + malformed,
            malformed,
            len(set(ids)) + len(events) - len(ids),
            len(ids) - len(set(ids)),
            len({line.event_id for line in events} - {None}),
            at(min((q for line in events if (q := line.queued) is not None), default=None), 1000),
            at(max((f for line in events if (f := line.finished) is not None), default=None), 1000),
        )
    ]


def _per_step(lake: Lake, p: Parameters, step_ms: int, field: str) -> Rows:
    ids: defaultdict[int, set[str]] = defaultdict(set)
    nameless: Counter[int] = Counter()
    for line in lake.scanned(p):
        time = getattr(line, field)
        if time is None or not p.from_ms <= time < p.to_ms:
            continue
        step = time // step_ms
        if line.request_id is None:
            nameless[step] += 1
        else:
            ids[step].add(line.request_id)
    steps = sorted({*ids, *nameless})
    return [(at(step * step_ms, step_ms), len(ids[step]) + nameless[step]) for step in steps]


def _backlog(lake: Lake, p: Parameters, step_ms: int) -> Rows:
    arrivals: Counter[int] = Counter()
    completions: Counter[int] = Counter()
    steps: set[int] = set()
    before = 0
    within = [
        line
        for line in lake.scanned(p)
        if line.finished is not None
        and line.queued is not None
        and line.finished >= p.from_ms
        and line.queued < p.to_ms
    ]
    for line in once(within):
        assert line.queued is not None
        assert line.finished is not None
        if line.queued < p.from_ms:
            before += 1
            steps.add(p.from_ms // step_ms)
        else:
            arrivals[line.queued // step_ms] += 1
        if line.finished < p.to_ms:
            completions[line.finished // step_ms] += 1
    level = before
    rows: Rows = []
    for step in sorted({*arrivals, *completions, *steps}):
        level += arrivals[step] - completions[step]
        rows.append((at(step * step_ms, step_ms), arrivals[step], completions[step], level))
    return rows


def _delay_percentiles(lake: Lake, p: Parameters, step_ms: int) -> Rows:
    groups: defaultdict[int, list[Line]] = defaultdict(list)
    for line in lake.scanned(p):
        if line.queued is not None and p.from_ms <= line.queued < p.to_ms:
            groups[line.queued // step_ms].append(line)
    return [
        (
            at(step * step_ms, step_ms),
            len(lines),
            *(percentile(map(queue_delay, lines), percent) for percent in (50, 95, 99)),
            *(percentile(map(e2e_delay, lines), percent) for percent in (50, 95, 99)),
        )
        for step, lines in sorted(groups.items())
    ]


def delay_histogram(lake: Lake, p: Parameters) -> Rows:
    starts = [0, *(n * 10**power for power in range(7) for n in (1, 2, 5)), 10_000_000]
    counts: Counter[tuple[str, int]] = Counter()
    for line in lake.arrived(p):
        for name, delay in (("queue", queue_delay(line)), ("e2e", e2e_delay(line))):
            if delay is not None:
                start = -1 if delay < 0 else starts[bisect_right(starts, delay) - 1]
                counts[name, start] += 1
    return [(*key, count) for key, count in sorted(counts.items())]


def failure_causes(lake: Lake, p: Parameters) -> Rows:
    groups: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    for line in once(lake.arrived(p)):
        if line.status == "FAILED_FINAL":
            groups[line.code, line.failure_class, line.error_code].append(line.message or "")
    rows = [(*key, len(messages), min(messages)) for key, messages in groups.items()]
    return sorted(rows, key=lambda row: (-row[3], row[0], row[1], row[2]))


def seats(lake: Lake, p: Parameters) -> Rows:
    groups: defaultdict[str, list[Line]] = defaultdict(list)
    for line in once(line for line in lake.arrived(p) if line.event_type == "FIRST_COME"):
        groups[line.event_id or ""].append(line)
    rows: Rows = []
    for event, lines in sorted(groups.items()):
        given = [line for line in lines if line.status == "SUCCEEDED"]
        rows.append(
            (
                event,
                len(given),
                p.capacity,
                None if p.capacity is None else len(given) - p.capacity,
                sum(line.code == "REJECTED_CAPACITY" for line in lines),
                at(max((line.finished or 0 for line in given), default=None), 1000),
            )
        )
    return rows


def overtaking(lake: Lake, p: Parameters) -> Rows:
    groups: defaultdict[str, list[Line]] = defaultdict(list)
    for line in once(line for line in lake.arrived(p) if line.event_type == "FIRST_COME"):
        if line.status == "SUCCEEDED" or line.code == "REJECTED_CAPACITY":
            groups[line.event_id or ""].append(line)
    found = {event: _overtaken(lines) for event, lines in sorted(groups.items())}
    rows: Rows = [(event, *counts) for event, counts in found.items()]
    if found:
        winners, late, most_ms, swapped = zip(*found.values(), strict=True)
        rows.append((None, sum(winners), sum(late), max(most_ms), sum(swapped)))
    return [(*row[:3], ratio(row[2], row[1]) if row[1] else None, *row[3:]) for row in rows]


def _overtaken(lines: list[Line]) -> tuple[int, int, int, int]:
    """Winners; those queued after a loser; the longest time after; seats that others should get."""
    won = sorted(line.queued for line in lines if line.status == "SUCCEEDED" and line.queued)
    lost = sorted(line.queued for line in lines if line.status != "SUCCEEDED" and line.queued)
    late_ms = [winner - lost[0] for winner in won if lost and winner > lost[0]]
    # Of the pairs of the n-th loser and the n-th winner from behind, those that should be swapped.
    swapped = sum(loser < winner for loser, winner in zip(lost, reversed(won), strict=False))
    return len(won), len(late_ms), max(late_ms, default=0), swapped


def retries(lake: Lake, p: Parameters) -> Rows:
    lines = once(lake.arrived(p))
    groups: defaultdict[int, list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.attempt or 0].append(line)
    return [
        (
            attempt,
            len(group),
            ratio(len(group), len(lines)),
            sum(bool(line.is_dlq) for line in group),
            sum(line.status == "FAILED_FINAL" for line in group),
        )
        for attempt, group in sorted(groups.items())
    ]


def duplicate_publications(lake: Lake, p: Parameters) -> Rows:
    groups: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lake.arrived(p):
        if line.request_id is not None:
            groups[line.request_id].append(line)
    by_size: defaultdict[int, list[bool]] = defaultdict(list)
    for lines in groups.values():
        decisions = {
            (line.status, line.code, line.queued, line.finished)
            for line in lines
            if line.event_type is not None
        }
        by_size[len(lines)].append(len(decisions) > 1)
    return [
        (size, len(differ), (size - 1) * len(differ), sum(differ))
        for size, differ in sorted(by_size.items())
    ]


def arrival_lag(lake: Lake, p: Parameters) -> Rows:
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for line in lake.arrived(p):
        if line.finished is not None:
            named = datetime.fromisoformat(f"{line.dt}T{line.hour}:00:00+00:00")
            lag = int(named.timestamp()) // 3600 - line.finished // 3_600_000
            groups[line.dt, line.hour].append(lag)
    return [
        (
            *key,
            len(lags),
            sum(lag < 0 for lag in lags),
            sum(lag == 0 for lag in lags),
            sum(lag > 0 for lag in lags),
            max(lags),
        )
        for key, lags in sorted(groups.items())
    ]


def partitions(lake: Lake, p: Parameters) -> Rows:
    return sorted(
        {(line.dt, line.hour) for line in lake.lines if str(p.dt_from) <= line.dt <= str(p.dt_to)}
    )


ANSWERS: Final[dict[str, Callable[[Lake, Parameters], Rows]]] = {
    answer.__name__: answer
    for answer in (
        traffic,
        throughput,
        result_distribution,
        dlq_share,
        p95_delay,
        p95_delay_overall,
        negative_delays,
        missing_timestamps,
        malformed_lines,
        totals,
        delay_histogram,
        failure_causes,
        seats,
        overtaking,
        retries,
        duplicate_publications,
        arrival_lag,
        partitions,
    )
} | {
    "traffic_per_minute": lambda lake, p: _per_step(lake, p, 60_000, "queued"),
    "traffic_per_second": lambda lake, p: _per_step(lake, p, 1_000, "queued"),
    "throughput_per_minute": lambda lake, p: _per_step(lake, p, 60_000, "finished"),
    "throughput_per_second": lambda lake, p: _per_step(lake, p, 1_000, "finished"),
    "backlog_per_minute": lambda lake, p: _backlog(lake, p, 60_000),
    "backlog_per_second": lambda lake, p: _backlog(lake, p, 1_000),
    "delay_percentiles_per_minute": lambda lake, p: _delay_percentiles(lake, p, 60_000),
    "delay_percentiles_per_second": lambda lake, p: _delay_percentiles(lake, p, 1_000),
}
