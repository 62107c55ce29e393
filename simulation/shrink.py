"""Makes a failing scenario as small as it can be while it still fails in the same way."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from pydantic import ValidationError

from config.quotas import NO_LIMITS
from simulation.scenario import Latencies, Scenario, Settings
from simulation.settings import ingest_settings, worker_settings

Fails = Callable[[Scenario], bool]
"""Whether a scenario breaks the same rule."""

_MOST_RUNS: Final = 400


def shrink(scenario: Scenario, fails: Fails, most_runs: int = _MOST_RUNS) -> Scenario:
    """The smallest scenario found that still fails: fewer faults, clicks and nodes, plain settings.

    Tries one simplification after the other, and begins again after each that still fails.
    """
    runs = 0
    smallest = scenario
    progress = True
    while progress and runs < most_runs:
        progress = False
        for simpler in filter(_is_possible, _simpler(smallest)):
            runs += 1
            if fails(simpler):
                smallest, progress = simpler, True
                break
            if runs >= most_runs:
                break
    return smallest


def _simpler(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios that are one step simpler, the boldest steps first."""
    yield from _fewer_faults(scenario)
    yield from _fewer_clicks(scenario)
    yield from _fewer_nodes(scenario)
    yield from _kinder_services(scenario)
    yield from _plainer_settings(scenario)


def _fewer_faults(scenario: Scenario) -> Iterator[Scenario]:
    faults = scenario.faults
    if faults:
        yield replace(scenario, faults=())
    half = len(faults) // 2
    if half:
        yield replace(scenario, faults=faults[:half])
        yield replace(scenario, faults=faults[half:])
    for index in range(len(faults)):
        yield replace(scenario, faults=faults[:index] + faults[index + 1 :])


def _fewer_clicks(scenario: Scenario) -> Iterator[Scenario]:
    load = scenario.load
    most = load.most_clicks or round(load.rate * load.seconds * 2)
    for fewer in (most // 4, most // 2, most * 3 // 4, most - 1):
        if 0 < fewer < most:
            yield replace(scenario, load=replace(load, most_clicks=fewer))


def _fewer_nodes(scenario: Scenario) -> Iterator[Scenario]:
    named = {getattr(fault, "node", None) or "" for fault in scenario.faults}
    for field, kind in (("workers", "worker"), ("ingests", "ingest")):
        count = getattr(scenario, field)
        if count > 1 and not any(node.startswith(f"{kind}-{count}") for node in named):
            yield replace(scenario, **{field: count - 1})


def _kinder_services(scenario: Scenario) -> Iterator[Scenario]:
    if scenario.duplicate_delivery:
        yield replace(scenario, duplicate_delivery=0.0)
    if scenario.unordered:
        yield replace(scenario, unordered=False)
    if scenario.limits != NO_LIMITS:
        yield replace(scenario, limits=NO_LIMITS)
    for name in scenario.limits.names():
        if getattr(scenario.limits, name) is not None:
            yield replace(scenario, limits=replace(scenario.limits, **{name: None}))
    if scenario.latencies != Latencies():
        yield replace(scenario, latencies=Latencies())


def _plainer_settings(scenario: Scenario) -> Iterator[Scenario]:
    for event in scenario.events if len(scenario.events) > 1 else ():
        yield replace(scenario, events=(event,))
    for name in scenario.worker_settings:
        yield replace(scenario, worker_settings=_without(scenario.worker_settings, name))
    for name in scenario.ingest_settings:
        yield replace(scenario, ingest_settings=_without(scenario.ingest_settings, name))
    load = scenario.load
    if load.impatience or load.foreign:
        yield replace(scenario, load=replace(load, impatience=0.0, foreign=0.0))


def _is_possible(scenario: Scenario) -> bool:
    """Whether the programs take its settings: a default may not go with what is left."""
    try:
        worker_settings(scenario.worker_settings, scenario.region, "any")
        ingest_settings(scenario.ingest_settings, scenario.region)
    except ValidationError:
        return False
    return True


def _without(settings: Settings, name: str) -> Settings:
    return {key: value for key, value in settings.items() if key != name}
