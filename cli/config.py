"""`participation config`: the settings in force."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from config.settings import CommonSettings, IngestSettings, WorkerSettings, effective, load


class Program(StrEnum):
    """The programs that have settings."""

    WORKER = "worker"
    INGEST = "ingest"


def config(
    program: Annotated[Program, typer.Argument(help="whose settings")] = Program.WORKER,
) -> None:
    """Print the settings in force, secrets masked; exit code 2 where one is wrong."""
    kind: type[CommonSettings] = WorkerSettings if program is Program.WORKER else IngestSettings
    for name, value in effective(load(kind)).items():
        sys.stdout.write(f"{name}={value}\n")
