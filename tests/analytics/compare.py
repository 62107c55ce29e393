"""Compares every query with the reference, in a process of its own time zone.

`python -m tests.analytics.compare LAKE FIRST_DAY LAST_DAY` ends with 1 where one differs.
"""

import sys
import time
from pathlib import Path

import anyio

from analytics import statements
from analytics.local_engine import LocalEngine
from analytics.parameters import Parameters
from tests.analytics.reference import ANSWERS, Lake


def questions(first: str, last: str) -> list[Parameters]:
    """The whole range; the first day alone; one event with a capacity; no slack."""
    whole = Parameters.parse(first, last)
    return [
        whole,
        Parameters(dt_from=whole.dt_from, dt_to=whole.dt_from),
        Parameters(dt_from=whole.dt_from, dt_to=whole.dt_to, event_id="event-2", capacity=900),
        Parameters(dt_from=whole.dt_to, dt_to=whole.dt_to, slack_days=0),
    ]


async def differences(folder: Path, asked: list[Parameters]) -> list[str]:
    """Name the queries whose rows are not the reference's."""
    lake = Lake(folder)
    found: list[str] = []
    async with LocalEngine(folder) as engine:
        for parameters in asked:
            for name in statements.query_names():
                result = await engine.run(name, parameters)
                expected = ANSWERS[name](lake, parameters)
                if list(result.rows) != expected:
                    where = next(
                        (
                            pair
                            for pair in zip(result.rows, expected, strict=False)
                            if pair[0] != pair[1]
                        ),
                        (len(result.rows), len(expected)),
                    )
                    found.append(f"{name} {parameters}: {where}")
    return found


def main() -> int:
    """Compare, and print what differs."""
    folder, first, last = sys.argv[1:4]
    asked = questions(first, last)
    found = anyio.run(differences, Path(folder), asked)
    count = len(statements.query_names()) * len(asked)
    sys.stdout.write("\n".join(found) + f"\n{count} answers compared in {time.tzname}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
