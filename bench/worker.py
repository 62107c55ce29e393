"""The worker against its peers: which measurements make a run, in which order, and the tables."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import median
from typing import Final

from bench import go
from bench.contestants import (
    CELERY,
    LOAFER,
    NAIVE,
    NO_OPS,
    OURS,
    OURS_NO_OP,
    OURS_ON_THE_SDK,
    PIPELINES,
    TASKIQ,
    THREADS,
    Contestant,
)
from bench.measure import Arena, Measurement, Scenario
from bench.report import Section, Table, spread

LATENCIES_MS: Final = (0.0, 15.0)
SEATS: Final = ("all seats", "sold out", "mixed")
BATCHES: Final = (10, 25, 50, 99)
DEFAULT_BATCH: Final = 50
_MIXED: Final = "mixed"
_MAX_STUB: Final = 0.7
"""How busy AWS's stand-in may be, as a share of its core."""
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement to make."""

    contestant: Contestant
    scenario: Scenario
    batch: int = DEFAULT_BATCH

    @property
    def label(self) -> str:
        """What the progress line says."""
        parts = [self.contestant.name, f"{self.scenario.latency_ms:g} ms", self.scenario.seats]
        if self.contestant.uses_batches:
            parts.append(f"batch {self.batch}")
        return ", ".join(parts)


def short_tasks(runs: int) -> list[Task]:
    """The measurements of the short version; contestants take turns within each run."""
    mixed = [Scenario(latency_ms, _MIXED) for latency_ms in LATENCIES_MS]
    main = [Task(contestant, scenario) for scenario in mixed for contestant in PIPELINES]
    main += [Task(contestant, scenario) for scenario in mixed for contestant in NO_OPS]
    others = [Task(OURS, mixed[0], batch) for batch in BATCHES if batch != DEFAULT_BATCH]
    others += [Task(OURS, Scenario(0.0, seats)) for seats in SEATS if seats != _MIXED]
    return main * runs + others


def full_tasks(runs: int) -> list[Task]:
    """Every combination; contestants take turns within each run."""
    once: list[Task] = []
    for latency_ms in LATENCIES_MS:
        for seats in SEATS:
            scenario = Scenario(latency_ms, seats)
            # Those that are compared come one after the other.
            for batch in BATCHES:
                once += [
                    Task(contestant, scenario, batch)
                    for contestant in PIPELINES
                    if contestant.uses_batches or batch == DEFAULT_BATCH
                ]
    once += [
        Task(contestant, Scenario(latency_ms, _MIXED))
        for latency_ms in LATENCIES_MS
        for contestant in NO_OPS
    ]
    return once * runs


def run(tasks: Sequence[Task], arena: Arena, on_task: Callable[[str], None]) -> list[Measurement]:
    """Make the measurements one by one; `on_task` gets what is measured next.

    One in which AWS's stand-in was too busy to be out of the way is made again.
    """
    found: list[Measurement] = []
    for task in tasks:
        on_task(task.label)
        for _ in range(_TRIES):
            measurement = arena.measure(task.contestant, task.scenario, task.batch)
            if measurement.stub_utilisation < _MAX_STUB:
                break
        found.append(measurement)
    return found


class Results:
    """Measurements by what was measured, in the order of their runs."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self.all = measurements
        self._found: dict[tuple[str, float, str, int | None], list[Measurement]] = {}
        for m in measurements:
            key = (m.contestant, m.latency_ms, m.seats, m.batch)
            self._found.setdefault(key, []).append(m)

    def of(
        self, contestant: Contestant, latency_ms: float, seats: str = _MIXED, batch: int = 50
    ) -> list[Measurement]:
        """One combination's runs; empty where it was not measured."""
        size = batch if contestant.uses_batches else None
        return self._found.get((contestant.name, latency_ms, seats, size), [])


def floor_of(contestant: Contestant) -> Contestant:
    """The bare loop with which a program is compared: it uses the same client."""
    return next(other for other in PIPELINES if other.name == contestant.floor)


def ratio(
    over: Sequence[Measurement],
    under: Sequence[Measurement],
    value: Callable[[Measurement], float],
) -> str:
    """`median_ratio` as text; empty where one of them was not measured."""
    return f"{median_ratio(over, under, value):.2f}" if over and under else ""


