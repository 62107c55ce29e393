"""One measurement: a program in its own process on its own core, and what it cost per message."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import httpx
import psutil

from bench.contestants import FOREIGN_BODY, Contestant, Job, interpreter
from bench.environment import ROOT, BenchError, Cores
from bench.stub_process import Figures, Stub

_SETTLE_S: Final = 0.3
_START_TIMEOUT_S: Final = 90.0
_RUN_TIMEOUT_S: Final = 180.0
_LOOK_S: Final = 5.0
"""How often to look whether the program is still there."""
_LONE_MESSAGES: Final = 15
_MANY_SEATS: Final = 10**9


@dataclass(frozen=True, slots=True)
class Scenario:
    """What AWS does: how long a call takes, and for how many requests there is a seat."""

    latency_ms: float
    seats: str

    @property
    def capacities(self) -> list[int]:
        """The seats of each event; requests take turns over the events."""
        return {"all seats": [_MANY_SEATS], "sold out": [0], "mixed": [_MANY_SEATS, 0]}[self.seats]

    @property
    def seated_events(self) -> str:
        """The ids of the events that have seats, as the bare loop gets them."""
        return ",".join(f"event-{n}" for n, seats in enumerate(self.capacities) if seats)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run cost."""

    contestant: str
    job: str
    latency_ms: float
    seats: str
    batch: int | None
    messages: int
    cpu_s: float
    wall_s: float
    calls: int
    p50_ms: float
    p95_ms: float
    lone_ms: float | None
    """From receive to confirmed delete of a message that comes alone; median."""
    rss_mib: float
    stub_utilisation: float

    @property
    def per_core(self) -> float:
        """Messages per second of processor time."""
        return self.messages / self.cpu_s

    @property
    def rate(self) -> float:
        """Messages per second of wall time."""
        return self.messages / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Processor microseconds per message."""
        return self.cpu_s / self.messages * 1e6

    @property
    def calls_per_message(self) -> float:
        """AWS calls per message."""
        return self.calls / self.messages


@dataclass(frozen=True, slots=True)
class Arena:
    """Where measurements are made: the stand-in for AWS, the cores, the frameworks' Python."""

    stub: Stub
    cores: Cores
    peers_python: Path

    def measure(self, contestant: Contestant, scenario: Scenario, batch: int) -> Measurement:
        """Start a program, warm it up, release its messages together, wait for the last delete."""
        stub = self.stub
        python = interpreter(contestant, self.peers_python)
        body = _message_body(contestant, python, stub)
        stub.reset(scenario.latency_ms)
        slow = scenario.latency_ms > 0
        count = contestant.messages_when_slow if slow else contestant.messages
        warm_up = max(10, count // 10)

        def seed(number: int, first_user: int) -> None:
            if body is None:
                stub.seed_requests(number, scenario.capacities, first_user=first_user)
            else:
                stub.seed_messages(number, body)

        with self._running(contestant, scenario, batch, python) as process:
            seed(warm_up, 0)
            stub.release()
            _wait(stub, warm_up, _START_TIMEOUT_S, contestant, process)
            seed(count, warm_up)
            time.sleep(_SETTLE_S)
            cpu_s = process_cpu_s(process.pid)
            stub.release()
            figures = _wait(stub, count, _RUN_TIMEOUT_S, contestant, process)
            cpu_s = process_cpu_s(process.pid) - cpu_s
            rss = psutil.Process(process.pid).memory_info().rss
            lone_ms = None
            if contestant.job is Job.PIPELINE:
                _check_work(contestant, figures, warm_up + count, count)
                lone_ms = _lone_ms(stub, seed, warm_up + count)
        return Measurement(
            contestant=contestant.name,
            job=contestant.job.value,
            latency_ms=scenario.latency_ms,
            seats=scenario.seats,
            batch=batch if contestant.uses_batches else None,
            messages=count,
            cpu_s=cpu_s,
            wall_s=figures.wall_s,
            calls=sum(figures.calls.values()),
            p50_ms=figures.p50_ms,
            p95_ms=figures.p95_ms,
            lone_ms=lone_ms,
            rss_mib=rss / 2**20,
            stub_utilisation=figures.utilisation,
        )

    @contextmanager
    def _running(
        self, contestant: Contestant, scenario: Scenario, batch: int, python: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [python, *contestant.arguments(batch)],
            env={
                **os.environ,
                **self.stub.environment,
                **contestant.environment(batch),
                "SEATED_EVENTS": scenario.seated_events,
            },
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if self.cores.measured is not None:
                os.sched_setaffinity(process.pid, {self.cores.measured})
            yield process
        finally:
            # Nothing is lost with it, and a polite stop would wait for the long polls to end.
            process.kill()
            process.wait()


def _wait(
    stub: Stub,
    count: int,
    timeout_s: float,
    contestant: Contestant,
    process: subprocess.Popen[bytes],
) -> Figures:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return stub.wait(count, min(_LOOK_S, timeout_s))
        except TimeoutError as error:
            code = process.poll()
            if code is None and time.monotonic() < deadline:
                continue
            state = "is still running" if code is None else f"ended with code {code}"
            command = " ".join(contestant.arguments(0))
            raise BenchError(
                f"{contestant.name} did not finish and {state}: {error}\n(started as: {command})"
            ) from None


def _check_work(contestant: Contestant, figures: Figures, decided: int, published: int) -> None:
    """A figure counts only where all of the work was done."""
    final = sum(figures.statuses.get(status, 0) for status in ("SUCCEEDED", "REJECTED"))
    if final != decided or figures.events != published:
        raise BenchError(
            f"{contestant.name} decided {final} of {decided} requests "
            f"and published {figures.events} of {published} events"
        )


def _lone_ms(stub: Stub, seed: Callable[[int, int], None], first_user: int) -> float:
    times = []
    for number in range(_LONE_MESSAGES):
        seed(1, first_user + number)
        stub.release()
        times.append(stub.wait(1, _RUN_TIMEOUT_S).p50_ms)
    return median(times)


def _message_body(contestant: Contestant, python: str, stub: Stub) -> str | None:
    """The body of the seeded messages; None for our own requests."""
    if contestant.job is Job.PIPELINE:
        return None
    if not contestant.makes_own_messages:
        return FOREIGN_BODY
    stub.reset()
    command = [python, *contestant.arguments(0), "send"]
    done = subprocess.run(  # noqa: S603 - our own modules
        command,
        env={**os.environ, **stub.environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)} failed:\n{done.stderr}")
    answer = httpx.post(
        stub.url,
        headers={"X-Amz-Target": "AmazonSQS.ReceiveMessage"},
        json={"QueueUrl": stub.queue_url},
    )
    body: str = answer.json()["Messages"][0]["Body"]
    return body


def process_cpu_s(pid: int) -> float:
    """Processor time of a whole process, user and system, all its threads."""
    if hasattr(time, "clock_gettime") and Path("/proc/self/stat").exists():
        # Linux: the clock of another process (clock_getcpuclockid(3)), to the nanosecond.
        return time.clock_gettime((~pid << 3) | 2)
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
