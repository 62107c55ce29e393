"""Ingest against a plain handler of three calls a request: the runs, the tables, the targets."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from statistics import median
from typing import Final

from bench import go, ingest_idle
from bench.environment import cores
from bench.ingest_idle import IdleMemory
from bench.ingest_run import CONNECTIONS, Measurement, measure
from bench.ingest_services import OURS, PLAIN, SERVICES, Service
from bench.report import Section, Table, spread
from bench.stub_process import running_stub
from config.settings import IngestSettings

LATENCIES_MS: Final = (0.0, 10.0)
FULL_RUNS: Final = 5
STEPS: Final = 3
"""Insert, send, update: the AWS calls that each answer waits for."""

_MIN_TIMES_PLAIN: Final = 5.0
_MAX_CALLS: Final = 0.35
_MAX_OWN_STEP_MS: Final = 1.0
_BUSY: Final = 0.85
"""Beyond this the clients and the stand-in may be what limits a service."""
_SHARED: Final = 0.8
"""Below this a service that never lacks clients has not had its core for itself."""

Value = Callable[[Measurement], float]


def section(*, full: bool) -> Section:
    """Measure each service at each latency, in turns; then idle connections."""
    chosen = cores()
    with running_stub(chosen.other) as stub:
        return section_of(
            [
                measure(service, latency_ms, stub, chosen)
                for _ in range(FULL_RUNS if full else 1)
                for latency_ms in LATENCIES_MS
                for service in SERVICES
            ],
            ingest_idle.measure(
                OURS,
                ingest_idle.FULL_CONNECTIONS if full else ingest_idle.SHORT_CONNECTIONS,
                stub,
                chosen,
            ),
        )


def section_of(measurements: Sequence[Measurement], idle: IdleMemory | None = None) -> Section:
    """The tables, and what they say."""
    results = {
        (service.name, latency_ms): [
            m for m in measurements if (m.service, m.latency_ms) == (service.name, latency_ms)
        ]
        for service in SERVICES
        for latency_ms in LATENCIES_MS
    }
    tables = [_crowd_table(results, latency_ms) for latency_ms in LATENCIES_MS]
    return Section(
        name="ingest",
        title="Ingest",
        text=[
            (
                f"{CONNECTIONS} clients click concurrently, each again as soon as it is answered, "
                "every click by another user. Each service runs in a process of its own on one "
                "core; the clients and AWS's stand-in share the other. *per core*: requests per "
                "second of processor time, the whole process's, user and system; *CPU µs* and "
                "*calls* (AWS calls): per request; *p50* and *p99*: of the answers, as the "
                "clients see them; *busy*: the service's share of its core; *stub* and *load*: the "
                "stand-in's and the clients' share of theirs. Every answer was 202, every "
                "request was stored and marked QUEUED, every message sent, once. No token comes "
                f"twice; *x plain* compares services that check {PLAIN.algorithm} tokens."
            ),
            (
                "*Idle connections*: each was asked for `/healthz` once and then left open; memory "
                "is the process's, without what the kernel keeps for its sockets."
            ),
            *(f"- **{service.name}**: {service.about}." for service in SERVICES),
            go.INGEST,
        ],
        tables=[
            *tables,
            _lone_table(results),
            *([] if idle is None else [ingest_idle.table(idle)]),
            go.INGEST_TABLE,
        ],
        closing=[
            *_targets(results),
            *_where_ours_is_worse(results),
            *_disturbances(results),
        ],
        data=[asdict(m) for m in measurements],
    )


Results = dict[tuple[str, float], list[Measurement]]


def _of(results: Results, service: Service, latency_ms: float) -> list[Measurement]:
    return results[service.name, latency_ms]


def _ratios(results: Results, service: Service, latency_ms: float) -> list[float]:
    """How many times the plain handler's requests per core, run by run, where tokens are alike."""
    if service.algorithm != PLAIN.algorithm:
        return []
    return [
        mine.per_core / plain.per_core
        for mine, plain in zip(
            _of(results, service, latency_ms), _of(results, PLAIN, latency_ms), strict=False
        )
    ]


def _added_step_ms(results: Results, service: Service, latency_ms: float) -> list[float]:
    """What a lone answer takes beyond AWS's own time, by step."""
    return [m.lone_p50_ms / STEPS - latency_ms for m in _of(results, service, latency_ms)]


def _crowd_table(results: Results, latency_ms: float) -> Table:
    rows = [
        [
            service.name,
            spread([m.per_core for m in runs]),
            spread(ratios, 2) if (ratios := _ratios(results, service, latency_ms)) else "",
            spread([m.rate for m in runs]),
            spread([m.cpu_us for m in runs]),
            spread([m.calls_per_request for m in runs], 3),
            spread([m.p50_ms for m in runs]),
            spread([m.p99_ms for m in runs]),
            f"{median(m.rss_mib for m in runs):.0f}",
            f"{median(m.cpu_s / m.wall_s for m in runs):.0%}",
            f"{max(m.stub_utilisation for m in runs):.0%}",
            f"{max(m.load_utilisation for m in runs):.0%}",
        ]
        for service in SERVICES
        if (runs := _of(results, service, latency_ms))
    ]
    columns = ["", "per core", "x plain", "per wall s", "CPU µs", "calls", "p50 ms", "p99 ms"]
    columns += ["MiB", "busy", "stub", "load"]
    return Table(f"{CONNECTIONS} clients, AWS calls take {latency_ms:g} ms", columns, rows)


