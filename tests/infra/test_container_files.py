"""What can be said of the container image without building it."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from config import build
from config.settings import IngestSettings, WorkerSettings
from tests.faults.program import ran

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LET_IN = [
    line.removeprefix("!")
    for line in (ROOT / ".dockerignore").read_text().splitlines()
    if line.startswith("!")
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRA = [
    re.split(r"[^\w-]", requirement)[0]
    for requirement in PROJECT["project"]["optional-dependencies"]["local"]
]


def pins(name: str) -> dict[str, str]:
    """The versions that a lock file holds."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements.lock", "infra/container/build.lock"])
def test_the_image_gets_the_versions_that_the_tests_ran_with(lock: str) -> None:
    assert pins(lock).items() <= pins("requirements-dev.lock").items()
    assert f"-r {Path(lock).name}" in DOCKERFILE


def test_every_installation_from_the_index_asks_for_hashes() -> None:
    commands = DOCKERFILE.replace("\\\n", " ").split("RUN ")[1:]
    installations = [
        part
        for command in commands
        for part in command.split("&&")
        if "pip install" in part or "/python install" in part
    ]
    assert len(installations) == 3
    for installation in installations:
        assert "--require-hashes" in installation or "--no-index" in installation


def test_the_base_image_is_the_newest_python_that_make_takes() -> None:
    base = re.search(r"python:(\d+\.\d+)-slim", DOCKERFILE)
    taken = re.search(r"^PYTHON \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert base is not None
    assert taken is not None
    versions = re.findall(r"python(\d+\.\d+)", taken[1])
    assert base[1] == versions[0]
    assert PROJECT["project"]["requires-python"] == f">={versions[-1]}"


def test_the_base_image_is_named_by_its_digest_everywhere() -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(images) == 2
    assert set(images) == {"${PYTHON_IMAGE}"}
    named = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert len(named) == 1
    assert re.fullmatch(r"python:[\w.-]+@sha256:[0-9a-f]{64}", named[0])


def test_the_build_is_given_what_the_wheel_holds_and_nothing_of_the_tests() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for package in packages:
        assert package in LET_IN or f"{package}/*.py" in LET_IN
    assert {path.split("/")[0] for path in LET_IN} - set(packages) == {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "requirements.lock",
    }


def test_the_programs_get_their_signals_and_no_rights() -> None:
    assert 'ENTRYPOINT ["participation"]' in DOCKERFILE
    assert 'CMD ["worker"]' in DOCKERFILE
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", DOCKERFILE, re.MULTILINE)


def test_the_programs_know_the_revision_that_the_image_was_built_of() -> None:
    last_stage = DOCKERFILE.rpartition("FROM ")[2]
    argument, _, environment = last_stage.partition("ENV ")
    assert "ARG REVISION=unknown\n" in argument
    assert f"{build.REVISION_VARIABLE}=${{REVISION}}" in environment


def test_the_ports_are_the_programs_defaults() -> None:
    ports = {s.model_fields["http_port"].default for s in (WorkerSettings, IngestSettings)}
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert exposed is not None
    assert {int(port) for port in exposed[1].split()} == ports


@pytest.mark.parametrize(
    "module",
    [
        "cli.main",
        "worker.daemon",
        "ingest.server",
        "analytics.athena_engine",
        "analytics.validation",
    ],
)
async def test_what_runs_in_the_image_needs_none_of_the_extras(module: str) -> None:
    # aiohttp stays: the AWS SDK brings it along.
    without = sorted(set(EXTRA) - {"aiohttp"})
    program = f"import sys; sys.modules.update(dict.fromkeys({without!r})); import {module}"
    ended = await ran([sys.executable, "-c", program], {})
    assert ended.exit_code == 0, ended.output


async def test_a_command_that_needs_an_extra_says_so_in_one_sentence() -> None:
    program = (
        "import sys; sys.modules['jinja2'] = None; sys.argv = "
        "['participation', 'lake', 'report', '--lake-dir', '.', '--out', '.'];"
        "from cli.main import main; main()"
    )
    ended = await ran([sys.executable, "-c", program], {})
    assert ended.exit_code == 2
    assert ended.output == (
        "participation: this command needs jinja2, of the extra `local`: "
        "pip install '.[local]' in a checkout\n"
    )
