"""What the demo found: figures from the lake, the table and /metrics, and the checks on them."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from re import compile as pattern
from typing import Any, Final

import jsonschema
import orjson

from analytics.engine import Engine
from analytics.parameters import Parameters
from local.demo.burst import BurstResult
from local.demo.scrape import Samples
from schema import json_schemas
from schema.items import Capacity, RequestItem
from schema.names import PARTICIPATION_PROCESSED
from schema.states import Status

_LAKE_FILE: Final = pattern(r"events/dt=\d{4}-\d\d-\d\d/hour=\d\d/[^/]+")


@dataclass(frozen=True, slots=True)
class TableState:
    """What the table holds of the event and of the requests that ingest accepted."""

    capacity: Capacity
    requests: list[RequestItem]

    @property
    def statuses(self) -> Counter[str]:
        """How many requests there are by status."""
        return Counter(request.status.value for request in self.requests)

    @property
    def final_ids(self) -> set[str]:
        """The decided requests."""
        return {request.request_id for request in self.requests if request.status.is_final}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Times and figures from the start of the burst to the last decision."""

    wall_s: float
    burst_s: float
    cpu_s: dict[str, float]
    worker: Samples
    ingest: Samples


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its key in JSON, what it compares, and whether it holds."""

    key: str
    text: str
    holds: bool


@dataclass(slots=True, kw_only=True)
class Findings:
    """All figures of one demo; `as_json` is their public form."""

    figures: dict[str, Any]
    checks: tuple[Check, ...]
    traffic_per_second: list[int]
    throughput_per_second: list[int]
    calls: list[tuple[str, str, int, float]]
    """Program, operation, calls and mean milliseconds; the costliest come first."""
    lake_dir: str
    report: str = ""
    statements: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Figures, checks and locations as one JSON object."""
        return {
            **{_camel_case(name): figure for name, figure in self.figures.items()},
            "trafficPerSecond": self.traffic_per_second,
            "throughputPerSecond": self.throughput_per_second,
            "checks": {check.key: check.holds for check in self.checks},
            "passed": self.passed,
            "lakeDir": self.lake_dir,
            "report": self.report,
        }


async def find(
    engine: Engine,
    parameters: Parameters,
    lake_dir: Path,
    burst: BurstResult,
    table: TableState,
    measured: Measured,
) -> Findings:
    """Query the lake, compare it with the table, and run the checks; raises LakeError."""
    lake_ids, invalid, files = _read_lake(lake_dir)
    figures = (
        _intake(burst)
        | _decisions(table)
        | await _questions(engine, parameters)
        | _costs(measured)
        | {
            "lake_events": sum(lake_ids.values()),
            "lake_requests": len(lake_ids),
            "lake_files": len(files),
            "lake_invalid_lines": invalid,
        }
    )
    return Findings(
        figures=figures,
        checks=_checks(figures, burst, table, set(lake_ids), files),
        traffic_per_second=_per_second(await engine.run("traffic_per_second", parameters)),
        throughput_per_second=_per_second(await engine.run("throughput_per_second", parameters)),
        calls=[
            *_calls("worker", measured.worker),
            *_calls("ingest", measured.ingest),
        ],
        lake_dir=str(lake_dir),
    )


def _intake(burst: BurstResult) -> dict[str, Any]:
    return {
        "accepted": burst.accepted,
        "duplicates": burst.duplicates,
        "refused": sum(burst.refused.values()),
        "distinct_requests": len(burst.request_ids),
    }


def _decisions(table: TableState) -> dict[str, Any]:
    statuses = table.statuses
    return {
        "capacity": table.capacity.total,
        "capacity_remaining": table.capacity.remaining,
        "succeeded": statuses[Status.SUCCEEDED],
        "rejected": statuses[Status.REJECTED],
        "failed": statuses[Status.FAILED_FINAL],
        "table_final": len(table.final_ids),
    }


async def _questions(engine: Engine, parameters: Parameters) -> dict[str, Any]:
    """The four questions and the two validations of g1 §10 and §11, by the same SQL files."""
    overall = await engine.run("p95_delay_overall", parameters)
    distribution = await engine.run("result_distribution", parameters)
    negative = await engine.run("negative_delays", parameters)
    missing = await engine.run("missing_timestamps", parameters)
    traffic = await engine.run("traffic", parameters)
    throughput = await engine.run("throughput", parameters)
    return {
        "traffic_per_minute": traffic.records(),
        "throughput_per_minute": throughput.records(),
        "result_distribution": distribution.records(),
        "p95_queue_delay_ms": overall.one("p95_queue_delay_ms"),
        "p95_e2e_delay_ms": overall.one("p95_e2e_delay_ms"),
        "negative_delay": negative.count("negative_delay_count"),
        "missing_timestamp": missing.count("missing_timestamp_count"),
    }


