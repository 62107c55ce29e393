"""What an event needs changed ahead of it, and what is taken back afterwards: pure functions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from operations import prices
from operations.account.facts import TableState
from operations.needs import Needs
from operations.preflight.capacity import PROGRAMS, Program, is_over
from operations.templates import PIPELINE, SERVICE
from operations.warming.parts import WARMTH, Wanted, reserved_units

UNITS: Final = "LoadBalancerUnits"
_SCHEDULE: Final = ("ScheduledStart", "ScheduledEnd")
_CPU_UNITS: Final = 1_024
"""Of one vCPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A parameter that gets another value."""

    template: str
    """Whose parameter it is: `pipeline.yaml` or `service.yaml`."""
    parameter: str
    what: str
    before: str
    after: str
    dollars_once: float = 0.0
    dollars_an_hour: float = 0.0
    """Less than 0 for what is no longer paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What a deployment is set to now."""

    table: TableState
    pipeline: Mapping[str, str]
    """The parameters of the pipeline's stack."""
    services: Mapping[str, str]
    """The parameters of the services' stack; empty where there is none."""


def warmer(deployed: Deployed, needs: Needs, now: datetime) -> Sequence[Change]:
    """What is to be raised for an event; nothing is lowered."""
    return [*_warmth(deployed, needs), *_more_services(deployed.services, needs, now)]


def cooler(
    deployed: Deployed, worker_tasks: int, ingest_tasks: int, now: datetime
) -> Sequence[Change]:
    """What is to be lowered to these least numbers of tasks, without a reservation.

    Warm throughput stays: AWS never lowers it, and it costs nothing to keep.
    """
    services, changes = deployed.services, list[Change]()
    if not services:
        return changes
    for program, least in zip(PROGRAMS, (worker_tasks, ingest_tasks), strict=True):
        parameter = f"{program.parameter}MinTasks"
        if int(services[parameter]) > least:
            changes.append(_tasks(services, program, parameter, least))
    if int(services.get(UNITS, "0")):
        changes.append(_reserved(services, 0))
    return [*changes, *_past_schedule(services, changes, now)]


def _warmth(deployed: Deployed, needs: Needs) -> Iterator[Change]:
    table = deployed.table
    short = [wanted for wanted in WARMTH if wanted.has(table) < wanted.needs(needs)]
    for wanted in short:
        more = wanted.needs(needs) - wanted.has(table)
        yield _warmed(wanted, table, wanted.needs(needs), more * wanted.dollars)
    # An update sends reads and writes together: what traffic has raised meanwhile must not fall.
    sent = {wanted.index for wanted in short}
    for wanted in WARMTH:
        given = int(deployed.pipeline.get(wanted.parameter, "0"))
        if wanted not in short and wanted.index in sent and 0 < given < wanted.has(table):
            yield _warmed(wanted, table, wanted.has(table), 0.0)


def _warmed(wanted: Wanted, table: TableState, units: int, dollars: float) -> Change:
    return Change(
        template=PIPELINE,
        parameter=wanted.parameter,
        what=f"{wanted.what}, units/s",
        before=str(wanted.has(table)),
        after=str(units),
        dollars_once=dollars,
    )


def _more_services(services: Mapping[str, str], needs: Needs, now: datetime) -> Sequence[Change]:
    changes = list[Change]()
    if not services:
        return changes
    scheduled = "Scheduled" if _is_to_come(services, now) else ""
    for program in PROGRAMS:
        needed = program.needs(needs)
        greatest = f"{program.parameter}MaxTasks"
        if int(services[greatest]) < needed:
            changes.append(_tasks(services, program, greatest, needed))
        least = f"{program.parameter}{scheduled}MinTasks"
        if int(services[least]) < needed:
            changes.append(_tasks(services, program, least, needed))
    units = reserved_units(needs)
    if int(services.get(UNITS, "0")) < units:
        changes.append(_reserved(services, units))
    return [*changes, *_past_schedule(services, changes, now)]


def _tasks(services: Mapping[str, str], program: Program, parameter: str, after: int) -> Change:
    before = int(services[parameter])
    is_least = parameter.endswith("MinTasks")
    cores = int(services.get(f"{program.parameter}Cpu", str(_CPU_UNITS))) / _CPU_UNITS
    hourly = (after - before) * cores * prices.TASK_HOUR_DOLLARS
    return Change(
        template=SERVICE,
        parameter=parameter,
        what=f"{program.name} tasks, {'at least' if is_least else 'at most'}"
        + (", from ScheduledStart" if "Scheduled" in parameter else ""),
        before=str(before),
        after=str(after),
        dollars_an_hour=hourly if is_least else 0.0,
    )


def _reserved(services: Mapping[str, str], after: int) -> Change:
    before = int(services.get(UNITS, "0"))
    return Change(
        template=SERVICE,
        parameter=UNITS,
        what="load balancer, LCU reserved",
        before=str(before),
        after=str(after),
        dollars_an_hour=(after - before) * prices.LOAD_BALANCER_UNIT_HOUR_DOLLARS,
    )


def _is_to_come(services: Mapping[str, str], now: datetime) -> bool:
    """Whether a schedule will raise the least numbers of tasks by itself."""
    start = services.get("ScheduledStart", "")
    return bool(start) and not is_over(start, services.get("ScheduledTimezone", "UTC"), now)


def _past_schedule(
    services: Mapping[str, str], changes: Sequence[Change], now: datetime
) -> Iterator[Change]:
    """Take out a schedule whose times have passed: an update would hand them to AWS again."""
    start = services.get("ScheduledStart", "")
    if changes and start and not _is_to_come(services, now):
        for parameter in _SCHEDULE:
            yield Change(
                template=SERVICE,
                parameter=parameter,
                what="schedule that has begun",
                before=services[parameter],
                after="",
            )
