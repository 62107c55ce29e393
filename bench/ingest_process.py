"""The processes of a measurement of ingest: a service, and the clients that click on it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from bench.click_tokens import credentials
from bench.environment import ROOT, BenchError, Cores
from bench.ingest_services import Service
from bench.stub_process import Stub

_EVENT: Final = "event-0"
_START_TIMEOUT_S: Final = 60.0
_ACCEPTED: Final = "202"
_SHOWN_LOG_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Round:
    """The figures of one round of clicks."""

    wall_s: float
    cpu_s: float
    """Of the clients' process."""
    p50_ms: float
    p99_ms: float


class Clients:
    """The controls of the process that clicks."""

    def __init__(self, process: subprocess.Popen[str], service: Service) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._service = process, service
        self._commands, self._answers = process.stdin, process.stdout

    def prepare(self, connections: int, requests: int) -> None:
        """Get everything ready for a round."""
        self._send(orjson.dumps({"connections": connections, "requests": requests}).decode())
        self._answer()

    def run(self, requests: int) -> Round:
        """Make the prepared round; raises BenchError unless each request was accepted."""
        self._send("go")
        figures: dict[str, Any] = orjson.loads(self._answer())
        accepted = figures["statuses"].get(_ACCEPTED, 0)
        if accepted != requests:
            raise BenchError(
                f"{self._service.name} accepted {accepted} of {requests} requests; "
                f"its answers by status: {figures['statuses']}"
            )
        return Round(figures["wallS"], figures["cpuS"], figures["p50Ms"], figures["p99Ms"])

    def hold(self, connections: int) -> None:
        """Have so many open connections, each of which was used and is idle."""
        self._send(orjson.dumps({"hold": connections}).decode())
        self._answer()

    def _send(self, line: str) -> None:
        try:
            self._commands.write(line + "\n")
            self._commands.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _answer(self) -> str:
        line = self._answers.readline()
        if not line:
            raise self._ended()
        return line

    def _ended(self) -> BenchError:
        return BenchError(
            f"the clients of {self._service.name} gave up (code {self._process.wait()})"
        )


@contextmanager
def running(service: Service, stub: Stub, cores: Cores) -> Iterator[tuple[int, Clients]]:
    """Start a service and its clients; the service's process id, and the clients' controls."""
    with (
        credentials(service.algorithm) as keys,
        _started(service, {**stub.environment, **keys.service}, cores) as (pid, port),
        _clients(service, port, keys.clients, cores) as load,
    ):
        yield pid, load


@contextmanager
def _started(
    service: Service, environment: Mapping[str, str], cores: Cores
) -> Iterator[tuple[int, int]]:
    """Run a service; its process id and its port."""
    with tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder) / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, *service.arguments],
                env={**os.environ, **environment, **service.environment},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        try:
            if cores.measured is not None:
                os.sched_setaffinity(process.pid, {cores.measured})
            port = _port(service, process, log_path)
            try:
                yield process.pid, port
            except BenchError as error:
                raise BenchError(f"{error}\n{_end_of(log_path)}") from None
        finally:
            # Nothing is lost with it: it answered all that it was asked.
            process.kill()
            process.wait()


def _port(service: Service, process: subprocess.Popen[bytes], log_path: Path) -> int:
    """Wait until the service's log names its address."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        ended = process.poll() is not None
        for line in log_path.read_bytes().splitlines(keepends=True):
            if b'"ingest_started"' in line and line.endswith(b"\n"):
                started: dict[str, str] = orjson.loads(line)
                port = urlsplit(started["url"]).port
                assert port is not None
                return port
        if ended or time.monotonic() > deadline:
            what = f"ended with code {process.returncode}" if ended else "does not listen"
            raise BenchError(f"{service.name} {what}:\n{_end_of(log_path)}")
        time.sleep(0.05)


def _end_of(log_path: Path) -> str:
    """The last lines of a log, but for the answers that went well."""
    lines = log_path.read_text(errors="replace").splitlines()
    return "\n".join(line for line in lines if '"status":202' not in line)[-_SHOWN_LOG_CHARS:]


@contextmanager
def _clients(
    service: Service, port: int, environment: Mapping[str, str], cores: Cores
) -> Iterator[Clients]:
    command = [sys.executable, "-m", "bench.ingest_load", "--port", str(port), "--event", _EVENT]
    if cores.other is not None:
        command += ["--core", str(cores.other)]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command,
        env={**os.environ, **environment},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Clients(process, service)
    finally:
        process.kill()
        process.communicate()
