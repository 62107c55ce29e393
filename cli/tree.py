"""The commands as one tree: its root's options, its help, and the variables that it reads."""

import inspect
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from config import build
from config.near_misses import near_misses
from local.start_checks import PORTS

Command = Any
"""Click's class: some versions of Typer bring a copy of their own along."""
_COMPLETION: Final = "_PARTICIPATION_COMPLETE"
"""Set by a shell that asks for completions, and reads all that is written."""
_SHOWN: Final = "display_type_rich"
_PROGRAMS: Final = (["worker"], ["ingest"])


def _show_version(is_asked: bool) -> None:
    if is_asked:
        made_of = "" if (commit := build.revision()) == build.UNKNOWN else f" (revision {commit})"
        typer.echo(f"participation {build.version()}{made_of}")
        raise typer.Exit


def root(
    _is_asked: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def warn_of_near_misses(command: Command) -> None:
    """Name misspelt variables on standard error; the long-running programs log them instead."""
    if _COMPLETION in os.environ or sys.argv[1:2] in _PROGRAMS:
        return
    for name, meant in near_misses(os.environ, variables(command) | set(PORTS)).items():
        sys.stderr.write(f"participation: nothing reads {name}; is {meant} meant?\n")


def of(app: typer.Typer) -> Command:
    """The command of an app, with help that names values and not the machine's types.

    A paragraph of help is one line, which the terminal's width breaks.
    """
    whole = typer.main.get_command(app)
    for command in commands(whole):
        paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
        command.help = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
        context = typer.Context(command)
        for parameter in (*command.params, command.get_help_option(context)):
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
            elif parameter.param_type_name == "argument" and hasattr(parameter, _SHOWN):
                # Newer versions of Typer show an argument's type whatever its metavar is.
                choices = parameter.display_type_rich(context)
                shown = choices if "|" in choices else ""
                setattr(parameter, _SHOWN, lambda ctx, shown=shown: shown)  # noqa: ARG005
    return whole


def commands(command: Command) -> Iterator[Command]:
    """A command and all below it."""
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from commands(below)


def variables(whole: Command) -> frozenset[str]:
    """The variables that options are taken from."""
    found: set[str] = set()
    for command in commands(whole):
        for option in command.params:
            if option.envvar:
                found.update([option.envvar] if isinstance(option.envvar, str) else option.envvar)
    return frozenset(found)