def median_ratio(
    over: Sequence[Measurement],
    under: Sequence[Measurement],
    value: Callable[[Measurement], float],
) -> float:
    """How many times one figure is the other: the median of the ratios run by run."""
    return median(value(a) / value(b) for a, b in zip(over, under, strict=False))


def per_core(measurement: Measurement) -> float:
    """Messages per second of processor time."""
    return measurement.per_core


def cpu_us(measurement: Measurement) -> float:
    """Processor microseconds per message."""
    return measurement.cpu_us


def section(measurements: Sequence[Measurement]) -> Section:
    """The worker's tables, and what they say."""
    results = Results(measurements)
    tables = [_pipeline_table(results, latency_ms) for latency_ms in LATENCIES_MS]
    tables += [_no_op_table(results, latency_ms) for latency_ms in LATENCIES_MS]
    tables.append(_batch_table(measurements, results))
    most = max(m.stub_utilisation for m in measurements)
    return Section(
        name="worker",
        title="Worker",
        text=[
            (
                "Each program runs in a process of its own on one core; AWS's stand-in runs on the "
                f"other, never more than {most:.0%} busy (*stub*). *per core*: messages per second "
                "of processor time, the whole process's, user and system, from the release of the "
                "messages to the last confirmed delete; *per wall s*: per second of the clock; "
                "*CPU µs* and *calls* (AWS calls): per message. *p50* and *p95*: from a message's "
                "receive to its confirmed delete, with the queue full; *alone*: the same for a "
                "message that comes alone. *mixed*: requests in turns for an event with seats and "
                "for one that is sold out. *x floor*: against the bare loop over the same client, "
                "aioboto3 for programs that are not ours."
            ),
            *(f"- **{c.name}**: {c.about}." for c in (*PIPELINES, *NO_OPS)),
            go.WORKER,
        ],
        tables=[table for table in tables if table.rows],
        closing=[*_targets(results), *_where_ours_is_worse(results)],
        data=[asdict(m) for m in measurements],
    )


def _pipeline_table(results: Results, latency_ms: float) -> Table:
    naive = results.of(NAIVE, latency_ms)
    rows = []
    for contestant in PIPELINES:
        runs = results.of(contestant, latency_ms)
        if runs:
            rows.append(
                [
                    contestant.name,
                    spread([m.per_core for m in runs]),
                    ratio(runs, naive, per_core),
                    spread([m.rate for m in runs]),
                    spread([m.cpu_us for m in runs]),
                    ratio(runs, results.of(floor_of(contestant), latency_ms), cpu_us),
                    spread([m.calls_per_message for m in runs], 2),
                    spread([m.p50_ms for m in runs]),
                    spread([m.p95_ms for m in runs]),
                    spread([m.lone_ms or 0.0 for m in runs]),
                    f"{median(m.rss_mib for m in runs):.0f}",
                    f"{max(m.stub_utilisation for m in runs):.0%}",
                ]
            )
    columns = ["", "per core", "x naive", "per wall s", "CPU µs", "x floor", "calls", "p50 ms"]
    columns += ["p95 ms", "alone ms", "MiB", "stub"]
    return Table(
        f"The whole job, AWS calls take {latency_ms:g} ms (mixed, batches of 50)", columns, rows
    )


def _no_op_table(results: Results, latency_ms: float) -> Table:
    ours = results.of(OURS_NO_OP, latency_ms)
    rows = []
    for contestant in NO_OPS:
        runs = results.of(contestant, latency_ms)
        if runs:
            rows.append(
                [
                    contestant.name,
                    spread([m.per_core for m in runs]),
                    ratio(ours, runs, per_core),
                    spread([m.rate for m in runs]),
                    spread([m.cpu_us for m in runs]),
                    spread([m.calls_per_message for m in runs], 2),
                    spread([m.p50_ms for m in runs]),
                    f"{median(m.rss_mib for m in runs):.0f}",
                    f"{max(m.stub_utilisation for m in runs):.0%}",
                ]
            )
    columns = ["", "per core", "ours is", "per wall s", "CPU µs", "calls", "p50 ms", "MiB", "stub"]
    return Table(f"Receive and delete only, AWS calls take {latency_ms:g} ms", columns, rows)


