"""Draws a scenario from a seed, so that many seeds together leave little untried.

Each run leaves whole kinds of fault out: faults of every kind in every run would hide what only
some of them bring about ("Swarm Testing", Groce et al. 2012).
"""

from collections.abc import Callable
from random import Random
from typing import Final

from config.quotas import NO_LIMITS, Limits
from simulation.scenario import (
    Defect,
    EventPlan,
    Fault,
    Kill,
    Kind,
    Latencies,
    Load,
    Noise,
    Outage,
    Pause,
    Scenario,
    Service,
    Settings,
    Skew,
    Stop,
)

NAME: Final = "random"
_FAULTS_END_S: Final = 15.0
"""Faults begin and end within this time; clicks come in its first seconds."""
_CLICKS_COME_S: Final = (1.0, 2.5)
_LONGEST_OUTAGE_S: Final = 8.0
_OPERATIONS: Final = ("BatchGetItem", "BatchExecuteStatement", "TransactWriteItems", "UpdateItem")
_CALLS: Final = tuple(kind for kind in Kind if kind not in {Kind.ENTRIES, Kind.REJECTED})


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    random = Random(f"{seed}:scenario")
    workers, ingests = random.randint(1, 3), random.randint(1, 2)
    rate, seconds = random.choice((20.0, 60.0, 150.0, 400.0)), random.uniform(0.2, 1.5)
    if _happens(random, 0.3):  # as many in a burst, which fills batches
        rate, seconds = rate * 10, seconds / 10
    nodes = [f"worker-{n + 1}" for n in range(workers)]
    nodes += [f"ingest-{n + 1}" for n in range(ingests)]
    share = random.choice((0.1, 0.4, 0.4))
    chosen = [draw_some for draw_some in _FAULTS if _happens(random, share)]
    return Scenario(
        name=NAME,
        seed=seed,
        events=_events(random, rate * seconds),
        load=Load(
            rate=rate,
            seconds=seconds,
            impatience=random.choice((0.0, 0.0, 0.1, 0.5)),
            foreign=random.choice((0.0, 0.0, 0.05, 0.3)),
        ),
        workers=workers,
        ingests=ingests,
        worker_settings=_worker_settings(random),
        ingest_settings=_ingest_settings(random),
        limits=_limits(random),
        region="ap-northeast-2",
        latencies=_latencies(random),
        faults=tuple(fault for some in chosen for fault in some(random, nodes)),
        max_receive_count=random.choice((1, 2, 5, 20)),
        duplicate_delivery=random.choice((0.0, 0.0, 0.05, 0.3)),
        unordered=_happens(random, 0.5),
        settles_in_s=600.0,
    )


def _events(random: Random, clicks: float) -> tuple[EventPlan, ...]:
    # With each event there is one more batch that takes its last seats.
    count = random.choice((1, 1, 2, 3, 6))
    return tuple(
        EventPlan(
            event_id=f"event-{number + 1}",
            seats=round(clicks / count * random.choice((0.0, 0.1, 0.5, 0.9, 1.5))),
            event_type="LOTTERY" if _happens(random, 0.1) else "FIRST_COME",
        )
        for number in range(count)
    )


def _worker_settings(random: Random) -> Settings:
    wait_s = random.choice((1, 5, 10))
    return {
        "pollers": random.randint(1, 6),
        "processors": random.choice((1, 1, 1, 2, 4)),
        "dlq_pollers": random.choice((0, 0, 1)),
        "max_in_flight": random.choice((10, 50, 500, 500)),
        "batch_max_messages": random.choice((1, 10, 50, 99)),
        "batch_linger_ms": random.choice((0, 20, 200)),
        "delete_linger_ms": random.choice((0, 20, 200)),
        "visibility_timeout_s": random.choice((4, 4, 4, 10, 60)),
        "retry_backoff_base_s": 1.0,
        "retry_backoff_max_s": 3.0,
        "receive_wait_s": wait_s,
        # The shorter one ends drains by their deadline.
        "shutdown_timeout_s": random.choice((wait_s + 4, wait_s + 4, 25)),
        "publish_concurrency": random.choice((1, 4)),
        "publish_timeout_s": random.choice((0.5, 2.0, 5.0, 5.0)),
        "publish_max_attempts": random.choice((1, 1, 3)),
    }


def _ingest_settings(random: Random) -> Settings:
    return {
        "coalesce_linger_ms": random.choice((0, 3, 20)),
        "event_cache_ttl_s": random.choice((0.0, 5.0)),
        "publish_requested_events": _happens(random, 0.2),
    }


def _limits(random: Random) -> Limits:
    """None, or some that a small run can reach: the least bear no full seat transaction."""
    if _happens(random, 0.7):
        return NO_LIMITS
    return Limits(
        partition_write_units=random.choice((None, 100.0, 400.0)),
        table_write_units=random.choice((None, 50.0, 400.0)),
        index_write_units=random.choice((None, 50.0, 300.0)),
        put_events_per_s=random.choice((None, 5.0, 30.0)),
        in_flight_messages=random.choice((None, 100)),
    )


def _latencies(random: Random) -> Latencies:
    slowness = random.choice((0.2, 1.0, 1.0, 5.0))
    return Latencies(
        # A slow queue beside a fast table makes deletes, extensions and hand-backs meet.
        sqs_s=0.008 * random.choice((0.2, 1.0, 5.0, 10.0)),
        dynamodb_s=0.006 * slowness,
        events_s=0.020 * slowness,
        transaction_s=0.012 * slowness,
        sigma=random.choice((0.1, 0.4, 1.0)),
    )


