"""What `participation simulate` does with a scenario: run it, report it, and shrink a failure."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

import orjson
import structlog
import typer
from rich.console import Console
from rich.text import Text

from config import logs
from runtime.stop import ExitCode
from simulation import campaign, catalog, saved
from simulation.campaign import Trial
from simulation.catalog import ScenarioError, Wishes
from simulation.failure import smallest
from simulation.outcome import Outcome
from simulation.report import document, page
from simulation.report.progress import Progress
from simulation.run import simulate
from simulation.scenario import Scenario

INTERRUPTED: Final = "interrupted"
_FOLDER: Final = Path("var/simulation")
_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What is to be shown, and how."""

    as_json: bool
    html: Path | None
    is_shrunk: bool
    log_level: str | None


def one(scenario: Scenario, replay: str, output: Output) -> bool:
    """Run one scenario and report it; returns whether every check holds."""
    _configure_logs(output.log_level)
    with _interruptible(), _progress() as progress:
        outcome = simulate(scenario, progress.second)
    if output.html is not None:
        from simulation.report.html import render

        output.html.parent.mkdir(parents=True, exist_ok=True)
        output.html.write_text(render(outcome, replay), encoding="utf-8")
    if output.as_json:
        typer.echo(orjson.dumps(document.of_run(outcome, replay)))
    else:
        page.show(Console(), outcome)
    if outcome.violation is not None:
        _explain(outcome, replay, output)
    return outcome.violation is None


def many(name: str, seeds: range, wishes: Wishes, jobs: int | None, output: Output) -> bool:
    """Run a scenario with many seeds and report all; returns whether every check holds."""
    prepare = partial(_configure_logs, output.log_level)
    prepare()
    scenarios = [catalog.scenario(name, seed, wishes) for seed in seeds]
    began_s = time.monotonic()
    trials: list[Trial] = []
    with _progress() as progress:
        for trial in campaign.run(iter(scenarios), jobs or os.cpu_count() or 1, prepare):
            trials.append(trial)
            failures = sum(one.violation is not None for one in trials)
            progress.show(f"{len(trials):,} of {len(seeds):,} seeds, {failures:,} failed")
    trials.sort(key=lambda trial: trial.seed)
    sums = campaign.summed(trials)
    if output.as_json:
        typer.echo(orjson.dumps(document.of_campaign(trials, sums)))
    else:
        page.show_sums(Console(), sums, time.monotonic() - began_s)
    failed = [trial for trial in trials if trial.violation is not None]
    for trial in failed:
        _errors().print(_headline(trial), style="red", soft_wrap=True)
    if failed:
        scenario = scenarios[seeds.index(failed[0].seed)]
        with _interruptible(), _progress() as progress:
            outcome = simulate(scenario, progress.second)
        _explain(outcome, catalog.command(name, scenario.seed, wishes), output)
    return not failed


def _explain(outcome: Outcome, replay: str, output: Output) -> None:
    """Print what leads to a failure: the smallest run that shows it, and how to run it again."""
    messages = _errors()
    shown = outcome
    if output.is_shrunk:
        with _interruptible(), _progress() as progress:
            found = smallest(
                outcome,
                lambda runs, scenario: progress.show(
                    f"shrinking, run {runs}: {len(scenario.faults)} faults"
                ),
            )
        shown = found.outcome
    end = "-smallest" if output.is_shrunk else ""
    path = _FOLDER / f"{outcome.scenario.name}-{outcome.scenario.seed}{end}.json"
    saved.write(shown.scenario, path)
    if shown.violation is not None:
        text = f"{shown.violation.rule}: {shown.violation.text}"
        messages.print(Text(text, style="bold red"), soft_wrap=True)
    page.show_steps(messages, shown)
    clicks, faults = shown.figures.clicks, len(shown.scenario.faults)
    which = "the smallest run found" if output.is_shrunk else "this run"
    for line in (
        f"seed {outcome.scenario.seed}; {which} has {clicks:,} clicks and {faults} faults",
        f"again:    {replay}",
        f"{'smallest' if output.is_shrunk else 'from file'}: participation simulate --file {path}",
    ):
        messages.print(Text(line), soft_wrap=True)


def _headline(trial: Trial) -> Text:
    violation = trial.violation
    text = "" if violation is None else f"{violation.rule}: {violation.text}"
    return Text(f"seed {trial.seed}  {text}")


def _errors() -> Console:
    return Console(stderr=True, highlight=False)


def _progress() -> Progress:
    return Progress(_errors(), time.monotonic)


def _configure_logs(level: str | None) -> None:
    """Show what the simulated programs log from a level on, or nothing of it."""
    if level is None:
        silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
        structlog.configure(wrapper_class=silent)
    elif level in _LEVELS:
        logs.configure(level, "console")
    else:
        raise ScenarioError(f"--log-level {level}: it is one of {', '.join(_LEVELS)}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process: to stop a simulation in order would be to simulate on."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        _errors().show_cursor()
        sys.stderr.write(f"participation: {INTERRUPTED}\n")
        sys.stderr.flush()
        os._exit(ExitCode.INTERRUPTED)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
