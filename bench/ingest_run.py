"""One measurement of an ingest service: its process on one core, its clients on the other."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import psutil

from bench.environment import ROOT, BenchError, Cores
from bench.measure import process_cpu_s
from bench.stub.control import REQUESTS_QUEUE
from bench.stub_process import Stub

CONNECTIONS: Final = 256
_EVENT: Final = "event-0"
_SECRET: Final = "a-secret-for-benchmarks-only-0123456789"  # noqa: S105 - opens nothing
_START_TIMEOUT_S: Final = 60.0
_SETTLE_S: Final = 0.2
_ACCEPTED: Final = "202"
_SHOWN_LOG_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A program under measurement; it logs its address as `ingest_started`."""

    name: str
    about: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    requests: int
    """How many make a run of a few seconds."""
    lone_requests: int = 150


_OUR_ARGUMENTS: Final = ("-m", "cli.main", "ingest")
_OUR_SETTINGS: Final = {"HTTP_PORT": "0", "HTTP_HOST": "127.0.0.1"}

PLAIN: Final = Service(
    name="plain",
    about=(
        "Starlette, uvicorn and aioboto3 as people would write it: put, send, update, one call "
        "each; the same server settings, but no access log, no metrics, and no look at the event"
    ),
    arguments=("-m", "bench.peers.plain_handler"),
    environment={},
    requests=1_024,
)
OURS: Final = Service(
    name="ours",
    about="the ingest service as it ships, at its default settings, access log included",
    arguments=_OUR_ARGUMENTS,
    environment=_OUR_SETTINGS,
    requests=10_240,
)
OURS_ON_AIOBOTO3: Final = Service(
    name="ours, aioboto3",
    about="the same with `AWS_CLIENT=aioboto3`",
    arguments=_OUR_ARGUMENTS,
    environment={**_OUR_SETTINGS, "AWS_CLIENT": "aioboto3"},
    requests=7_680,
)
SERVICES: Final = (OURS, OURS_ON_AIOBOTO3, PLAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one run cost."""

    service: str
    latency_ms: float
    requests: int
    cpu_s: float
    wall_s: float
    calls: int
    p50_ms: float
    p99_ms: float
    lone_p50_ms: float
    """One client that clicks again as soon as it is answered."""
    lone_p99_ms: float
    rss_mib: float
    stub_utilisation: float
    load_utilisation: float

    @property
    def per_core(self) -> float:
        """Requests per second of processor time."""
        return self.requests / self.cpu_s

    @property
    def rate(self) -> float:
        """Requests per second of wall time."""
        return self.requests / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Processor microseconds per request."""
        return self.cpu_s / self.requests * 1e6

    @property
    def calls_per_request(self) -> float:
        """AWS calls per request."""
        return self.calls / self.requests

    @property
    def other_core(self) -> float:
        """How busy the core is that AWS's stand-in and the clients share."""
        return self.stub_utilisation + self.load_utilisation


@dataclass(frozen=True, slots=True)
class _Round:
    """The figures of one round of clicks."""

    wall_s: float
    cpu_s: float
    """Of the clients' process."""
    p50_ms: float
    p99_ms: float


class _Clients:
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

    def run(self, requests: int) -> _Round:
        """Make the prepared round; raises BenchError unless each request was accepted."""
        self._send("go")
        figures: dict[str, Any] = orjson.loads(self._answer())
        accepted = figures["statuses"].get(_ACCEPTED, 0)
        if accepted != requests:
            raise BenchError(
                f"{self._service.name} accepted {accepted} of {requests} requests; "
                f"its answers by status: {figures['statuses']}"
            )
        return _Round(figures["wallS"], figures["cpuS"], figures["p50Ms"], figures["p99Ms"])

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


def measure(service: Service, latency_ms: float, stub: Stub, cores: Cores) -> Measurement:
    """Start a service, warm it up, click on it from many connections, then from one alone."""
    stub.reset(latency_ms)
    stub.seed_requests(0, [10**9])
    warm_up = max(CONNECTIONS, service.requests // 10)
    with _running(service, stub, cores) as (process, port), _clients(service, port, cores) as load:
        load.prepare(CONNECTIONS, warm_up)
        load.run(warm_up)
        load.prepare(CONNECTIONS, service.requests)
        time.sleep(_SETTLE_S)
        stub.release()
        began_s = process_cpu_s(process.pid)
        crowd = load.run(service.requests)
        spent_s = process_cpu_s(process.pid) - began_s
        seen = stub.stats()
        rss = psutil.Process(process.pid).memory_info().rss
        load.prepare(1, service.lone_requests)
        lone = load.run(service.lone_requests)
    _check_work(service, stub, warm_up + service.requests + service.lone_requests)
    return Measurement(
        service=service.name,
        latency_ms=latency_ms,
        requests=service.requests,
        cpu_s=spent_s,
        wall_s=crowd.wall_s,
        calls=sum(seen["calls"].values()),
        p50_ms=crowd.p50_ms,
        p99_ms=crowd.p99_ms,
        lone_p50_ms=lone.p50_ms,
        lone_p99_ms=lone.p99_ms,
        rss_mib=rss / 2**20,
        stub_utilisation=seen["cpuS"] / crowd.wall_s,
        load_utilisation=crowd.cpu_s / crowd.wall_s,
    )


def _check_work(service: Service, stub: Stub, requests: int) -> None:
    """A figure counts only where all of the work was done, once."""
    seen = stub.stats()
    queued, sent = seen["statuses"].get("QUEUED", 0), seen["queues"][REQUESTS_QUEUE]["sent"]
    if seen["statuses"] != {"QUEUED": requests} or sent != requests:
        raise BenchError(
            f"{service.name} left {queued} of {requests} requests QUEUED "
            f"(by status: {seen['statuses']}) and sent {sent} messages"
        )


@contextmanager
def _running(
    service: Service, stub: Stub, cores: Cores
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder) / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, *service.arguments],
                env={
                    **os.environ,
                    **stub.environment,
                    "JWT_SECRET": _SECRET,
                    **service.environment,
                },
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
                yield process, port
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
def _clients(service: Service, port: int, cores: Cores) -> Iterator[_Clients]:
    command = [sys.executable, "-m", "bench.ingest_load", "--port", str(port), "--event", _EVENT]
    if cores.other is not None:
        command += ["--core", str(cores.other)]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command,
        env={**os.environ, "JWT_SECRET": _SECRET},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _Clients(process, service)
    finally:
        process.kill()
        process.communicate()
