"""MiniStack's own virtual environment: made once, whole or not at all."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from local.emulator.environment import ensure_python
from local.errors import LocalError


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    """A lock file that asks for nothing, so that pip needs no index."""
    path = tmp_path / "some.lock"
    path.write_text("# nothing\n")
    return path


@pytest.fixture
def closed_index_url() -> Iterator[str]:
    """An index that refuses connections: the port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/simple"


def environment_of(lock_file: Path) -> Path:
    digest = hashlib.sha256(lock_file.read_bytes()).hexdigest()[:12]
    return lock_file.with_name(f"ministack-{digest}")


def folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()]


async def test_two_concurrent_callers_build_one_environment_and_both_get_it(
    tmp_path: Path, lock_file: Path
) -> None:
    pythons: list[Path] = []

    async def ensure() -> None:
        pythons.append(await ensure_python(tmp_path, lock_file))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ensure)
        tasks.start_soon(ensure)
    python = environment_of(lock_file) / "bin" / "python"
    assert pythons == [python, python]
    code = "import sys; print(sys.prefix)"
    done = await anyio.run_process([str(python), "-I", "-c", code])
    assert Path(done.stdout.decode().strip()) == python.parent.parent
    assert folders(tmp_path) == [environment_of(lock_file)]


async def test_an_environment_that_exists_is_used_as_it_is(tmp_path: Path, lock_file: Path) -> None:
    python = environment_of(lock_file) / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("the interpreter")
    assert await ensure_python(tmp_path, lock_file) == python
    assert python.read_text() == "the interpreter"


async def test_what_a_killed_build_left_is_built_anew(tmp_path: Path, lock_file: Path) -> None:
    left_over = environment_of(lock_file).with_suffix(".building")
    left_over.mkdir()
    (left_over / "half").write_text("of a build")
    python = await ensure_python(tmp_path, lock_file)
    assert python.exists()
    assert not (python.parent.parent / "half").exists()
    assert not left_over.exists()


async def test_without_an_index_the_error_says_so_and_nothing_is_left(
    tmp_path: Path, closed_index_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", closed_index_url)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for variable in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(variable, raising=False)
    lock_file = tmp_path / "some.lock"
    lock_file.write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(LocalError, match="no package index is reachable") as caught:
        await ensure_python(tmp_path, lock_file)
    assert "\n" not in str(caught.value)
    assert folders(tmp_path) == []


async def test_a_folder_that_cannot_hold_it_is_named(tmp_path: Path, lock_file: Path) -> None:
    with pytest.raises(LocalError, match=r"no-such-folder: No such file or directory"):
        await ensure_python(tmp_path / "no-such-folder", lock_file)