def _costs(measured: Measured) -> dict[str, Any]:
    worker = measured.worker
    settled = worker.total("worker_messages_settled_total")
    calls = worker.total("aws_call_seconds_count")
    return {
        "publish_events": int(worker.total("worker_publish_events_total")),
        "publish_failures": int(worker.total("worker_publish_failures_total")),
        "messages_received": int(worker.total("worker_messages_received_total")),
        "burst_seconds": round(measured.burst_s, 3),
        "wall_seconds": round(measured.wall_s, 3),
        "cpu_seconds": {name: round(value, 2) for name, value in measured.cpu_s.items()},
        "worker_calls_per_message": round(calls / settled, 3) if settled else None,
    }


def _checks(
    figures: dict[str, Any],
    burst: BurstResult,
    table: TableState,
    lake_ids: set[str],
    files: list[str],
) -> tuple[Check, ...]:
    seats, requests = table.capacity.total, len(burst.request_ids)
    given, rejected = figures["succeeded"], figures["rejected"]
    return (
        Check("everyClickAccepted", "every click was accepted", figures["refused"] == 0),
        Check(
            "seatsGiven",
            "SUCCEEDED = capacity"
            if requests >= seats
            else "SUCCEEDED = distinct requests, fewer than seats",
            given == min(seats, requests),
        ),
        Check(
            "restRejected",
            "SUCCEEDED + REJECTED = distinct requests",
            given + rejected == requests,
        ),
        Check(
            "seatsLeftAgree",
            "capacityRemaining = capacity - SUCCEEDED",
            table.capacity.remaining == seats - given,
        ),
        Check(
            "everyRequestDecided",
            "every accepted request is decided",
            table.final_ids == burst.request_ids,
        ),
        Check("lakeEqualsTable", "lake = table", lake_ids == table.final_ids),
        Check(
            "linesFitSchema",
            "every line fits the JSON Schema",
            figures["lake_invalid_lines"] == 0,
        ),
        Check(
            "filesInPartitions",
            "files lie at events/dt=…/hour=…/",
            bool(files) and all(_LAKE_FILE.fullmatch(file) for file in files),
        ),
        Check("noNegativeDelay", "negative delays = 0", figures["negative_delay"] == 0),
        Check("noMissingTimestamp", "missing timestamps = 0", figures["missing_timestamp"] == 0),
        Check("noPublishFailure", "publish failures = 0", figures["publish_failures"] == 0),
    )


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _read_lake(lake_dir: Path) -> tuple[Counter[str], int, list[str]]:
    """Every line of the lake: events by request, how many break the schema, and the files."""
    schema = jsonschema.Draft202012Validator(json_schemas.load(PARTICIPATION_PROCESSED))
    by_request: Counter[str] = Counter()
    invalid = 0
    paths = sorted(path for path in lake_dir.rglob("*") if path.is_file())
    for path in paths:
        for line in path.read_bytes().splitlines():
            event = orjson.loads(line)
            if schema.is_valid(event):
                by_request[event["requestId"]] += 1
            else:
                invalid += 1
    return by_request, invalid, [path.relative_to(lake_dir).as_posix() for path in paths]


def _per_second(result: Any) -> list[int]:
    """Counts second by second from the first to the last, quiet seconds included."""
    seconds = {int(row[0].timestamp()): int(row[1]) for row in result.rows}
    if not seconds:
        return []
    return [seconds.get(second, 0) for second in range(min(seconds), max(seconds) + 1)]


def _calls(program: str, samples: Samples) -> list[tuple[str, str, int, float]]:
    counts = samples.by("aws_call_seconds_count", "operation")
    sums = samples.by("aws_call_seconds_sum", "operation")
    rows = [
        (program, operation, int(count), 1000 * sums.get(operation, 0.0) / count)
        for operation, count in counts.items()
        if count
    ]
    return sorted(rows, key=lambda row: row[2] * row[3], reverse=True)
