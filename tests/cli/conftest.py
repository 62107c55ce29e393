"""What the command line's tests share: running a command as a person would, in this process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from aws.client import Connection
from aws.sdk import open_client
from aws.table import Table
from cli.main import main
from config.settings import IngestSettings, WorkerSettings
from local.emulator.stack import StackOutputs
from schema.items import RequestItem
from tests import programs
from tests.faults.proxy import FaultProxy
from tests.worker.support import World


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    code: object
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without any of our variables."""
    for kind in (WorkerSettings, IngestSettings):
        for name in kind.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_settings: None
) -> Command:
    """Runs `participation` with arguments; variables are given by keyword."""

    def run(*arguments: str, **variables: str) -> Result:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["participation", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        return Result(ended.value.code or 0, written.out, written.err)

    return run


@pytest.fixture
def deployed(connection: Connection, stack: StackOutputs) -> dict[str, str]:
    """The variables that lead a command to a fresh stack of the embedded AWS."""
    return programs.variables(connection, stack)


@pytest.fixture
def through(world: World, proxy: FaultProxy) -> dict[str, str]:
    """The variables that lead a command to a fresh stack by way of the proxy."""
    return {
        **programs.variables(world.connection, world.stack),
        "AWS_ENDPOINT_URL": proxy.endpoint_url,
    }


async def store(connection: Connection, table_name: str, *requests: RequestItem) -> None:
    """Write request items as they are."""
    async with open_client("dynamodb", connection) as client:
        assert not any(await Table(client, table_name, Random(0)).insert(requests))
