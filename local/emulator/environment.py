"""MiniStack's virtual environment: built once below the project's own, from its hashed lock.

It pins another botocore than aioboto3 does, so it cannot share the project's environment.
"""

import fcntl
import hashlib
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import IO, Final

import anyio
from anyio import to_thread

from local.errors import LocalError

_WAIT_FOR_OTHERS_S: Final = 0.1
_HASH_DIGITS: Final = 12


async def ensure_python(parent: Path | None = None, lock_file: Traversable | None = None) -> Path:
    """Return the environment's interpreter, after building the environment where it is missing.

    `parent` is the folder to hold it (default: `sys.prefix`). Concurrent processes are safe: the
    second waits for the first; a build that was killed starts again. Raises LocalError.
    """
    parent = parent or Path(sys.prefix)
    lock_file = lock_file or _lock_file()
    environment = _folder(parent, lock_file)
    python = environment / "bin" / "python"
    if python.exists():
        return python
    async with _sole_builder(parent / f"{environment.name}.guard"):
        if not python.exists():
            with as_file(lock_file) as requirements:
                await _build(environment, requirements)
    return python


def is_built() -> bool:
    """Whether the environment is there already."""
    return _folder(Path(sys.prefix), _lock_file()).exists()


def _lock_file() -> Traversable:
    return files("local.emulator") / "ministack.lock"


def _folder(parent: Path, lock_file: Traversable) -> Path:
    digest = hashlib.sha256(lock_file.read_bytes()).hexdigest()[:_HASH_DIGITS]
    return parent / f"ministack-{digest}"


@asynccontextmanager
async def _sole_builder(guard: Path) -> AsyncIterator[None]:
    """Hold a file lock, which the system frees even if this process is killed."""
    try:
        file = await to_thread.run_sync(guard.open, "wb")
    except OSError as error:
        raise LocalError(
            f"MiniStack's environment cannot be made below {guard.parent}: {error.strerror}"
        ) from error
    with file:
        while not _lock(file):  # noqa: ASYNC110 - another process cannot notify us
            await anyio.sleep(_WAIT_FOR_OTHERS_S)
        yield


def _lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _build(environment: Path, requirements: Path) -> None:
    # Under another name until it is whole: an environment that exists is one that works.
    unfinished = environment.with_name(f"{environment.name}.building")
    try:
        await to_thread.run_sync(lambda: shutil.rmtree(unfinished, ignore_errors=True))
        await _run("make a virtual environment", [sys.executable, "-m", "venv", str(unfinished)])
        await _run(
            "install MiniStack",
            [
                *(str(unfinished / "bin" / "python"), "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", "--no-input", "--retries", "2"),
                *("--require-hashes", "--no-deps", "--requirement", str(requirements)),
            ],
        )
        unfinished.rename(environment)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


async def _run(purpose: str, command: list[str]) -> None:
    done = await anyio.run_process(command, stdout=PIPE, stderr=STDOUT, check=False)
    if done.returncode == 0:
        return
    output = done.stdout.decode(errors="replace")
    if "No matching distribution found" in output or "Connection" in output:
        raise LocalError(
            f"cannot {purpose}: no package index is reachable that has it "
            f"(pip said: {_last_line(output)})"
        )
    raise LocalError(f"cannot {purpose}: {_last_line(output)}")


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it ended without a word"
