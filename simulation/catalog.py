"""Scenarios by name: what each is about, and how a person's wishes turn into one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from config.quotas import Limits
from operations import tasks
from simulation import generator
from simulation.scenario import (
    EventPlan,
    Fault,
    Kill,
    Kind,
    Latencies,
    Load,
    Noise,
    Outage,
    Scenario,
    Service,
    Skew,
    Stop,
)

REGION: Final = "ap-northeast-2"
_RUSH_RETRIES: Final = 1
"""Where a limit turns most people away, more tries only prolong what the first ones show."""
_SETTLES_IN_S: Final = 600.0
_CLICKS_BEGIN_S: Final = 1.0
_STOP_EVERY_S: Final = 32.0
"""A task that was stopped is back after 27 s at most: the next one follows then."""


class ScenarioError(Exception):
    """A scenario that does not exist, or a wish that it cannot meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a person asks of a named scenario; None leaves the choice to the scenario."""

    rate: float | None = None
    """Clicks a second."""
    seconds: float | None = None
    seats: int | None = None
    region: str | None = None
    workers: int | None = None
    ingests: int | None = None
    limits: Mapping[str, float | None] = field(default_factory=dict)
    """Limits to replace, by their names; None switches one off."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A named scenario."""

    name: str
    sentence: str
    make: Callable[[int, Wishes], Scenario]


def scenario(name: str, seed: int, wishes: Wishes) -> Scenario:
    """Make a scenario; raises ScenarioError, whose text names what there is to choose from."""
    entry = CATALOG.get(name)
    if entry is None:
        raise ScenarioError(f"there is no scenario {name!r}; there are {', '.join(CATALOG)}")
    try:
        made = entry.make(seed, wishes)
        return replace(made, limits=made.limits.replaced(wishes.limits))
    except ValueError as error:
        raise ScenarioError(str(error)) from error


def command(name: str, seed: int, wishes: Wishes) -> str:
    """The command line that runs this again."""
    options = [f"--seed {seed}"]
    for option in ("rate", "seconds", "seats", "region", "workers", "ingests"):
        wish = getattr(wishes, option)
        if wish is not None:
            options.append(f"--{option} {wish}")
    for limit, value in wishes.limits.items():
        options.append(f"--limit {limit}={'none' if value is None else repr(value)}")
    return f"participation simulate {name} {' '.join(options)}"


def _plain(
    name: str,
    seed: int,
    wishes: Wishes,
    *,
    rate: float,
    seconds: float,
    seats: int,
    least_nodes: int = 1,
    retries: int = 8,
) -> Scenario:
    """One event and AWS's own limits, without any fault; as many tasks as the rate asks for."""
    rate = wishes.rate or rate
    region = wishes.region or REGION
    return Scenario(
        name=name,
        seed=seed,
        events=(
            EventPlan(event_id="event-1", seats=seats if wishes.seats is None else wishes.seats),
        ),
        load=Load(rate=rate, seconds=wishes.seconds or seconds, retries=retries),
        workers=wishes.workers or max(least_nodes, tasks.workers(rate)),
        ingests=wishes.ingests or max(least_nodes, tasks.ingests(rate)),
        limits=Limits.of(region),
        region=region,
        settles_in_s=_SETTLES_IN_S,
    )


def _flash(seed: int, wishes: Wishes) -> Scenario:
    return _plain("flash", seed, wishes, rate=2_000, seconds=5, seats=500, retries=_RUSH_RETRIES)


def _outage(seed: int, wishes: Wishes) -> Scenario:
    plain = _plain("outage", seed, wishes, rate=200, seconds=5, seats=300, least_nodes=2)
    away = Outage(service=Service.DYNAMODB, from_s=3.0, until_s=48.0)
    return replace(plain, faults=(away,))


def _quota(seed: int, wishes: Wishes) -> Scenario:
    plain = _plain("quota", seed, wishes, rate=500, seconds=5, seats=300, least_nodes=2)
    return replace(plain, limits=replace(plain.limits, put_events_per_s=20))