def _batch_table(measurements: Sequence[Measurement], results: Results) -> Table:
    ours = [m for m in measurements if m.contestant == OURS.name]

    def key(m: Measurement) -> tuple[float, int, int]:
        return m.latency_ms, SEATS.index(m.seats), m.batch or 0

    rows = []
    for (latency_ms, seats, batch), group in groupby(sorted(ours, key=key), key):
        runs = list(group)
        rows.append(
            [
                f"{latency_ms:g}",
                SEATS[seats],
                str(batch),
                spread([m.per_core for m in runs]),
                spread([m.cpu_us for m in runs]),
                ratio(
                    runs,
                    results.of(floor_of(OURS), latency_ms, SEATS[seats], batch),
                    cpu_us,
                ),
                spread([m.calls_per_message for m in runs], 3),
                spread([m.p50_ms for m in runs]),
                spread([m.p95_ms for m in runs]),
            ]
        )
    columns = ["AWS ms", "seats", "batch", "per core", "CPU µs", "x floor", "calls", "p50 ms"]
    columns += ["p95 ms"]
    return Table("Ours, by seats and batch size", columns, rows)


_MIN_TIMES_NAIVE: Final = 10
_MAX_CALLS: Final = 0.36
_MAX_TIMES_FLOOR: Final = 1.2


def _targets(results: Results) -> list[str]:
    """Each target, for the worker on either client, and whether it is met."""
    lines = []
    for latency_ms in LATENCIES_MS:
        for contestant in (OURS, OURS_ON_THE_SDK):
            ours = results.of(contestant, latency_ms)
            naive = results.of(NAIVE, latency_ms)
            floor = results.of(floor_of(contestant), latency_ms)
            if not (ours and naive and floor):
                continue
            calls = median(m.calls_per_message for m in ours)
            wanted = [
                (
                    (
                        f"{ratio(ours, naive, per_core)} times *naive*'s messages per core; "
                        f"wanted: at least {_MIN_TIMES_NAIVE}"
                    ),
                    median_ratio(ours, naive, per_core) >= _MIN_TIMES_NAIVE,
                ),
                (
                    f"{calls:.3f} AWS calls a message; wanted: at most {_MAX_CALLS}",
                    round(calls, 2) <= _MAX_CALLS,
                ),
                (
                    (
                        f"{ratio(ours, floor, cpu_us)} times the processor time of "
                        f"*{floor_of(contestant).name}*; wanted: at most {_MAX_TIMES_FLOOR}"
                    ),
                    median_ratio(ours, floor, cpu_us) <= _MAX_TIMES_FLOOR,
                ),
            ]
            lines += [
                f"- {'Met' if is_met else 'Missed'} by *{contestant.name}* "
                f"(AWS calls take {latency_ms:g} ms): {text}."
                for text, is_met in wanted
            ]
    most = max(m.stub_utilisation for m in results.all)
    lines.append(
        f"- {'Met' if most < _MAX_STUB else 'Missed'}: AWS's stand-in was at most {most:.0%} busy; "
        f"wanted: less than {_MAX_STUB:.0%}."
    )
    return ["### Targets", *lines]


_COMPARED: Final[tuple[tuple[str, str, Callable[[Measurement], float]], ...]] = (
    ("A message that comes alone takes", "ms", lambda m: m.lone_ms or 0.0),
    ("With the queue full, half of the messages take more than", "ms", lambda m: m.p50_ms),
    ("With the queue full, one in twenty takes more than", "ms", lambda m: m.p95_ms),
    ("The process holds", "MiB", lambda m: m.rss_mib),
)


def _where_ours_is_worse(results: Results) -> list[str]:
    """Every figure in which another program beats ours, in words."""
    lines = []
    for latency_ms in LATENCIES_MS:
        for text, unit, value in _COMPARED:
            for group in ((OURS, NAIVE, THREADS), (OURS_NO_OP, TASKIQ, CELERY, LOAFER)):
                ours, *others = (results.of(contestant, latency_ms) for contestant in group)
                mine = median(map(value, ours)) if ours else 0.0
                for runs in filter(None, others):
                    theirs = median(map(value, runs))
                    if theirs and mine > theirs * 1.05:
                        lines.append(
                            f"- {text} {mine:.0f} {unit} in *{ours[0].contestant}*, "
                            f"{theirs:.0f} in *{runs[0].contestant}* "
                            f"({mine / theirs:.1f}x; AWS calls take {latency_ms:g} ms)."
                        )
    return ["### Where ours is worse", *lines] if lines else []
