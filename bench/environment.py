"""Where the benchmarks run: the machine, the versions, the cores, and the frameworks' own home."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).resolve().parent.parent
_PEERS: Final = Path(__file__).with_name("peers.lock")
_OURS: Final = ("aioboto3", "aiobotocore", "aiohttp", "anyio", "botocore", "orjson", "uvloop")
_THEIRS: Final = ("celery", "kombu", "loafer-ng", "taskiq", "taskiq-aio-sqs")


class BenchError(Exception):
    """The benchmarks cannot run; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core is for the program under measurement, and which for everything around it."""

    measured: int | None
    other: int | None


def cores() -> Cores:
    """Choose two cores; where the system cannot pin (macOS), none is chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(None, None)
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise BenchError("the benchmarks need two processor cores: one for AWS's stand-in")
    return Cores(measured=available[0], other=available[1])


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = (line for line in cpuinfo.read_text().splitlines() if "model name" in line)
        model = next(names, f":{model}").partition(":")[2].strip()
    memory_gib = psutil.virtual_memory().total / 2**30
    return {
        "processor": model,
        "cores": str(psutil.cpu_count()),
        "memory": f"{memory_gib:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
    }


def versions(peers_python: Path | None) -> dict[str, str]:
    """The versions of the libraries that decide the figures."""
    found = {name: version(name) for name in _OURS}
    if peers_python is not None:
        program = (
            "import sys; from importlib.metadata import version as v; print(*map(v, sys.argv[1:]))"
        )
        found |= dict(
            zip(_THEIRS, _run([peers_python, "-c", program, *_THEIRS]).split(), strict=True)
        )
    return found


def peers_python() -> Path:
    """The interpreter of the frameworks' environment, which is made on first use.

    They pin other versions of the AWS SDK than we do, so they cannot live in ours.
    """
    home = Path(sys.prefix) / "bench-peers"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = home / ".lock-sha256"
    wanted = hashlib.sha256(_PEERS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    _run([sys.executable, "-m", "venv", "--clear", home])
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([python, *install, "--require-hashes", "-r", _PEERS])
    stamp.write_text(wanted)
    return python


def _commit() -> str:
    try:
        return _run(["git", "-C", ROOT, "describe", "--always", "--dirty"]).strip()
    except BenchError:
        return "unknown"


def _run(command: Iterable[str | Path]) -> str:
    try:
        return subprocess.run(  # noqa: S603 - our own commands
            [str(part) for part in command], check=True, capture_output=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise BenchError(f"{' '.join(map(str, command))} failed:\n{said}") from None
