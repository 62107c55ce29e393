"""Scenarios in files: what is misspelt is refused, and not ignored."""

from pathlib import Path

import orjson
import pytest

from simulation import saved
from simulation.catalog import ScenarioError
from simulation.generator import draw


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    saved.write(draw(seed), path)
    assert saved.read(path) == draw(seed)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"settles_in": 3}, "settles_in"),
        ({"load": {"rate": 5, "seconds": 1, "retrys": 1}}, "load.retrys"),
        ({"faults": [{"fault": "kill", "node": "worker-9", "at_s": 1}]}, "worker-9"),
        ({"faults": [{"fault": "kill", "node": "worker-1", "at_s": 1, "after": 2}]}, "after"),
    ],
)
def test_a_field_or_node_that_does_not_exist_is_refused(
    change: dict[str, object], what: str, tmp_path: Path
) -> None:
    path = tmp_path / "scenario.json"
    saved.write(draw(1), path)
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | change))
    with pytest.raises(ScenarioError, match=what):
        saved.read(path)
