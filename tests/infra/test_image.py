"""The container image, run for real; `infra/container/verify.sh` builds it and runs these."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import SIGKILL, SIGTERM

import httpx
import psutil
import pytest

from ingest import tokens
from operations import templates
from operations.templates import PIPELINE, QUERIES, SERVICE
from tests import programs
from tests.faults.program import Program, started
from tests.infra.image import Image, Way, built_image
from tests.worker.support import World, now_ms, request

BUILT = built_image()
WAYS: tuple[Way, ...] = ("buildah run", "read-only root")
SECRET = "a secret of thirty-two bytes or more"  # pragma: allowlist secret

pytestmark = [
    pytest.mark.skipif(
        BUILT is None, reason="needs the image that infra/container/verify.sh makes"
    ),
    pytest.mark.slow,
]


@pytest.fixture
def image() -> Image:
    assert BUILT is not None
    return BUILT


def environment(world: World, **more: str) -> dict[str, str]:
    return programs.variables(world.connection, world.stack, RECEIVE_WAIT_S="1", **more)


@asynccontextmanager
async def running(command: list[str]) -> AsyncIterator[Program]:
    """Run it; whatever it started ends with the block."""
    async with started(command, {}) as program:
        try:
            yield program
        finally:
            if program.is_running:
                for process in psutil.Process(program.pid).children(recursive=True):
                    process.send_signal(SIGKILL)


def in_image(image: Image, *program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a program of our own image
        image.any_command("buildah run", program, {}), capture_output=True, text=True, check=False
    )


def process_of(program: Program) -> psutil.Process:
    """The program proper; `buildah run` stands before it, and passes no signal on.

    Whatever runs containers for real signals the program, too.
    """
    top = psutil.Process(program.pid)
    (found,) = [
        process
        for process in (top, *top.children(recursive=True))
        if process.cmdline()[0].startswith("/opt/venv/")
    ]
    return found


@pytest.mark.parametrize("way", WAYS)
async def test_the_worker_decides_requests_and_drains_on_sigterm(
    world: World, image: Image, way: Way
) -> None:
    items = [request("event", f"user-{n}", queued_at_ms=now_ms() + n) for n in range(600)]
    await world.create_event("event", capacity=100)
    await world.enqueue(items)
    command = image.command(way, image.config["Cmd"], environment(world, BATCH_MAX_MESSAGES="10"))
    async with running(command) as worker:
        await worker.logged("worker_started")
        await world.until_decided("event", 50)
        assert process_of(worker).uids().real == 10001
        process_of(worker).send_signal(SIGTERM)
        end = await worker.ended()
    stopped = next(line for line in end.logs if line["event"] == "worker_stopped")
    statuses = await world.statuses("event")
    decided = statuses["SUCCEEDED"] + statuses["REJECTED"]
    assert end.exit_code == 0, end.output
    assert stopped["exit_code"] == 0
    assert stopped["abandoned"] == 0
    assert stopped["settled"] == decided >= 50
    assert (await world.queue.describe()).approximate_messages == len(items) - decided
    assert len(await world.published()) == decided


@pytest.mark.parametrize("way", WAYS)
async def test_ingest_accepts_a_click_and_ends_on_sigterm(
    world: World, image: Image, way: Way
) -> None:
    await world.create_event("event", capacity=1)
    command = image.command(way, ["ingest"], environment(world, JWT_SECRET=SECRET))
    token = tokens.issue(SECRET, "alice", now_s=now_ms() / 1000, expires_in_s=60)
    async with running(command) as ingest:
        url = (await ingest.logged("ingest_started"))["url"]
        assert process_of(ingest).uids().real == 10001
        async with httpx.AsyncClient(base_url=str(url), trust_env=False) as client:
            answer = await client.post(
                "/events/event/participations", headers={"Authorization": f"Bearer {token}"}
            )
            metrics = await client.get("/metrics")
        process_of(ingest).send_signal(SIGTERM)
        end = await ingest.ended()
    assert answer.status_code == 202, answer.text
    assert 'ingest_requests_total{route="participate",status="202"} 1.0' in metrics.text
    assert end.exit_code == 0, end.output
    assert (await world.item(answer.json()["requestId"])).user_id == "alice"


async def test_operators_commands_work_in_the_image(world: World, image: Image) -> None:
    variables = environment(world)

    async def participation(*arguments: str) -> tuple[int, str]:
        async with started(image.command("buildah run", arguments, variables), {}) as program:
            end = await program.ended()
        return end.exit_code, end.output

    assert (await participation("events", "create", "event", "--capacity", "3"))[0] == 0
    code, output = await participation("events", "show", "event")
    assert (code, "3 of 3 left" in output) == (0, True)
    code, output = await participation("dlq", "list")
    assert (code, "0 message(s)" in output) == (0, True)
    code, output = await participation("env", "--stack", world.stack.work_group)
    assert (code, f"TABLE_NAME={world.stack.table_name}" in output) == (0, True), output
    code, output = await participation("--version")
    assert (code, "(revision " in output) == (0, True), output
    code, output = await participation("--help")
    assert (code, "Usage: participation" in output) == (0, True), output
    code, output = await participation("config", "worker")
    assert (code, f"QUEUE_URL={world.stack.queue_url}" in output) == (0, True)


async def test_athena_is_asked_without_the_embedded_engine(world: World, image: Image) -> None:
    arguments = [
        *("lake", "query", "totals", "--engine", "athena", "--from", "2026-01-04"),
        *("--database", world.stack.database, "--workgroup", world.stack.work_group),
    ]
    async with started(image.command("buildah run", arguments, environment(world)), {}) as lake:
        end = await lake.ended()
    # The emulator's Athena has no data to answer with; that it was asked is what counts.
    assert end.exit_code == 2, end.output
    assert "Athena answered totals with columns that it does not have" in end.output


@pytest.mark.parametrize("template", [PIPELINE, QUERIES, SERVICE])
def test_the_image_can_deploy_what_it_belongs_to(image: Image, template: str) -> None:
    program = f"from operations import templates; print(templates.text({template!r}))"
    found = in_image(image, "python", "-c", program)
    assert found.stdout == templates.text(template) + "\n"


def test_the_image_says_how_it_is_run(image: Image) -> None:
    assert image.config["Entrypoint"] == ["participation"]
    assert image.config["Cmd"] == ["worker"]
    assert image.config["User"] == "10001:10001"
    assert image.config["StopSignal"] == "SIGTERM"
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.title"] == "participation-pipeline"
    assert labels["org.opencontainers.image.version"] != "0"


@pytest.mark.parametrize("module", ["pip", "setuptools", "hatchling", "duckdb", "pytest"])
def test_nothing_is_left_that_only_builds_or_tests(image: Image, module: str) -> None:
    found = in_image(image, "python", "-c", f"import {module}")
    assert f"No module named '{module}'" in found.stderr


@pytest.mark.parametrize("tool", ["gcc", "cc", "make", "git", "pip", "uv"])
def test_no_build_tool_is_left(image: Image, tool: str) -> None:
    found = in_image(image, "python", "-c", f"import shutil; print(shutil.which({tool!r}))")
    assert found.stdout.strip() == "None", found.stderr


def test_the_user_can_write_nothing_but_temporary_files(image: Image) -> None:
    found = in_image(
        image, "find", "/", "-xdev", "-writable", "-not", "-type", "l", "-not", "-path", "/proc/*"
    )
    writable = set(found.stdout.split())
    assert "/tmp" in writable  # noqa: S108 - the image's own
    elsewhere = {p for p in writable if not p.startswith(("/tmp", "/var/tmp", "/run/lock", "/dev"))}  # noqa: S108
    assert elsewhere == set()


def test_what_the_build_knew_of_its_package_index_is_not_in_the_image(image: Image) -> None:
    for name in ("etc/pip.conf", "run/index-ca.crt"):
        path = image.root / name
        assert not path.exists() or path.stat().st_size == 0
