"""The demo: one event, one burst, every decision, the lake, the four questions, the checks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Final, Protocol

import anyio
import httpx

from analytics.local_engine import LocalEngine
from analytics.parameters import Parameters
from analytics.report.report import write_report
from aws.objects import download_lake
from aws.sdk import open_client
from aws.table import Table
from local import pipeline_stack
from local.demo import burst
from local.demo.burst import BurstResult
from local.demo.findings import Findings, Measured, TableState, find
from local.demo.scrape import Samples, cpu_seconds, scrape
from local.errors import LocalError
from local.pipeline_stack import PipelineStack
from local.programs import until_interrupted
from schema.items import Capacity, EventConfig
from schema.names import LAKE_ROOT
from schema.states import EventType

EVENT_ID: Final = "demo"
_POLL_S: Final = 0.1
_STALLED_AFTER_S: Final = 120.0
_SETTLED: Final = ("succeeded", "rejected", "failed_final", "duplicate", "quarantined")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What the demo does, and where."""

    requests: int
    """Distinct users, one request each."""
    capacity: int
    duplicates: float
    """Further clicks by users who clicked already, as a share of `requests`."""
    directory: Path
    """Holds the logs, the lake and the report."""
    seed: int = 1


class Progress(Protocol):
    """Shows how far the demo has come."""

    def step(self, text: str) -> None:
        """Show that a step begins."""
        ...

    def advance(self, stage: str, done: int, total: int) -> None:
        """Show how much of a stage is done."""
        ...


async def run(
    plan: DemoPlan,
    progress: Progress,
    done: Callable[[Findings, PipelineStack], None],
    *,
    keep: bool,
) -> Findings:
    """Run the demo; `done` shows the findings while the stack is still up.

    With `keep` the stack stays up until Ctrl-C. Raises LocalError.
    """
    async with pipeline_stack.running(plan.directory, report=progress.step) as stack:
        findings = await _main_job(plan, stack, progress)
        done(findings, stack)
        if keep:
            await until_interrupted()
    return findings


async def _main_job(plan: DemoPlan, stack: PipelineStack, progress: Progress) -> Findings:
    began_at = datetime.now(UTC)
    clicks = burst.crowd(plan.requests, round(plan.requests * plan.duplicates), plan.seed)
    async with (
        open_client("dynamodb", stack.emulator.connection) as dynamodb,
        open_client("s3", stack.emulator.connection) as s3,
        httpx.AsyncClient(timeout=30, trust_env=False) as http,
    ):
        table = Table(dynamodb, stack.outputs.table_name, Random())  # noqa: S311 - no secret
        await _create_event(plan, table)
        watch = _Watch(stack)
        result = await _send(stack, clicks, progress)
        decided = await _until_decided(stack, http, len(result.request_ids), progress)
        measured = watch.measured(decided, await scrape(http, stack.ingest.url), result)
        progress.step("reading the table")
        state = await _table_state(table, result.request_ids)
        await _until_in_the_lake(stack, len(state.final_ids), progress)
        lake_dir = plan.directory / "lake"
        await download_lake(s3, stack.outputs.bucket_name, LAKE_ROOT, lake_dir)
    parameters = Parameters(
        dt_from=began_at.date(), dt_to=datetime.now(UTC).date(), capacity=plan.capacity
    )
    progress.step("asking the lake")
    async with LocalEngine(lake_dir) as engine:
        findings = await find(engine, parameters, lake_dir, result, state, measured)
        progress.step("writing the report")
        report = await write_report(engine, plan.directory / "report", parameters)
    findings.report = str(report.page)
    return findings


class _Watch:
    """Measures wall and CPU time from the start of the burst to the last decision."""

    def __init__(self, stack: PipelineStack) -> None:
        self._pids = {
            "emulator": stack.emulator.pid,
            "worker": stack.worker.process.pid,
            "ingest": stack.ingest.process.pid,
        }
        self._cpu = {name: cpu_seconds(pid) for name, pid in self._pids.items()}
        self._began = perf_counter()

    def measured(self, worker: Samples, ingest: Samples, result: BurstResult) -> Measured:
        cpu: dict[str, float] = {}
        for name, pid in self._pids.items():
            before, after = self._cpu[name], cpu_seconds(pid)
            if before is not None and after is not None:
                cpu[name] = after - before
        return Measured(
            wall_s=perf_counter() - self._began,
            burst_s=result.seconds,
            cpu_s=cpu,
            worker=worker,
            ingest=ingest,
        )


async def _create_event(plan: DemoPlan, table: Table) -> None:
    created = await table.create_event(
        EventConfig(event_id=EVENT_ID, event_type=EventType.FIRST_COME),
        Capacity(event_id=EVENT_ID, total=plan.capacity, remaining=plan.capacity),
    )
    if not created:
        raise LocalError(f"the event {EVENT_ID!r} exists already in the embedded AWS")


async def _send(stack: PipelineStack, clicks: list[str], progress: Progress) -> BurstResult:
    sent = 0

    def clicked() -> None:
        nonlocal sent
        sent += 1
        progress.advance("clicks answered by ingest", sent, len(clicks))

    return await burst.send(stack.ingest.url, EVENT_ID, clicks, stack.jwt_secret, clicked)


async def _until_decided(
    stack: PipelineStack, http: httpx.AsyncClient, requests: int, progress: Progress
) -> Samples:
    """Wait until every request is decided and every message settled; raises LocalError."""
    stalled_at, most = anyio.current_time() + _STALLED_AFTER_S, -1.0
    while True:
        samples = await scrape(http, stack.worker.url)
        outcomes = samples.by("worker_messages_settled_total", "outcome")
        decided = sum(outcomes.get(outcome, 0) for outcome in _SETTLED)
        progress.advance("requests decided by the worker", min(int(decided), requests), requests)
        received = samples.total("worker_messages_received_total")
        if decided >= requests and decided >= received:
            return samples
        if decided > most:
            stalled_at, most = anyio.current_time() + _STALLED_AFTER_S, decided
        elif anyio.current_time() > stalled_at:
            raise LocalError(
                f"the worker has settled {decided:.0f} of {requests} requests and is stuck; "
                f"see {stack.worker.log_path}"
            )
        await anyio.sleep(_POLL_S)


async def _table_state(table: Table, request_ids: Iterable[str]) -> TableState:
    loaded = await table.load(request_ids, [EVENT_ID])
    capacity = loaded.events[EVENT_ID].capacity
    if capacity is None:
        raise LocalError(f"the event {EVENT_ID!r} has lost its capacity item")
    return TableState(capacity, list(loaded.requests.values()))


async def _until_in_the_lake(stack: PipelineStack, events: int, progress: Progress) -> None:
    stage = "events in the lake"
    with anyio.move_on_after(_STALLED_AFTER_S):
        while stack.firehose.delivered.records < events:
            progress.advance(stage, stack.firehose.delivered.records, events)
            await anyio.sleep(_POLL_S)
    await stack.firehose.flush()
    progress.advance(stage, min(stack.firehose.delivered.records, events), events)
