"""Runs every mutation on many seeds, and shows how many find it: `make simulate-mutants`."""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from tests.simulation.mutants.catalogue import ALL, BY_NAME
from tests.simulation.mutants.mutation import Mutation
from tests.simulation.mutants.search import find

_SEEDS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """What many seeds made of one mutation."""

    name: str
    breaks: str
    seeds: int
    found: int
    """How many of the seeds found it."""
    needed: int | None
    """How many seeds, counted from the first, it takes to find it; None: all are too few."""
    rules: Mapping[str, int]
    """How many seeds broke each rule first, the most frequent rule first."""


def measure(mutation: Mutation, seeds: int) -> Row:
    """Run the seeds from 0 on."""
    found = find(mutation, range(seeds))
    return Row(
        mutation.name,
        mutation.breaks,
        seeds,
        len(found),
        min(found) + 1 if found else None,
        dict(Counter(found.values()).most_common()),
    )


def line(row: Row) -> str:
    """One line of the table."""
    rules = ", ".join(f"{rule} {count}" for rule, count in row.rules.items())
    return f"{row.name:<32} {row.found:>4} of {row.seeds}   {row.needed or '-':>4}   {rules}"


def main() -> int:
    """Print the table; 1 if any mutation was not found."""
    parser = argparse.ArgumentParser(prog="make simulate-mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these mutations alone")
    parser.add_argument("--seeds", type=int, default=_SEEDS, help=f"default: {_SEEDS}")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    given = parser.parse_args()
    mutations = [BY_NAME[name] for name in given.names] or ALL
    rows: list[Row] = []
    out = sys.stderr if given.json else sys.stdout
    print(f"{'mutation':<32} {'found by':>11}   first   by which rule", file=out)
    # Each search is a process: threads only wait for them.
    with ThreadPoolExecutor(os.cpu_count()) as searches:
        for row in searches.map(lambda mutation: measure(mutation, given.seeds), mutations):
            rows.append(row)
            print(line(row), file=out, flush=True)
    missed = [row.name for row in rows if not row.found]
    if given.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))  # noqa: T201
    if missed:
        print(f"not found: {', '.join(missed)}", file=sys.stderr)  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
