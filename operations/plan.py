"""The plan of an event: tasks, throughput, quotas, what binds first, dollars, and commands."""

from dataclasses import dataclass
from typing import Final

from operations import capacity, demand, prices
from operations.capacity import AccountLimits, Ceiling, Effect, EventLoad
from operations.needs import Needs
from operations.prices import Cost

_RESERVED_HOURS: Final = 1.0
"""Tasks and load balancer are there for an hour at least."""
_EVENT_BUFFER_MEGABYTES: Final = 64
_WINNERS_INDEX: Final = "Gsi2WarmWriteUnits"
_MOST_TASKS: Final = 20
"""WorkerMaxTasks and IngestMaxTasks, where nobody sets them (infra/service.yaml)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A quota of the account below what is needed."""

    quota: str
    available: float
    needed: float


@dataclass(frozen=True, slots=True)
class Late:
    """How long after the last click something is done, and the limit that holds it up."""

    ceiling: Ceiling
    seconds: float


@dataclass(frozen=True, slots=True)
class Warming:
    """Warm throughput of the table or of an index, in units a second."""

    parameter: str
    """Of infra/pipeline.yaml."""
    what: str
    available: float
    needed: float
    dollars: float
    """Paid once, for what is above `available`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityPlan:
    """All that an operator arranges for an event, and what happens without it."""

    load: EventLoad
    region: str
    needs: Needs
    max_in_flight: int
    """MAX_IN_FLIGHT of each worker."""
    seats_a_second: float
    """At most, and no more than people click."""
    sold_out_after_s: float | None
    """From the first click, once nothing binds; None where there are more seats than people."""
    ceilings: tuple[Ceiling, ...]
    """In the order of the rates at which they are reached, by the account as it is."""
    asks: tuple[Ask, ...]
    warming: tuple[Warming, ...]
    costs: tuple[Cost, ...]
    """Of the event, once."""
    commands: tuple[tuple[str, ...], ...]
    """Each in parts that stand on a line of their own."""

    @property
    def first(self) -> Ceiling | None:
        """The limit that is reached first as the rate of clicks grows; None without limits."""
        return self.ceilings[0] if self.ceilings else None

    @property
    def first_at_this_rate(self) -> tuple[Ceiling, float] | None:
        """The limit that is in the way first in this event, and after how many seconds."""
        found = [
            (one, after_s)
            for one in self.ceilings
            if (after_s := one.used_up_after_s(self.load)) is not None
        ]
        return min(found, key=lambda one: one[1], default=None)

    @property
    def accepted_at_most(self) -> float:
        """Clicks a second, with the account as it is."""
        return min(
            (one.accepted_at_most(self.load) for one in self.ceilings), default=self.load.rate
        )

    @property
    def decisions_late(self) -> Late | None:
        """How long after the last click the last decision is made, with the account as it is."""
        return self._latest(self.accepted_at_most, {Effect.CLICKS_REFUSED, Effect.DECISIONS_LATE})

    @property
    def lake_late(self) -> Late | None:
        """How long after the last click the lake has the last event, if all clicks are accepted."""
        return self._latest(self.load.rate, {Effect.LAKE_LATE})

    def _latest(self, accepted: float, effects: set[Effect]) -> Late | None:
        found = [
            Late(one, late_s)
            for one in self.ceilings
            if one.effect in effects and (late_s := one.late_s(accepted, self.load)) > 0
        ]
        return max(found, key=lambda late: late.seconds, default=None)

    @property
    def dollars(self) -> float:
        """Of the event, without what is paid once."""
        return sum(cost.dollars for cost in self.costs)

    @property
    def warm_dollars(self) -> float:
        """Of the warm throughput, once."""
        return sum(warming.dollars for warming in self.warming)


def make(load: EventLoad, region: str, account: AccountLimits, stack: str) -> CapacityPlan:
    """Plan an event on an account; `stack` is the pipeline's name in the commands."""
    needed = capacity.needs(load)
    warming = _warming(needed, account)
    seats_a_second = min(load.rate, demand.SEATS_PER_S)
    in_flight = capacity.max_in_flight(needed.worker_tasks)
    return CapacityPlan(
        load=load,
        region=region,
        needs=needed,
        max_in_flight=in_flight,
        seats_a_second=seats_a_second,
        sold_out_after_s=load.seats / seats_a_second if load.seats <= load.requests else None,
        ceilings=capacity.ceilings(load, account.limits),
        asks=_asks(needed, account),
        warming=warming,
        costs=_costs(load, needed),
        commands=_commands(load, needed, warming, in_flight, stack),
    )


