"""`participation simulate`: the whole pipeline on virtual time, with AWS's limits and faults."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.output import AsJson, fail
from config import quotas
from config.quotas import LimitError
from runtime.stop import ExitCode
from simulation import catalog, saved
from simulation.catalog import ScenarioError, Wishes

if TYPE_CHECKING:
    from cli.simulate_run import Output

_WRONG: Final = 2
_SHRUNK: Final = (
    "Exit code 1 where a check fails: the run is then shrunk, and the smallest scenario found that "
    "still fails is written to a file in var/simulation."
)
HELP: Final = "\n\n".join(
    [
        "Run the real programs on a model of AWS, in virtual time, and check all that they do.",
        _SHRUNK,
        "Scenarios:",
        *(f"{entry.name}: {entry.sentence}" for entry in catalog.CATALOG.values()),
    ]
)


def simulate(
    *,
    scenario: Annotated[str, typer.Argument(help="a scenario's name")] = "flash",
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="run the scenario of this file")
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="decides everything that is left to chance")
    ] = 1,
    runs: Annotated[
        int, typer.Option(min=1, metavar="COUNT", help="so many seeds, from --seed on")
    ] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="COUNT", help="processes for --runs; default: one per core"),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.1, metavar="CLICKS", help="clicks a second")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="how long they click")
    ] = None,
    seats: Annotated[
        int | None, typer.Option(min=0, metavar="SEATS", help="seats of the event")
    ] = None,
    region: Annotated[str | None, typer.Option(metavar="REGION", help="whose quotas apply")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="COUNT", help="worker tasks; default: as `participation plan` has it"
        ),
    ] = None,
    ingests: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="COUNT", help="ingest tasks; default: as `participation plan` has it"
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="NAME=none switches a limit off, all=none every one"
        ),
    ] = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write a page with charts")
    ] = None,
    no_shrink: Annotated[bool, typer.Option("--no-shrink", help="keep a failure as it is")] = False,
    log_level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL", help="show what the programs log: debug, info, warning, error"
        ),
    ] = None,
) -> None:
    """Run scenarios: `HELP` says which there are."""
    from cli.simulate_run import INTERRUPTED, Output

    try:
        wishes = Wishes(
            rate=rate,
            seconds=seconds,
            seats=seats,
            region=region,
            workers=workers,
            ingests=ingests,
            limits=quotas.parsed(limit or ()),
        )
        output = Output(as_json=as_json, html=html, is_shrunk=not no_shrink, log_level=log_level)
        holds = _run(scenario, file, range(seed, seed + runs), jobs, wishes, output)
    except (ScenarioError, LimitError) as error:
        fail(str(error), _WRONG)
    except KeyboardInterrupt:
        fail(INTERRUPTED, ExitCode.INTERRUPTED)
    sys.exit(0 if holds else 1)


def _run(
    name: str, file: Path | None, seeds: range, jobs: int | None, wishes: Wishes, output: "Output"
) -> bool:
    from cli.simulate_run import many, one

    if file is not None:
        if wishes != Wishes() or len(seeds) > 1:
            raise ScenarioError("a file says all of a scenario: --file goes with no other choice")
        return one(saved.read(file), f"participation simulate --file {file}", output)
    if len(seeds) == 1:
        made = catalog.scenario(name, seeds[0], wishes)
        return one(made, catalog.command(name, seeds[0], wishes), output)
    if output.html is not None:
        raise ScenarioError("--html is about one run: give it without --runs")
    return many(name, seeds, wishes, jobs, output)
