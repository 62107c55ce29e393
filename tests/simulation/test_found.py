"""What the simulation once found stays fixed: the smallest run that showed each defect."""

from pathlib import Path

import pytest

from simulation import saved
from simulation.run import simulate

FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_a_run_that_once_failed_holds(path: Path) -> None:
    assert simulate(saved.read(path)).violation is None


def test_there_is_something_that_was_found() -> None:
    assert FOUND
