"""A scenario in a file, so that a run can be shown to somebody else."""

from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from simulation.catalog import ScenarioError
from simulation.scenario import Scenario

_ADAPTER: Final = TypeAdapter(Scenario)


def write(scenario: Scenario, path: Path) -> None:
    """Write a scenario as JSON, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_ADAPTER.dump_json(scenario, indent=2) + b"\n")


def read(path: Path) -> Scenario:
    """Read a scenario; raises ScenarioError for a file that holds none."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ScenarioError(f"{path} holds no scenario: {place}: {first['msg']}") from error
