"""What cannot work is reported before the embedded AWS is started."""

import signal
import socket
from pathlib import Path

import pytest

from config.settings import SettingsError
from local import start_checks
from tests import programs
from tests.worker.support import until

SECRET = "a secret of more than thirty-two bytes"


@pytest.fixture(autouse=True)
def _no_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*start_checks.PORTS, "POLLERS"):
        monkeypatch.delenv(name, raising=False)


def test_settings_that_work_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PORT", "not ours: the ports have variables of their own")
    monkeypatch.setenv("JWKS_URL", "https://keys.example")
    start_checks.check(SECRET)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("POLLERS", "none", "POLLERS='none'"),
        ("INGEST_HTTP_PORT", "http", "INGEST_HTTP_PORT='http' is not a port"),
        ("WORKER_HTTP_PORT", "65536", "WORKER_HTTP_PORT='65536' is not a port"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=reason):
        start_checks.check(SECRET)


def test_a_taken_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setenv("WORKER_HTTP_PORT", str(port))
        with pytest.raises(SettingsError, match=f"WORKER_HTTP_PORT={port}: .*choose another"):
            start_checks.check(SECRET)


def test_one_port_for_both_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    for variable in start_checks.PORTS:
        monkeypatch.setenv(variable, port)
    with pytest.raises(SettingsError, match="name the same port"):
        start_checks.check(SECRET)


@pytest.mark.parametrize("command", [["demo"], ["local", "up"]], ids=["demo", "up"])
async def test_a_bad_secret_ends_a_command_before_anything_is_started(
    tmp_path: Path, command: list[str]
) -> None:
    arguments = [*command, "--out", str(tmp_path)]
    async with programs.participation(*arguments, environment={"JWT_SECRET": "short"}) as program:
        ended = await program.ended()

    assert ended.exit_code == 2, ended.output
    assert "JWT_SECRET=**********: must be at least 32 bytes long" in ended.output
    assert "short" not in ended.output
    assert "starting" not in ended.output
    assert not _files(tmp_path)


async def test_ctrl_c_during_the_start_ends_in_one_line_of_ours(tmp_path: Path) -> None:
    arguments = ["demo", "--out", str(tmp_path)]
    async with programs.participation(*arguments, environment={}) as program:

        async def has_begun() -> bool:
            return "deploying" in program.output

        await until(has_begun)
        program.send(signal.SIGINT)
        ended = await program.ended(timeout_s=60)

    assert ended.exit_code == 130, ended.output
    assert ended.output.splitlines()[-1].startswith("participation: interrupted"), ended.output
    assert "Traceback" not in ended.output


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())
