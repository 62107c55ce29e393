"""The command line as a whole: its commands, and one sentence for each foreseen error."""

import json
import sys
from dataclasses import replace

import pytest

from aws.client import Connection
from cli import config
from cli.main import main
from local.emulator.stack import StackOutputs
from tests import programs
from tests.cli.conftest import Command
from tests.faults.program import ran

REQUIRED = {"AWS_REGION": "ap-northeast-2", "QUEUE_URL": "http://q", "DLQ_URL": "http://d"}
SECRET = "a secret of more than thirty-two bytes"


def test_help_names_every_command(command: Command) -> None:
    shown = command("--help")

    assert shown.code == 0
    for name in (
        "worker",
        "ingest",
        "token",
        "demo",
        "config",
        "local",
        "events",
        "requests",
        "dlq",
        "lake",
    ):
        assert f" {name} " in shown.out


def test_wrong_settings_are_one_message_and_exit_code_2(command: Command) -> None:
    shown = command("worker", AWS_REGION="ap-northeast-2", POLLERS="none")

    assert shown.code == 2
    assert shown.err.startswith("participation: wrong settings:\n")
    assert "  QUEUE_URL is not set" in shown.err
    assert "  POLLERS='none': " in shown.err
    assert "Traceback" not in shown.err


def test_a_module_of_the_local_extra_that_is_missing_is_named_with_the_way_to_get_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_kind: object) -> object:
        raise ModuleNotFoundError("No module named 'duckdb'", name="duckdb")

    monkeypatch.setattr(config, "load", load)

    shown = command("config")

    assert shown.code == 2
    assert "this command needs duckdb" in shown.err
    assert "pip install '.[local]' in a checkout" in shown.err


def test_any_other_missing_module_is_a_defect_and_shows_itself(
    monkeypatch: pytest.MonkeyPatch, no_settings: None
) -> None:
    def load(_kind: object) -> object:
        raise ModuleNotFoundError("No module named 'unheard'", name="unheard")

    monkeypatch.setattr(config, "load", load)
    monkeypatch.setattr(sys, "argv", ["participation", "config"])

    with pytest.raises(ModuleNotFoundError, match="unheard"):
        main()


def test_the_worker_s_settings_in_force_are_printed_by_default(command: Command) -> None:
    shown = command("config", **REQUIRED, POLLERS="7")

    lines = dict(line.split("=", 1) for line in shown.out.splitlines())
    assert shown.code == 0
    assert lines["POLLERS"] == "7"
    assert lines["PROCESSORS"] == "20"
    assert lines["QUEUE_URL"] == "http://q"
    assert "JWT_SECRET" not in lines


def test_the_settings_in_force_are_json_with_numbers_as_numbers(command: Command) -> None:
    shown = command("config", "ingest", "--json", **REQUIRED, JWT_SECRET=SECRET)

    settings = json.loads(shown.out)
    assert settings["HTTP_PORT"] == 8080
    assert settings["PUBLISH_REQUESTED_EVENTS"] is False
    assert settings["AWS_ENDPOINT_URL"] is None
    assert (settings["JWT_SECRET"], settings["QUEUE_URL"]) == ("**********", "http://q")


def test_ingest_s_settings_in_force_are_printed_with_the_secret_masked(command: Command) -> None:
    shown = command("config", "ingest", **REQUIRED, JWT_SECRET=SECRET)

    assert shown.code == 0
    assert "JWT_SECRET=**********\n" in shown.out
    assert SECRET not in shown.out + shown.err
    assert "HTTP_PORT=8080\n" in shown.out


def test_wrong_settings_keep_a_short_secret_to_themselves(command: Command) -> None:
    shown = command("config", "ingest", **REQUIRED, JWT_SECRET="guess-me")

    assert shown.code == 2
    assert "JWT_SECRET=**********: must be at least 32 bytes long" in shown.err
    assert "guess-me" not in shown.out + shown.err


def test_a_password_in_a_url_is_never_printed(command: Command) -> None:
    refused = command("config", "ingest", **REQUIRED, JWKS_URL="https://user:hunter2@keys.example")
    shown = command("config", "ingest", **REQUIRED, JWKS_URL="https://keys.example/?key=hunter2")

    assert (refused.code, shown.code) == (2, 0)
    assert "JWKS_URL='https://**********@keys.example': must not hold" in refused.err
    assert "JWKS_URL=https://keys.example/?**********\n" in shown.out
    assert "hunter2" not in refused.out + refused.err + shown.out + shown.err


async def test_loading_the_command_line_loads_no_engine_server_or_worker() -> None:
    heavy = ("duckdb", "sqlglot", "ingest.server", "worker.daemon", "worker.pipeline")
    program = f"import sys, cli.main; print([m for m in {heavy!r} if m in sys.modules])"

    ended = await ran([sys.executable, "-c", program], {})

    assert (ended.exit_code, ended.output) == (0, "[]\n")


async def test_a_worker_without_its_resources_names_each_of_them_and_ends_with_2(
    connection: Connection, stack: StackOutputs
) -> None:
    queue_url = f"{stack.queue_url}-missing"
    lost = replace(stack, queue_url=queue_url, table_name="no-such-table")

    environment = programs.variables(connection, lost, POLERS="3")
    async with programs.participation("worker", environment=environment) as worker:
        ended = await worker.ended()

    assert ended.exit_code == 2, ended.output
    warning, line = ended.output.splitlines()
    assert '"name":"POLERS","meant":"POLLERS"' in warning
    assert '"event":"unknown_variable"' in warning
    assert '"event":"cannot_run"' in line
    assert f"QUEUE_URL={queue_url}" in line
    assert "TABLE_NAME=no-such-table" in line
    assert "EVENT_BUS_NAME" not in line
