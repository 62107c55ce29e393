"""`python -m bench`: runs the benchmarks and prints their tables; `--full` stores the results."""

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import report, reproduced, schema, worker
from bench.environment import BenchError, cores, machine, peers_python, versions
from bench.measure import Arena
from bench.report import Section
from bench.stub_process import running_stub

SECTIONS = ("worker", "calls", "ingest", "schema", "lake")
Step = Callable[[str], None]


def main() -> int:
    """Run what the arguments ask for; returns the exit code."""
    arguments = _arguments()
    console, status = Console(), Console(stderr=True)
    try:
        sections = [
            section
            for name in arguments.only or SECTIONS
            if (section := _run(name, arguments, status)) is not None
        ]
    except BenchError as error:
        status.print(f"bench: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        status.print("bench: interrupted; nothing was stored")
        return 130
    for section in sections:
        report.show(section, console)
    if arguments.full or arguments.store:
        peers = peers_python() if any(s.name == "worker" for s in sections) else None
        date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        report.store(sections, date, machine(), versions(peers))
        console.print(f"written: {report.RESULTS_MD.name}, {report.RESULTS_JSON.name} in bench/")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the pipeline's cost per message and per request against peers, "
        "on this machine, against a stand-in for AWS. The short version takes under 5 minutes.",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="every combination, medians of several runs (about an hour); "
        "writes bench/RESULTS.md and bench/results.json",
    )
    parser.add_argument(
        "--store",
        action="store_true",
        help="write the results as --full does, whatever was measured",
    )
    parser.add_argument("--runs", type=int, help="runs of each combination (default: 1; full: 5)")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=f"of {', '.join(SECTIONS)}"
    )
    return parser.parse_args()


def _run(name: str, arguments: argparse.Namespace, status: Console) -> Section | None:
    """Run one section; None where the project does not have it."""
    runs = arguments.runs or (5 if arguments.full else 1)
    if name == "worker":
        return _run_worker(runs, arguments, status)
    if name == "schema":
        with _progress(status, 1) as step:
            step("schema: encoding and decoding")
            return schema.section(full=arguments.full)
    if importlib.util.find_spec(f"bench.{name}") is None:
        status.print(f"bench: there is no {name} benchmark here; left out")
        return None
    module = importlib.import_module(f"bench.{name}")
    with _progress(status, 1) as step:
        step(name)
        section: Section = module.section(full=arguments.full)
        return section


def _run_worker(runs: int, arguments: argparse.Namespace, status: Console) -> Section:
    tasks = worker.full_tasks(runs) if arguments.full else worker.short_tasks(runs)
    chosen = cores()
    with _progress(status, len(tasks)) as step:
        step("making the frameworks' environment (once)")
        python = peers_python()
        with running_stub(chosen.other) as stub:
            found = worker.run(tasks, Arena(stub, chosen, python), step)
    section, stored = worker.section(found), report.stored().get("worker")
    if stored is None or arguments.full or arguments.store:
        return section
    return reproduced.compared(section, found, stored)


@contextmanager
def _progress(status: Console, total: int) -> Iterator[Step]:
    """A progress line; each call begins a step and ends the one before."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=status, transient=True) as progress:
        task = progress.add_task("", total=total + 1)

        def step(text: str) -> None:
            progress.update(task, description=text, advance=1)

        yield step


if __name__ == "__main__":
    sys.exit(main())