def _cold_table(seed: int, wishes: Wishes) -> Scenario:
    plain = _plain(
        "cold-table", seed, wishes, rate=3_000, seconds=5, seats=500, retries=_RUSH_RETRIES
    )
    limits = {
        name: getattr(plain.limits, name)
        for name in Limits.names()
        if name.startswith(("partition_", "table_", "index_"))
    }
    return replace(plain, limits=Limits(**limits))


def _deploy(seed: int, wishes: Wishes) -> Scenario:
    plain = _plain("deploy", seed, wishes, rate=50, seconds=70, seats=300, least_nodes=2)
    faults: list[Fault] = []
    for kind, count in (("worker", plain.workers), ("ingest", plain.ingests)):
        faults += [
            Stop(node=f"{kind}-{n + 1}", at_s=_CLICKS_BEGIN_S + 1 + n * _STOP_EVERY_S)
            for n in range(count)
        ]
    return replace(plain, faults=tuple(faults))


def _crashes(seed: int, wishes: Wishes) -> Scenario:
    plain = _plain("crashes", seed, wishes, rate=200, seconds=8, seats=500, least_nodes=2)
    every_s = 1.3
    workers = [f"worker-{n + 1}" for n in range(plain.workers)]
    nodes = [*workers, *(f"ingest-{n + 1}" for n in range(plain.ingests))]
    return replace(
        plain,
        faults=tuple(
            Kill(node=node, at_s=_CLICKS_BEGIN_S + every_s * (at + 1), restart_after_s=2.0)
            for at, node in enumerate([*nodes, *nodes])
        ),
    )


def _clocks(seed: int, wishes: Wishes) -> Scenario:
    plain = _plain("clocks", seed, wishes, rate=200, seconds=5, seats=300, least_nodes=2)
    offsets_ms = (2_000, -2_000, 150, -150)
    nodes = [f"ingest-{n + 1}" for n in range(plain.ingests)]
    nodes += [f"worker-{n + 1}" for n in range(plain.workers)]
    return replace(
        plain,
        faults=tuple(
            Skew(node=node, offset_ms=offsets_ms[at % len(offsets_ms)])
            for at, node in enumerate(nodes)
        ),
    )


def _duplicates(seed: int, wishes: Wishes) -> Scenario:
    plain = _plain("duplicates", seed, wishes, rate=200, seconds=5, seats=300, least_nodes=2)
    return replace(
        plain,
        load=replace(plain.load, impatience=0.5),
        duplicate_delivery=0.3,
        unordered=True,
        faults=tuple(
            Noise(service=service, kind=Kind.TWICE, probability=0.1, until_s=20.0)
            for service in Service
        ),
    )


def _slow(seed: int, wishes: Wishes) -> Scenario:
    plain = _plain("slow", seed, wishes, rate=500, seconds=5, seats=300)
    slow = Latencies(sqs_s=0.030, dynamodb_s=0.015, events_s=0.030, transaction_s=0.030, sigma=0.8)
    return replace(plain, latencies=slow)


def _random(seed: int, wishes: Wishes) -> Scenario:
    if replace(wishes, limits={}) != Wishes():
        raise ScenarioError(
            "the seed alone decides what a random scenario is: only --limit applies"
        )
    return generator.draw(seed)


CATALOG: Final[Mapping[str, Entry]] = {
    entry.name: entry
    for entry in (
        Entry("flash", "one event, AWS's limits for the region, no faults", _flash),
        Entry("outage", "DynamoDB is away for 45 seconds", _outage),
        Entry("quota", "a PutEvents quota of 20 calls a second", _quota),
        Entry(
            "cold-table",
            "a new table that bears 4,000 writes a second, no other limit",
            _cold_table,
        ),
        Entry("deploy", "every task is stopped and replaced, one after the other", _deploy),
        Entry("crashes", "every task is killed twice", _crashes),
        Entry("clocks", "clocks that are up to two seconds wrong", _clocks),
        Entry(
            "duplicates", "messages, calls and clicks that come twice, in any order", _duplicates
        ),
        Entry("slow", "calls that take 15 to 30 ms, and some ten times that", _slow),
        Entry(generator.NAME, "drawn from the seed: load, tasks, limits and faults", _random),
    )
}
