"""A rehearsal: an event of its own, its load, and the evidence that it went as it should."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from http import HTTPStatus
from pathlib import Path
from random import Random
from time import time_ns
from typing import Final, Protocol

import anyio
from anyio import to_thread

from analytics import sources
from analytics.engine import Engine
from analytics.parameters import Parameters
from analytics.report import evidence, report
from analytics.report.evidence import Evidence
from analytics.sources import Source
from aws.client import Connection
from aws.sdk import open_client
from aws.table import Table
from operations import events
from operations import plan as planning
from operations.capacity import AccountLimits, EventLoad
from operations.decisions import Clicked, Decisions, decisions_of
from operations.load import generator
from operations.load.generator import Course, Manner
from operations.load.people import Person
from operations.load.tally import ACCEPTED, NO_ANSWER, Outcome, Result
from operations.load.target import Target
from operations.load.verdict import Thresholds
from operations.rehearsal_criteria import Criterion, judge
from runtime.stop import Stop
from schema import keys
from schema.items import EventConfig
from schema.states import EventType

_PRICES_OF: Final = "us-east-1"
_RANDOM: Final = Random()  # noqa: S311 - spreads repeated reads, no secret
_LAKE_POLL_S: Final = 5.0
_DOUBTFUL: Final = frozenset({NO_ANSWER, HTTPStatus.SERVICE_UNAVAILABLE})
_CLOSE_WITHIN_S: Final = 10.0


class Progress(Protocol):
    """Shows how far the rehearsal has come."""

    def step(self, text: str) -> None:
        """Show that a step begins."""
        ...

    def advance(self, stage: str, done: int, total: int) -> None:
        """Show how much of a stage is done."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The pipeline that is rehearsed on."""

    connection: Connection
    table_name: str
    lake: Source
    folder: Path
    """For the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is rehearsed."""

    event_id: str
    seats: int
    target: Target
    """Where clicks on the event go."""
    clicks: int
    """How many clicks there are to be."""
    crowd: Iterable[tuple[float, Person]]
    manner: Manner
    thresholds: Thresholds
    patience_s: float
    """How long nothing may move: no decision, no line in the lake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """How it went; without criteria where it was interrupted."""

    load: Result
    requests: int
    """Different requests that ingest accepted."""
    decisions: Decisions
    criteria: Sequence[Criterion] = ()
    report: Path | None = None
    is_interrupted: bool = False

    @property
    def passed(self) -> bool:
        """Whether all is as it should be."""
        return bool(self.criteria) and all(criterion.is_met for criterion in self.criteria)


def event_id(at: datetime) -> str:
    """The name of a rehearsal's event."""
    return f"rehearsal-{at:%Y%m%d-%H%M%S}"


def dollars(rate: float, seconds: float, seats: int) -> float:
    """What it costs, with an hour of the tasks that it needs, by the prices of us-east-1."""
    load = EventLoad(rate=rate, seconds=seconds, seats=seats)
    return planning.make(load, _PRICES_OF, AccountLimits.of(_PRICES_OF, {}), "").dollars


async def run(place: Place, plan: Plan, progress: Progress, stop: Stop) -> Rehearsed:
    """Rehearse; the event is closed however this ends.

    A requested stop ends the load or the waiting. Raises LoadError, LakeError and AwsError, and
    EventError where the event exists.
    """
    began = datetime.now(UTC).date()
    event = EventConfig(event_id=plan.event_id, event_type=EventType.FIRST_COME)
    progress.step(f"creating the event {plan.event_id} with {plan.seats:,} seats")
    if not await events.create(place.connection, place.table_name, event, plan.seats):
        raise events.EventError(f"the event {plan.event_id!r} exists already: try again")
    try:
        progress.step(f"making {plan.clicks:,} clicks")
        load, clicked = await _clicked(plan, progress, stop)
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_WITHIN_S):
            await _close(place, plan.event_id)
    decisions = await _decided(place, plan, clicked, progress, stop)
    so_far = Rehearsed(load=load, requests=len(clicked.accepted), decisions=decisions)
    gathered = await _in_the_lake(place, plan, decisions, began, progress, stop)
    if gathered is None:
        return replace(so_far, is_interrupted=True)
    progress.step("writing the report")
    files = await to_thread.run_sync(report.write, gathered, place.folder / "report")
    criteria = judge(
        load, plan.thresholds, plan.seats, decisions, gathered.results, gathered.validation
    )
    return replace(so_far, criteria=criteria, report=files.page)


async def _clicked(plan: Plan, progress: Progress, stop: Stop) -> tuple[Result, Clicked]:
    """Make the clicks; what became of them, and of which requests."""
    accepted: dict[str, None] = {}
    doubtful: dict[str, None] = {}

    def settled(outcome: Outcome) -> None:
        if outcome.status == ACCEPTED and outcome.request_id is not None:
            accepted[outcome.request_id] = None
        elif outcome.status in _DOUBTFUL:
            doubtful[keys.request_id(plan.event_id, outcome.user_id)] = None

    def course(now: Course) -> None:
        progress.advance("clicks answered", now.tally.by_status.total(), plan.clicks)

    result = await generator.run(
        plan.target,
        plan.crowd,
        plan.manner,
        stop=stop,
        settled=settled,
        course=course,
    )
    progress.advance("clicks answered", result.by_status.total(), plan.clicks)
    return result, Clicked(list(accepted), list(doubtful.keys() - accepted.keys()))


async def _close(place: Place, closed_id: str) -> None:
    now_ms = time_ns() // 1_000_000
    await events.set_times(
        place.connection, place.table_name, closed_id, lambda event: events.closed(event, now_ms)
    )


async def _decided(
    place: Place, plan: Plan, clicked: Clicked, progress: Progress, stop: Stop
) -> Decisions:
    def advanced(decided: int) -> None:
        progress.advance("requests decided", decided, len(clicked.accepted))

    async with open_client("dynamodb", place.connection) as dynamodb:
        table = Table(dynamodb, place.table_name, _RANDOM)
        return await decisions_of(
            table, plan.event_id, clicked, patience_s=plan.patience_s, advanced=advanced, stop=stop
        )


async def _in_the_lake(
    place: Place,
    plan: Plan,
    decisions: Decisions,
    began: date,
    progress: Progress,
    stop: Stop,
) -> Evidence | None:
    """Wait until the lake has every decision, or no more of them come; None after a stop."""
    seen, moved_at = -1, anyio.current_time()
    while not stop.requested:
        asked = Parameters(
            dt_from=began,
            dt_to=datetime.now(UTC).date(),
            event_id=plan.event_id,
            capacity=plan.seats,
        )
        async with sources.open_engine(place.lake, asked) as engine:
            published = await _published(engine, asked)
            progress.advance("decisions in the lake", published, decisions.decided)
            if published > seen:
                seen, moved_at = published, anyio.current_time()
            is_late = anyio.current_time() > moved_at + plan.patience_s
            if published >= decisions.decided or is_late:
                progress.step("asking the lake")
                return await evidence.gather(engine, asked)
        with stop.interrupts():
            await anyio.sleep(_LAKE_POLL_S)
    return None


async def _published(engine: Engine, asked: Parameters) -> int:
    return (await engine.run("totals", asked)).count("request_count")
