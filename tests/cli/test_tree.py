"""One command line: `--json` everywhere, help for people, a version, completion, near misses."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from cli import tree
from cli.main import app
from config.near_misses import near_misses
from local.start_checks import PORTS
from tests.cli.conftest import Command
from tests.config.test_near_misses import FOREIGN

WITHOUT_JSON = {"worker", "ingest", "local up"}
"""They run until they are stopped."""
ROOT = tree.of(app)


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path), command
        return
    for name, child in below.items():
        yield from leaves(child, (*path, name))


COMMANDS = dict(leaves(ROOT))


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WITHOUT_JSON))
def test_every_command_that_ends_by_itself_writes_json(name: str) -> None:
    assert any("--json" in option.opts for option in COMMANDS[name].params)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_says_what_it_is_for(name: str) -> None:
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.opts


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_names_values_and_not_the_machine_s_types(command: Command, name: str) -> None:
    shown = command(*name.split(), "--help", COLUMNS="200")

    assert shown.code == 0
    for machine in ("<bool>", "<str", "<int", "<float", "<list", "<path"):
        assert machine not in shown.out


def test_help_is_broken_by_the_terminal_s_width_alone(command: Command) -> None:
    shown = command("status", "--help", COLUMNS="160").out

    assert "some minutes old. Exit code 1 where nothing can be read." in shown


def test_choices_are_shown(command: Command) -> None:
    assert "<worker|ingest>" in command("config", "--help", COLUMNS="200").out
    assert "<FIRST_COME|LOTTERY>" in command("events", "create", "--help", COLUMNS="200").out


def test_a_parameter_without_a_kind_of_its_own_would_be_found(command: Command) -> None:
    bare = typer.Typer()

    @bare.command()
    def plain(value: str, *, count: int = 1) -> None:
        """Take what has no metavar."""

    (option,) = [p for p in tree.of(bare).params if "--count" in p.opts]
    assert "<int>" in option.display_type_rich(typer.Context(tree.of(bare)))


def test_the_version_is_shown_and_in_an_image_its_revision(command: Command) -> None:
    assert command("--version").out.startswith("participation ")
    shown = command("--version", PARTICIPATION_REVISION="0123abc")
    assert shown.code == 0
    assert shown.out.endswith(" (revision 0123abc)\n")


def test_a_shell_gets_completions_and_nothing_else(command: Command) -> None:
    shown = command(
        _PARTICIPATION_COMPLETE="complete_bash",
        COMP_WORDS="participation lake query --format ",
        COMP_CWORD="4",
        POLERS="3",
    )

    assert (shown.code, shown.out.split(), shown.err) == (0, ["table", "csv", "json"], "")


def test_a_completion_can_be_shown(command: Command) -> None:
    shown = command("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")

    assert shown.code == 0
    assert shown.out.splitlines()[-1].endswith(" _participation_completion participation")


def test_other_software_s_variables_are_near_none_that_a_command_reads() -> None:
    assert near_misses(FOREIGN, tree.variables(ROOT) | set(PORTS)) == {}


def test_a_misspelt_variable_is_named_with_the_right_one_once(command: Command) -> None:
    shown = command("config", POLERS="3", LAKE_BUKET="x", AWS_REGION="r", QUEUE_URL="q")

    assert shown.code == 2
    assert shown.err.splitlines()[:3] == [
        "participation: nothing reads LAKE_BUKET; is LAKE_BUCKET meant?",
        "participation: nothing reads POLERS; is POLLERS meant?",
        "participation: wrong settings:",
    ]
