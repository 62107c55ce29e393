"""How the command line names itself, and writes times."""

import sys
from pathlib import Path

import pytest

from cli import output


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "venv/bin/participation"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("on_path", "name"),
    [("venv/bin", "participation"), ("elsewhere", "venv/bin/participation")],
)
def test_the_command_line_names_itself_as_it_can_be_called_again(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / on_path))
    monkeypatch.setattr(sys, "argv", [str(script), "demo"])

    assert output.command_name() == name
