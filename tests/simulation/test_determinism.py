"""One seed, one run: to the last step, in every process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable

import pytest

from simulation.generator import draw
from simulation.run import simulate
from tests.simulation.mutants.mutation import ROOT

SEEDS = (2, 3, 5, 8)
_PROGRAM = """\
import json, logging, sys, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
from simulation.generator import draw
from simulation.run import simulate
print(json.dumps([simulate(draw(int(seed))).digest for seed in sys.argv[1:]]))
"""


def digests_elsewhere(seeds: Iterable[int], hash_seed: str) -> list[str]:
    """The digests of runs in a process whose sets of strings have another order."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _PROGRAM, *map(str, seeds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.usefixtures("quiet")
def test_a_seed_has_one_digest_in_every_process() -> None:
    here = [simulate(draw(seed)).digest for seed in SEEDS]
    assert len(set(here)) == len(SEEDS)
    assert digests_elsewhere(SEEDS, "1") == here
    # Whatever ran before in the same process.
    assert digests_elsewhere(reversed(SEEDS), "2") == here[::-1]
