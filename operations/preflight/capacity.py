"""The checks of capacity: quotas, the stream, warm throughput, tasks, the load balancer."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from config.limits import SQS_IN_FLIGHT_MESSAGES
from operations.account.facts import (
    Quota,
    Reservation,
    Scaling,
    StreamLimits,
    TableState,
    Tasks,
)
from operations.account.quotas import key_of
from operations.needs import Needs
from operations.preflight.findings import Colour, Finding, compared
from operations.warming.parts import WARMTH, reserved_units

FORM: Final = "ask AWS with the form that the Data Firehose Developer Guide, Quota, links"
_ONCE: Final = re.compile(r"at\((?P<at>[^)]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A quota that the plan is compared with."""

    check: str
    service: str
    name: str
    unit: str
    needs: Callable[[Needs], float]
    short: Colour = Colour.RED
    """The colour where it is too low."""


# General Reference: EventBridge, DynamoDB, Fargate and Elastic Load Balancing "endpoints and
# quotas".
QUOTAS: Final = (
    Wanted(
        check="put events quota",
        service="events",
        name="PutEvents throttle limit in transactions per second",
        unit="calls/s",
        needs=lambda needs: needs.put_events_calls,
    ),
    Wanted(
        check="invocations quota",
        service="events",
        name="Invocations throttle limit in transactions per second",
        unit="deliveries/s",
        needs=lambda needs: needs.invocations,
        # What exceeds it reaches the lake later; nothing is lost and no decision waits.
        short=Colour.YELLOW,
    ),
    Wanted(
        check="table write quota",
        service="dynamodb",
        name="Table-level write throughput limit",
        unit="write units/s",
        needs=lambda needs: max(needs.table_write_units, needs.index_write_units),
    ),
    Wanted(
        check="table read quota",
        service="dynamodb",
        name="Table-level read throughput limit",
        unit="read units/s",
        needs=lambda needs: needs.table_read_units,
    ),
    Wanted(
        check="fargate quota",
        service="fargate",
        name="Fargate On-Demand vCPU resource count",
        unit="vCPU",
        needs=lambda needs: ceil(needs.vcpus),
    ),
    Wanted(
        check="load balancer quota",
        service="elasticloadbalancing",
        name="Reserved Application Load Balancer Capacity Units (LCU) per Region",
        unit="LCU",
        needs=reserved_units,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """The commands of one pipeline that change what is found."""

    stack: str
    region: str
    load: str
    """The options that describe the event."""

    @property
    def warm(self) -> str:
        """Raises whatever can be raised."""
        return f"participation warm --stack {self.stack} {self.load}"

    def set(self, parameter: str, value: object) -> str:
        """Changes one of the templates' parameters."""
        return f"participation deploy --stack {self.stack} --set {parameter}={value}"

    def raise_quota(self, quota: Quota, to: float) -> str:
        """Asks AWS for more; where it gives no more, that is what is said."""
        if not quota.is_adjustable:
            return f"AWS does not raise it ({quota.code}): plan for a lower --rate"
        return (
            "aws service-quotas request-service-quota-increase "
            f"--service-code {quota.service} --quota-code {quota.code} "
            f"--desired-value {to:.0f} --region {self.region}"
        )


def quotas(
    service: str, found: Mapping[str, Quota], needs: Needs, commands: Commands
) -> Iterator[Finding]:
    """Compare a service's quotas with what the plan needs of them."""
    for wanted in QUOTAS:
        if wanted.service != service:
            continue
        needed = wanted.needs(needs)
        quota = found.get(key_of(wanted.name))
        if quota is None:
            yield Finding(
                check=wanted.check,
                colour=Colour.YELLOW,
                found=f'Service Quotas lists no "{wanted.name}"',
                needed=f"{needed:,.0f} {wanted.unit}",
                change=f"look it up in the console: Service Quotas, {service}",
            )
            continue
        yield compared(
            wanted.check,
            quota.value,
            needed,
            wanted.unit,
            commands.raise_quota(quota, needed),
            short=wanted.short,
            remark=" (AWS's default)" if quota.is_default else "",
        )


def stream(now: StreamLimits, default: StreamLimits, needs: Needs) -> Iterator[Finding]:
    """Compare what the stream takes; EventBridge tries again for a day, so nobody waits for it.

    CloudWatch has no limits of an idle stream: the region's defaults stand in, as far as known.
    """
    for what, limit, otherwise, needed in (
        ("bytes", now.byte_rate, default.byte_rate, needs.firehose_bytes),
        ("records", now.record_rate, default.record_rate, needs.firehose_records),
        ("requests", now.request_rate, default.request_rate, needs.firehose_calls),
    ):
        check, unit = f"stream {what}", f"{what}/s"
        has = otherwise if limit is None else limit
        if has is None:
            yield Finding(
                check=check,
                colour=Colour.YELLOW,
                found="CloudWatch has no value of the stream's limit in the last day",
                needed=f"{needed:,.0f} {unit}",
                change="send it something (`participation smoke`), and look again",
            )
            continue
        remark = " (AWS's default)" if limit is None else ""
        yield compared(check, has, needed, unit, FORM, short=Colour.YELLOW, remark=remark)


def warmth(table: TableState, needs: Needs, commands: Commands) -> Iterator[Finding]:
    """Compare the warm throughput of the table and of its indexes."""
    for wanted in WARMTH:
        remark = " (being warmed)" if wanted.is_warming(table) else ""
        yield compared(
            f"warm {wanted.what}",
            wanted.has(table),
            wanted.needs(needs),
            f"{wanted.kind} units/s",
            commands.warm,
            remark=remark,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One of the two services, and how many tasks of it are needed."""

    name: str
    """`worker` or `ingest`."""
    parameter: str
    """How its parameters begin: `Worker` or `Ingest`."""
    needs: Callable[[Needs], int]


PROGRAMS: Final = (
    Program(name="worker", parameter="Worker", needs=lambda needs: needs.worker_tasks),
    Program(name="ingest", parameter="Ingest", needs=lambda needs: needs.ingest_tasks),
)


def tasks(
    program: Program,
    state: Tasks,
    scaling: Scaling | None,
    needs: Needs,
    commands: Commands,
    now: datetime,
) -> Iterator[Finding]:
    """Compare the tasks that run, and the numbers between which they scale."""
    needed = program.needs(needs)
    check = f"{program.name} tasks"
    if scaling is None:
        yield compared(check, state.running, needed, "running", commands.warm)
        return
    colour, remark, change = _judged(state, scaling, needed, commands, now)
    yield Finding(
        check=check,
        colour=colour,
        found=f"{state.running:,} running, at least {scaling.minimum:,}{remark}",
        needed=f"{needed:,} running",
        change=change,
    )
    yield compared(
        f"{program.name} greatest tasks",
        scaling.maximum,
        needed,
        "at most",
        commands.set(f"{program.parameter}MaxTasks", needed),
    )


def _judged(
    state: Tasks, scaling: Scaling, needed: int, commands: Commands, now: datetime
) -> tuple[Colour, str, str]:
    """The colour of a service's tasks, a remark, and what to do."""
    if min(state.running, scaling.minimum) >= needed:
        return Colour.GREEN, "", ""
    if scaling.minimum >= needed:
        watch = f"participation status --stack {commands.stack} --watch"
        return Colour.RED, f", {state.pending:,} starting", watch
    for planned in scaling.scheduled:
        if planned.minimum >= needed and not is_over(planned.schedule, planned.timezone, now):
            begin = f"{planned.schedule} {planned.timezone}"
            remark = f", at least {planned.minimum:,} from {begin}"
            return Colour.YELLOW, remark, "look again once that has begun"
    if state.running >= needed:
        return Colour.YELLOW, ": scaling may stop some before the event", commands.warm
    return Colour.RED, "", commands.warm


def is_over(schedule: str, timezone: str, now: datetime) -> bool:
    """Whether a single moment, `at(…)`, has passed; what recurs is never over."""
    once = _ONCE.fullmatch(schedule)
    if once is None:
        return False
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    return datetime.fromisoformat(once["at"]).replace(tzinfo=zone) <= now


def load_balancer(state: Reservation, needs: Needs, commands: Commands) -> Finding:
    """Compare what the load balancer keeps; it grows over minutes, and the event does not wait."""
    remark = f" (not there yet: {'; '.join(state.pending)})" if state.pending else ""
    finding = compared(
        "load balancer",
        state.units,
        reserved_units(needs),
        "LCU reserved",
        commands.warm,
        remark=remark,
    )
    if state.pending and finding.colour is Colour.GREEN:
        return Finding(
            check=finding.check,
            colour=Colour.RED if _has_failed(state.pending) else Colour.YELLOW,
            found=finding.found,
            needed=finding.needed,
            change="look again in some minutes; AWS takes up to a few hours",
        )
    return finding


def _has_failed(pending: Sequence[str]) -> bool:
    return any(state.startswith("failed") for state in pending)


def in_flight(needs: Needs) -> Finding:
    """Compare the messages that workers hold with what SQS allows of a queue."""
    return compared(
        "messages in flight",
        SQS_IN_FLIGHT_MESSAGES,
        needs.in_flight_messages,
        "messages",
        "AWS raises it on request only: lower MaxInFlight or the number of workers",
    )
