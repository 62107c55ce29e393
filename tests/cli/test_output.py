"""How the command line names itself, and asks."""

import io
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


class Terminal(io.StringIO):
    """A person, who presses what ends the input."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdin", "code", "said"),
    [
        (Terminal(), 130, "interrupted: nothing was changed"),
        (io.StringIO(), 1, "nobody is there to answer: give --yes"),
        (io.StringIO("n\n"), 1, "nothing was changed"),
    ],
)
def test_a_question_without_a_yes_ends_the_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stdin: io.StringIO,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)

    with pytest.raises(SystemExit) as ended:
        output.confirm("Really?")

    assert ended.value.code == code
    written = capsys.readouterr()
    assert said in written.err
    assert written.out.strip() == ""
