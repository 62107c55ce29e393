"""`make attack`: attacks a running ingest, or one of its own, and prints what held."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Final

from config.settings import IngestSettings
from local.emulator import ministack
from runtime import open_files
from tests.security import own
from tests.security.attack import Result, run
from tests.security.attacks import ALL, BY_NAME
from tests.security.client import Target

_SECONDS: Final = 15.0
"""More than HEAD_TIMEOUT_S, within which slow and silent connections must end."""
_WITHIN_S: Final = 1.0
_INTERRUPTED: Final = 130
_FILES: Final = 512
"""File descriptors besides the attackers' connections."""


def main() -> int:
    """Attack, and print the table; 1 where a verdict is bad."""
    given = _arguments()
    try:
        results = asyncio.run(_attack(given))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    if given.json:
        rows = [{**asdict(result), "verdict": result.verdict} for result in results]
        print(json.dumps(rows, indent=1))
    return 1 if any(result.faults for result in results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.security",
        description="Attacks ingest while others use it. Without --url: one of its own.",
    )
    names = ", ".join(BY_NAME)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {names}; default: all")
    parser.add_argument("--url", help="of a running ingest, that may break")
    parser.add_argument("--pid", type=int, help="its process on this machine, for memory and logs")
    parser.add_argument("--token", help="a valid user's, who clicks meanwhile")
    parser.add_argument("--attacker-token", help="another valid user's, who attacks")
    parser.add_argument("--event", default="event-1", help="the event to click on")
    parser.add_argument(
        "--connections",
        type=int,
        default=IngestSettings.model_fields["max_connections"].default,
        help="its MAX_CONNECTIONS",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=_SECONDS,
        help="how long an attack may take, about; more than its HEAD_TIMEOUT_S",
    )
    parser.add_argument(
        "--within", type=float, default=_WITHIN_S, help="seconds in which an answer must come"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in BY_NAME]
    if unknown:
        parser.error(f"no such attack: {', '.join(unknown)}")
    return given


async def _attack(given: argparse.Namespace) -> list[Result]:
    open_files.allow(given.connections + _FILES)
    attacks = [BY_NAME[name] for name in given.names] or ALL
    out = sys.stderr if given.json else sys.stdout
    print(_line("attack", "others", "memory", "log", "verdict; sent; came back"), file=out)
    results: list[Result] = []
    async with _target(given) as found:
        target = replace(found, patience_s=given.within)
        for attack in attacks:
            print(f"{attack.name} …", end="\r", file=sys.stderr, flush=True)
            result = await run(attack, target, given.seconds)
            results.append(result)
            print(_row(result), file=out, flush=True)
    return results


@asynccontextmanager
async def _target(given: argparse.Namespace) -> AsyncIterator[Target]:
    if given.url is not None:
        yield replace(
            own.target_of(given.url, given.connections),
            pid=given.pid,
            token=given.token,
            attacker_token=given.attacker_token,
            event=given.event,
        )
        return
    async with (
        ministack.running() as emulator,
        own.running(emulator.connection, connections=given.connections) as (_, target),
    ):
        yield target


def _row(result: Result) -> str:
    return _line(
        result.name,
        f"{result.bystander_s * 1_000:.0f} ms",
        "-" if result.rss_mb is None else f"{result.rss_mb:+.0f} MB",
        "-" if result.log_mb is None else f"{result.log_mb:.1f} MB",
        "; ".join(part for part in (result.verdict, result.sent, result.came_back) if part),
    )


def _line(name: str, others: str, memory: str, log: str, text: str) -> str:
    return f"{name:<21} {others:>9} {memory:>9} {log:>9}  {text}"


if __name__ == "__main__":
    sys.exit(main())