def _lone_table(results: Results) -> Table:
    rows = [
        [
            f"{latency_ms:g}",
            service.name,
            spread([m.lone_p50_ms for m in runs], 1),
            spread([m.lone_p99_ms for m in runs], 1),
            spread(_added_step_ms(results, service, latency_ms), 2),
        ]
        for latency_ms in LATENCIES_MS
        for service in SERVICES
        if (runs := _of(results, service, latency_ms))
    ]
    return Table("A lone client", ["AWS ms", "service", "p50 ms", "p99 ms", "own ms a step"], rows)


def _targets(results: Results) -> list[str]:
    """Each target, and whether it is met."""
    linger_ms = IngestSettings.model_fields["coalesce_linger_ms"].default
    lines = []
    for latency_ms in LATENCIES_MS:
        ours = _of(results, OURS, latency_ms)
        if not ours or not _of(results, PLAIN, latency_ms):
            continue
        times = median(_ratios(results, OURS, latency_ms))
        calls = median(m.calls_per_request for m in ours)
        added_ms = median(
            mine - plain
            for mine, plain in zip(
                _added_step_ms(results, OURS, latency_ms),
                _added_step_ms(results, PLAIN, latency_ms),
                strict=False,
            )
        )
        allowed_ms = linger_ms + _MAX_OWN_STEP_MS
        met = {
            f"{times:.2f} times the plain handler's requests per core; "
            f"wanted: at least {_MIN_TIMES_PLAIN:g}": times >= _MIN_TIMES_PLAIN,
            f"{calls:.3f} AWS calls a request; wanted: at most {_MAX_CALLS:g}": calls <= _MAX_CALLS,
            f"a lone answer takes {added_ms:+.2f} ms a step against the plain handler's; "
            f"wanted: at most {allowed_ms:+g}": added_ms <= allowed_ms,
        }
        lines += [
            f"- {'Met' if is_met else 'Missed'} (AWS calls take {latency_ms:g} ms): {text}."
            for text, is_met in met.items()
        ]
    return ["### Targets", *lines] if lines else []


_COMPARED: Final[tuple[tuple[str, str, int, Value], ...]] = (
    ("Half of a lone client's answers take more than", "ms", 1, lambda m: m.lone_p50_ms),
    (
        "One in a hundred of a lone client's answers takes more than",
        "ms",
        1,
        lambda m: m.lone_p99_ms,
    ),
    (f"Half of {CONNECTIONS} clients' answers take more than", "ms", 0, lambda m: m.p50_ms),
    (
        f"One in a hundred of {CONNECTIONS} clients' answers takes more than",
        "ms",
        0,
        lambda m: m.p99_ms,
    ),
    ("The process holds", "MiB", 0, lambda m: m.rss_mib),
)


def _where_ours_is_worse(results: Results) -> list[str]:
    """Every figure in which the plain handler beats ours, in words."""
    lines = []
    for latency_ms in LATENCIES_MS:
        ours, plain = _of(results, OURS, latency_ms), _of(results, PLAIN, latency_ms)
        for text, unit, digits, value in _COMPARED if ours and plain else ():
            mine, theirs = median(map(value, ours)), median(map(value, plain))
            if mine > theirs * 1.05:
                lines.append(
                    f"- {text} {mine:.{digits}f} {unit} in *{OURS.name}*, "
                    f"{theirs:.{digits}f} in *{PLAIN.name}* "
                    f"({mine / theirs:.1f}x; AWS calls take {latency_ms:g} ms)."
                )
    return ["### Where ours is worse", *lines] if lines else []


def _disturbances(results: Results) -> list[str]:
    """Which figures the other core, or other programs, may have made worse."""
    lines = []
    for (name, latency_ms), runs in results.items():
        busy = max((m.other_core for m in runs), default=0.0)
        if busy > _BUSY:
            lines.append(
                f"- The core of the clients and the stand-in was {busy:.0%} busy with *{name}* "
                f"(AWS calls take {latency_ms:g} ms): its requests per second of wall time may "
                "be too low."
            )
        share = min((m.cpu_s / m.wall_s for m in runs), default=1.0)
        # Where AWS's calls take their time, so many clients may leave the core idle.
        if share < _SHARED and not latency_ms:
            lines.append(
                f"- *{name}* ran for only {share:.0%} of the time (AWS calls take {latency_ms:g} "
                "ms): other programs had its core, and its times are too long."
            )
    return ["### Disturbances", *lines] if lines else []
