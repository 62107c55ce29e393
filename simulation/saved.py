"""A scenario in a file, so that a run can be shown to somebody else."""

from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from simulation.catalog import ScenarioError
from simulation.scenario import Scenario

_ADAPTER: Final = TypeAdapter(Scenario)
_SETTINGS: Final = frozenset({"worker_settings", "ingest_settings"})


def write(scenario: Scenario, path: Path) -> None:
    """Write a scenario as JSON, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_ADAPTER.dump_json(scenario, indent=2) + b"\n")


def read(path: Path) -> Scenario:
    """Read a scenario; raises ScenarioError for a file that holds none."""
    try:
        text = path.read_bytes()
        scenario = _ADAPTER.validate_json(text)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ScenarioError(f"{path} holds no scenario: {place}: {first['msg']}") from error
    unknown = _unknown(orjson.loads(text), _ADAPTER.dump_python(scenario, mode="json"))
    if unknown is not None:
        raise ScenarioError(f"{path}: there is no {unknown} in a scenario")
    nodes = {f"worker-{n + 1}" for n in range(scenario.workers)}
    nodes |= {f"ingest-{n + 1}" for n in range(scenario.ingests)}
    for fault in scenario.faults:
        node = getattr(fault, "node", None)
        if node is not None and node not in nodes:
            raise ScenarioError(f"{path}: there is no node {node!r}")
    return scenario


def _unknown(given: Any, known: Any, place: str = "") -> str | None:
    """The first field that nothing reads: a misspelt one would test something else."""
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            where = f"{place}.{name}".lstrip(".")
            if name not in known:
                return where
            found = None if name in _SETTINGS else _unknown(value, known[name], where)
            if found is not None:
                return found
    if isinstance(given, list) and isinstance(known, list):
        for index, (value, other) in enumerate(zip(given, known, strict=False)):
            found = _unknown(value, other, f"{place}[{index}]")
            if found is not None:
                return found
    return None
