"""`make` finds a Python that can run the project, or says what to install."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("make", "sh", "mkdir", "touch", "cat", "chmod")
STAND_IN = "#!/bin/sh\nexit 127\n"
"""What a version manager leaves for a Python that is not installed."""
PYTHON = """#!/bin/sh
case "$2" in
  *version_info*) exit {too_old} ;;
  *ensurepip*) exit {bare} ;;
esac
mkdir -p .venv/bin
echo {name} > .venv/made-by
printf '#!/bin/sh\\n' > .venv/bin/pip
chmod +x .venv/bin/pip
"""


@dataclass(frozen=True)
class Machine:
    """A folder with the Makefile, and the only programs that it finds."""

    folder: Path

    def add(self, name: str, *, too_old: bool = False, bare: bool = False) -> None:
        self._write(name, PYTHON.format(name=name, too_old=int(too_old), bare=int(bare)))

    def add_stand_in(self, name: str) -> None:
        self._write(name, STAND_IN)

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - the project's own Makefile
            [self.folder / "bin" / "make", "setup", *arguments],
            cwd=self.folder,
            env={"PATH": str(self.folder / "bin")},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def made_by(self) -> str:
        return (self.folder / ".venv" / "made-by").read_text().strip()

    def _write(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(script)
        path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    for name in ("Makefile", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return Machine(tmp_path)


def test_the_newest_that_runs_makes_the_environment(machine: Machine) -> None:
    machine.add_stand_in("python3.14")
    for name in ("python3.11", "python3.13", "python3"):
        machine.add(name)
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert machine.made_by == "python3.13"


def test_one_that_cannot_make_environments_is_passed_over(machine: Machine) -> None:
    machine.add("python3.13", bare=True)
    machine.add("python3.12")
    assert machine.setup().returncode == 0
    assert machine.made_by == "python3.12"


def test_another_can_be_named(machine: Machine) -> None:
    machine.add("python3.13")
    machine.add("pypy")
    assert machine.setup("PYTHON=pypy").returncode == 0
    assert machine.made_by == "pypy"


def test_an_environment_that_is_there_is_not_made_again(machine: Machine) -> None:
    machine.add("python3.12")
    machine.setup()
    machine.add("python3.13")
    assert machine.setup().returncode == 0
    assert machine.made_by == "python3.12"


def test_without_the_venv_module_it_says_what_to_install(machine: Machine) -> None:
    machine.add("python3", bare=True)
    done = machine.setup()
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        "make: python3 cannot make virtual environments; install its venv module "
        "(Debian, Ubuntu: apt-get install python3-venv)"
    )


def test_without_a_python_it_says_what_to_install(machine: Machine) -> None:
    machine.add_stand_in("python3.12")
    machine.add("python3", too_old=True)
    done = machine.setup()
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith(
        "make: none of these is a Python from 3.11 to 3.14 that runs: python3.14 "
    )
    assert "apt-get install python3 python3-venv" in done.stderr
