"""`participation deploy`, `env`, `smoke` and `teardown` at the command line."""

import json

import pytest

from local.emulator.stack import StackOutputs
from tests.cli.conftest import Command

SECRET = "a secret of more than thirty-two bytes"  # pragma: allowlist secret


def test_env_prints_what_the_commands_need(
    command: Command, deployed: dict[str, str], stack: StackOutputs
) -> None:
    shown = command("env", "--stack", stack.work_group, **deployed)
    assert shown.code == 0, shown.err
    assert f"export TABLE_NAME={stack.table_name}\n" in shown.out
    assert f"export QUEUE_URL={stack.queue_url}\n" in shown.out
    assert f"export LAKE_BUCKET={stack.bucket_name}\n" in shown.out


def test_env_is_json_as_well_and_says_where_aws_is(
    command: Command, deployed: dict[str, str], stack: StackOutputs
) -> None:
    shown = json.loads(command("env", "--stack", stack.work_group, "--json", **deployed).out)

    assert shown["QUEUE_URL"] == stack.queue_url
    assert shown["AWS_REGION"] == deployed["AWS_REGION"]
    assert shown["AWS_ENDPOINT_URL"] == deployed["AWS_ENDPOINT_URL"]


@pytest.mark.parametrize("name", ["env", "smoke", "teardown"])
def test_a_pipeline_that_is_not_deployed_is_reported(
    command: Command, deployed: dict[str, str], name: str
) -> None:
    more = ["--yes"] if name == "teardown" else []
    shown = command(name, "--stack", "nowhere", *more, JWT_SECRET=SECRET, **deployed)
    assert shown.code == 1
    assert shown.err == (
        "participation: there is no stack nowhere in this account and region: is AWS_REGION right? "
        "`participation deploy` makes one\n"
    )


def test_smoke_needs_services_or_ingest_s_url(
    command: Command, deployed: dict[str, str], stack: StackOutputs
) -> None:
    shown = command("smoke", "--stack", stack.work_group, JWT_SECRET=SECRET, **deployed)
    assert shown.code == 1
    assert f"there is no stack {stack.work_group}-service" in shown.err


def test_smoke_says_where_it_failed(
    command: Command, deployed: dict[str, str], stack: StackOutputs
) -> None:
    arguments = ["--stack", stack.work_group, "--ingest-url", "http://127.0.0.1:1"]
    shown = command("smoke", *arguments, "--json", JWT_SECRET=SECRET, **deployed)
    assert shown.code == 1
    document = json.loads(shown.out)
    assert document["passed"] is False
    assert [step["key"] for step in document["steps"]] == ["eventCreated"]
    assert "with one seat created" in shown.err
    assert "participation: ingest did not answer: ConnectError" in shown.err


def test_smoke_without_any_way_to_a_token_says_so(
    command: Command, deployed: dict[str, str]
) -> None:
    shown = command("smoke", "--stack", "nowhere", **deployed)
    assert shown.code == 2
    assert "JWT_SECRET is not set" in shown.err


def test_teardown_asks_first(
    command: Command, deployed: dict[str, str], stack: StackOutputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.confirm", lambda _question, **_options: False)
    assert command("teardown", "--stack", stack.work_group, **deployed).code == 1
    assert command("env", "--stack", stack.work_group, **deployed).code == 0


def test_teardown_says_what_it_kept(
    command: Command, deployed: dict[str, str], stack: StackOutputs
) -> None:
    shown = command("teardown", "--stack", stack.work_group, "--yes", "--json", **deployed)
    assert shown.code == 0
    document = json.loads(shown.out)
    assert (document["stack"], document["dataDeleted"]) == (stack.work_group, False)
    assert document["outputs"]["BucketName"] == stack.bucket_name
    assert f"kept: table {stack.table_name}, bucket {stack.bucket_name}, queues " in shown.err
    assert f" {stack.queue_url.rpartition('/')[2]}, " in shown.err


def test_teardown_deletes_nothing_while_the_table_is_protected(
    command: Command, deployed: dict[str, str], stack: StackOutputs
) -> None:
    name = stack.work_group
    shown = command("teardown", "--stack", name, "--delete-data", "--yes", **deployed)
    assert shown.code == 1
    assert f"table {stack.table_name} is protected against deletion" in shown.err
    assert f"`participation deploy --stack {name} --set TableDeletionProtection=false`" in shown.err
    assert command("env", "--stack", name, **deployed).code == 0


@pytest.mark.parametrize("text", ["WorkerMinTasks", "=5"])
def test_a_parameter_without_name_or_value_is_refused(
    command: Command, deployed: dict[str, str], text: str
) -> None:
    shown = command("deploy", "--stack", "x", "--set", text, **deployed)
    assert shown.code == 2
    assert "PARAMETER=VALUE" in shown.err