def _warming(needed: Needs, account: AccountLimits) -> tuple[Warming, ...]:
    limits, write, read = account.limits, prices.WARM_WRITE_DOLLARS, prices.WARM_READ_DOLLARS
    table, index, reads = (
        limits.table_write_units,
        limits.index_write_units,
        limits.table_read_units,
    )
    winners = needed.winners_index_write_units
    rows = (
        ("TableWarmWriteUnits", "table writes", table, needed.table_write_units, write),
        ("Gsi1WarmWriteUnits", "GSI1 writes", index, needed.index_write_units, write),
        (_WINNERS_INDEX, "GSI2 writes (winners)", index, winners, write),
        ("TableWarmReadUnits", "table reads", reads, needed.table_read_units, read),
    )
    return tuple(
        Warming(parameter, what, there, units, max(0.0, units - there) * dollars)
        for parameter, what, there, units, dollars in rows
        if there is not None
    )


def _asks(needed: Needs, account: AccountLimits) -> tuple[Ask, ...]:
    limits = account.limits
    most_units = max(needed.table_write_units, needed.index_write_units, needed.table_read_units)
    rows = (
        ("DynamoDB table quota, units/s", account.table_quota_units, most_units),
        ("EventBridge PutEvents, calls/s", limits.put_events_per_s, needed.put_events_calls),
        ("EventBridge invocations/s", limits.invocations_per_s, needed.invocations),
        ("Firehose bytes/s", limits.firehose_bytes_per_s, needed.firehose_bytes),
        ("Firehose records/s", limits.firehose_records_per_s, needed.firehose_records),
        ("Firehose calls/s", limits.firehose_calls_per_s, needed.firehose_calls),
        ("Fargate on-demand vCPUs", account.fargate_vcpus, needed.vcpus),
        ("reserved LCUs of the region", account.load_balancer_units, needed.load_balancer_units),
    )
    return tuple(
        Ask(quota, there, wanted)
        for quota, there, wanted in rows
        if there is not None and wanted > there
    )


def _costs(load: EventLoad, needed: Needs) -> tuple[Cost, ...]:
    requests, winners = load.requests, load.winners
    hours = max(_RESERVED_HOURS, load.seconds / 3_600)
    task_hours = (needed.ingest_tasks + needed.worker_tasks) * hours
    unit_hours = needed.load_balancer_units * hours
    units = demand.TABLE_WRITE_UNITS + demand.INDEX_WRITE_UNITS
    more = demand.WINNER_WRITE_UNITS + demand.WINNER_INDEX_WRITE_UNITS
    return (
        *prices.of_requests(
            write_units=requests * units + winners * more,
            read_units=requests * demand.READ_UNITS,
            sqs_calls=requests * demand.SQS_CALLS,
            events=requests,
            records=requests,
        ),
        Cost("lines in CloudWatch Logs", requests, requests * prices.LOG_DOLLARS),
        Cost("lines in S3, a month", requests, requests * prices.LAKE_DOLLARS),
        Cost("Fargate task hours", task_hours, task_hours * prices.TASK_HOUR_DOLLARS),
        Cost(
            "load balancer LCU hours",
            unit_hours,
            unit_hours * prices.LOAD_BALANCER_UNIT_HOUR_DOLLARS,
        ),
    )


def _commands(
    load: EventLoad, needed: Needs, warming: tuple[Warming, ...], in_flight: int, stack: str
) -> tuple[tuple[str, ...], ...]:
    wish = f"--rate {load.rate:g} --seconds {load.seconds:g} --seats {load.seats}"
    settings = [f"--set FirehoseBufferMegabytes={_EVENT_BUFFER_MEGABYTES}"]
    for name, count in (("Ingest", needed.ingest_tasks), ("Worker", needed.worker_tasks)):
        if count > _MOST_TASKS:
            settings.append(f"--set {name}MaxTasks={count}")
    if in_flight < capacity.MAX_IN_FLIGHT:
        settings.append(f"--set MaxInFlight={in_flight}")
    settings += [
        f"--set {one.parameter}={one.needed:.0f}"
        for one in warming
        if one.dollars and one.parameter == _WINNERS_INDEX
    ]
    return (
        (f"participation deploy --stack {stack}", *settings),
        (f"participation warm --stack {stack}", wish),
        (f"participation preflight --stack {stack}", wish),
    )
