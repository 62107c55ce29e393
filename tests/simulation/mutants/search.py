"""One process for one mutation: runs seeds on the mutated product, and prints what it finds.

`python -m tests.simulation.mutants.search NAME SEED…` prints a JSON object of the seeds that found
it, each with the rule that it breaks.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Iterable, Mapping

from tests.simulation.mutants import loading
from tests.simulation.mutants.catalogue import BY_NAME
from tests.simulation.mutants.mutation import ROOT, Mutation


def find(mutation: Mutation, seeds: Iterable[int]) -> Mapping[int, str]:
    """Run seeds on a mutation in a process of its own: the rule that each breaks, if it does.

    Raises RuntimeError where that process fails.
    """
    command = [sys.executable, "-m", f"{__package__}.search", mutation.name, *map(str, seeds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{mutation.name}: {done.stderr}")
    found: dict[str, str] = json.loads(done.stdout)
    return {int(seed): rule for seed, rule in found.items()}


def _search(mutation: Mutation, seeds: Iterable[int]) -> dict[int, str]:
    loading.install(mutation)
    # Only now: what these import is the product, with the mutation in it.
    import structlog  # noqa: PLC0415

    from simulation.generator import draw  # noqa: PLC0415
    from simulation.run import simulate  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    outcomes = {seed: simulate(draw(seed)) for seed in seeds}
    return {
        seed: outcome.violation.rule
        for seed, outcome in outcomes.items()
        if outcome.violation is not None
    }


if __name__ == "__main__":
    print(json.dumps(_search(BY_NAME[sys.argv[1]], map(int, sys.argv[2:]))))  # noqa: T201
