"""`pip install .` gives a working `participation`: all that it needs is in the wheel."""

import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=cwd, env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout, built by the tools at hand: no index is asked."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, *build, "--wheel-dir", folder, ".", cwd=ROOT)
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with the wheel; its dependencies are this environment's."""
    environment = tmp_path_factory.mktemp("fresh")
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    purelib = Path(
        run(
            python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=environment
        ).strip()
    )
    (purelib / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    install = ("-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run(sys.executable, *install, wheel, cwd=environment)
    return python.parent


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert files <= set(ZipFile(wheel).namelist())


def test_the_command_runs_from_its_own_environment(fresh: Path, tmp_path: Path) -> None:
    where = run(fresh / "python", "-c", "import cli; print(cli.__file__)", cwd=tmp_path)
    shown = run(fresh / "participation", "--version", cwd=tmp_path)

    assert Path(where.strip()).is_relative_to(fresh.parent)
    assert shown == f"participation {PROJECT['project']['version']}\n"


def test_what_it_reads_beside_its_code_is_there(fresh: Path, tmp_path: Path) -> None:
    participation = fresh / "participation"
    run(participation, "lake", "generate", "--out=lake", "--requests=20", cwd=tmp_path)
    run(participation, "lake", "report", "--lake-dir=lake", "--out=report", cwd=tmp_path)

    assert (tmp_path / "report" / "index.html").read_text().startswith("<!doctype html>")
