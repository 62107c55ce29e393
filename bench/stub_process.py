"""Starts the stand-in for AWS as a process of its own, and talks to its controls."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from bench.stub.control import DEAD_LETTER_QUEUE, PREFIX, REQUESTS_QUEUE
from simulation.aws.account import ACCOUNT
from simulation.aws.cloud import BUS_NAME, TABLE_NAME

REGION: Final = "us-east-1"
_STOP_S: Final = 5.0
_CONTROL_TIMEOUT_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What the stand-in saw since the messages were released."""

    wall_s: float
    utilisation: float
    """The share of one core that the stand-in itself used."""
    calls: Mapping[str, int]
    deleted: int
    events: int
    statuses: Mapping[str, int]
    p50_ms: float
    """From a message's receive to its confirmed delete, as the client saw it."""
    p95_ms: float


class Stub:
    """The controls of a running stand-in."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._http = httpx.Client(base_url=self.url + PREFIX, timeout=_CONTROL_TIMEOUT_S)

    @property
    def queue_url(self) -> str:
        """The queue that holds the seeded requests."""
        return f"{self.url}/{ACCOUNT}/{REQUESTS_QUEUE}"

    @property
    def environment(self) -> dict[str, str]:
        """What a program must find in its environment to take the stand-in for AWS."""
        return {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "stand-in",
            "AWS_SECRET_ACCESS_KEY": "stand-in",
            "AWS_EC2_METADATA_DISABLED": "true",
            "TABLE_NAME": TABLE_NAME,
            "EVENT_BUS_NAME": BUS_NAME,
            "QUEUE_NAME": REQUESTS_QUEUE,
            "QUEUE_URL": self.queue_url,
            "DLQ_URL": f"{self.url}/{ACCOUNT}/{DEAD_LETTER_QUEUE}",
        }

    def reset(self, latency_ms: float | Mapping[str, float] = 0) -> None:
        """Empty everything; `latency_ms` is for every operation, or by operation and `default`."""
        self._post("reset", {"latencyMs": latency_ms})

    def seed_requests(self, count: int, seats: Sequence[int], *, first_user: int = 0) -> None:
        """Store requests in turns over events with these seats, and hold their messages back."""
        events = [{"eventId": f"event-{n}", "seats": s} for n, s in enumerate(seats)]
        self._post("seed", {"events": events, "requests": count, "firstUser": first_user})

    def seed_messages(self, count: int, body: str, attributes: object = None) -> None:
        """Hold back messages with a given body."""
        self._post("seed", {"body": body, "count": count, "messageAttributes": attributes})

    def release(self) -> None:
        """Begin to measure, and let the held messages into the queue."""
        self._post("release", {})

    def wait(self, deleted: int, timeout_s: float) -> Figures:
        """Wait until `deleted` messages are gone; raises TimeoutError with what was seen."""
        figures = self._figures("wait", {"deleted": deleted, "timeout_s": timeout_s})
        if figures.deleted < deleted:
            raise TimeoutError(f"only {figures.deleted} of {deleted} messages deleted: {figures}")
        return figures

    def figures(self) -> Figures:
        """What was seen so far."""
        return self._figures("stats", {})

    def stats(self) -> dict[str, Any]:
        """What was seen so far, as the stand-in reports it."""
        answer: dict[str, Any] = self._http.get("stats").raise_for_status().json()
        return answer

    def close(self) -> None:
        """Close the connection to the controls."""
        self._http.close()

    def _post(self, action: str, request: object) -> None:
        self._http.post(action, json=request).raise_for_status()

    def _figures(self, action: str, query: Mapping[str, float]) -> Figures:
        answer = self._http.get(action, params=dict(query)).raise_for_status().json()
        latency_ms = answer["latencyMs"]
        return Figures(
            wall_s=answer["wallS"],
            utilisation=answer["utilisation"],
            calls=answer["calls"],
            deleted=answer["deleted"],
            events=answer["events"],
            statuses=answer["statuses"],
            p50_ms=latency_ms.get("p50", 0.0),
            p95_ms=latency_ms.get("p95", 0.0),
        )


@contextmanager
def running_stub(core: int | None = None) -> Iterator[Stub]:
    """Run the stand-in on one processor core; it ends with us, whatever happens to us."""
    command = [sys.executable, "-m", "bench.stub"]
    if core is not None:
        command += ["--core", str(core)]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the stand-in for AWS ended immediately (code {process.wait()})")
        stub = Stub(int(line))
        try:
            stub.reset()
            yield stub
        finally:
            stub.close()
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
