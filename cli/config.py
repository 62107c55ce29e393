"""`participation config`: the settings in force."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from cli.output import AsJson, write_json
from config.settings import CommonSettings, IngestSettings, WorkerSettings, effective, load


class Program(StrEnum):
    """The programs that have settings."""

    WORKER = "worker"
    INGEST = "ingest"


def config(
    program: Annotated[Program, typer.Argument(help="whose settings")] = Program.WORKER,
    as_json: AsJson = False,
) -> None:
    """Print the settings in force, secrets masked; exit code 2 where one is wrong.

    In JSON the keys are the variables' names, and numbers are numbers.
    """
    kind: type[CommonSettings] = WorkerSettings if program is Program.WORKER else IngestSettings
    settings = effective(load(kind))
    if as_json:
        write_json(settings)
        return
    for name, value in settings.items():
        sys.stdout.write(f"{name}={'' if value is None else value}\n")