def _noise(random: Random, _nodes: list[str]) -> list[Fault]:
    def one(kind: Kind) -> Fault:
        from_s, until_s = _window(random)
        return Noise(
            service=random.choice(list(Service)),
            kind=kind,
            probability=random.choice((0.02, 0.1, 0.3)),
            from_s=from_s,
            until_s=until_s,
        )

    return [one(random.choice(_CALLS)) for _ in range(random.randint(1, 4))]


def _entries(random: Random, _nodes: list[str]) -> list[Fault]:
    return [
        Noise(
            service=service,
            kind=Kind.ENTRIES,
            probability=random.choice((0.02, 0.1, 0.3)),
            until_s=_FAULTS_END_S,
        )
        for service in Service
        if _happens(random, 0.5)
    ]


def _outages(random: Random, nodes: list[str]) -> list[Fault]:
    # Calls that are lost hold up a node for longest.
    kinds = (Kind.FAILED, Kind.REFUSED, Kind.LOST, Kind.LOST, Kind.THROTTLED)

    def one() -> Fault:
        from_s = _at_s(random, 4.0)
        return Outage(
            service=random.choice(list(Service)),
            from_s=from_s,
            until_s=from_s + random.uniform(0.1, _LONGEST_OUTAGE_S),
            kind=random.choice(kinds),
            node=random.choice(nodes) if _happens(random, 0.5) else None,
        )

    return [one() for _ in range(random.randint(1, 2))]


def _part_of_the_table(random: Random, _nodes: list[str]) -> list[Fault]:
    """One operation away while the others work."""
    from_s = _at_s(random, 3.0)
    return [
        Outage(
            service=Service.DYNAMODB,
            from_s=from_s,
            until_s=from_s + random.uniform(0.1, _LONGEST_OUTAGE_S),
            kind=random.choice((Kind.FAILED, Kind.LOST, Kind.THROTTLED, Kind.UNANSWERED)),
            operation=random.choice(_OPERATIONS),
        )
    ]


def _undecidable(random: Random, _nodes: list[str]) -> list[Fault]:
    """Events that nobody can read, or seats that cannot be written."""
    from_s = _at_s(random, 1.5)
    until_s = from_s + random.uniform(0.1, _LONGEST_OUTAGE_S)
    if _happens(random, 0.5):
        return [Defect(from_s=from_s, until_s=until_s)]
    return [
        Outage(
            service=Service.DYNAMODB,
            from_s=from_s,
            until_s=until_s,
            kind=Kind.REJECTED,
            operation="TransactWriteItems",
        )
    ]


def _away_for_long(random: Random, nodes: list[str]) -> list[Fault]:
    """Until the faults end: the bus for all, or another service for one node, which is stopped."""
    if _happens(random, 0.5):
        kind = random.choice((Kind.FAILED, Kind.LOST))
        return [Outage(service=Service.EVENTS, from_s=0.5, until_s=_FAULTS_END_S, kind=kind)]
    node, from_s = random.choice(nodes), _at_s(random, 3.0)
    return [
        Outage(
            service=random.choice((Service.SQS, Service.DYNAMODB)),
            from_s=from_s,
            until_s=_FAULTS_END_S,
            kind=Kind.LOST,
            node=node,
        ),
        Stop(node=node, at_s=from_s + random.uniform(0.0, 6.0), restart_after_s=0.0),
    ]


def _kills(random: Random, nodes: list[str]) -> list[Fault]:
    return [
        Kill(
            node=random.choice(nodes),
            at_s=_at_s(random, 6.0),
            restart_after_s=random.uniform(0.1, 5.0),
        )
        for _ in range(random.randint(1, 6))
    ]


def _stops(random: Random, nodes: list[str]) -> list[Fault]:
    return [
        Stop(node=random.choice(nodes), at_s=_at_s(random, 6.0), restart_after_s=0.0)
        for _ in range(random.randint(1, 3))
    ]


def _pauses(random: Random, nodes: list[str]) -> list[Fault]:
    return [
        Pause(
            node=random.choice(nodes),
            at_s=random.uniform(0.5, 5.0),
            for_s=random.choice((0.2, 2.0, 10.0)),
        )
        for _ in range(random.randint(1, 3))
    ]


def _skews(random: Random, nodes: list[str]) -> list[Fault]:
    return [
        Skew(
            node=node,
            offset_ms=random.choice((-5_000, -200, -5, 5, 200, 5_000)),
            at_s=random.choice((0.0, 1.5)),
        )
        for node in nodes
        if _happens(random, 0.6)
    ]


def _happens(random: Random, probability: float) -> bool:
    return random.random() < probability


def _at_s(random: Random, until_s: float) -> float:
    """When a fault begins: as often as not while clicks come, and most is under way."""
    return random.uniform(*random.choice(((0.0, until_s), _CLICKS_COME_S)))


def _window(random: Random) -> tuple[float, float]:
    from_s = random.uniform(0.0, _FAULTS_END_S / 2)
    return from_s, from_s + random.uniform(0.5, _FAULTS_END_S / 2)


_FAULTS: Final[tuple[Callable[[Random, list[str]], list[Fault]], ...]] = (
    _noise,
    _noise,
    _entries,
    _outages,
    _part_of_the_table,
    _undecidable,
    _away_for_long,
    _kills,
    _stops,
    _pauses,
    _skews,
)
