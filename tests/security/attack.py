"""What an attack is, and how it is judged: by what came back, and by what others noticed."""

import asyncio
import http.client
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import psutil

from tests.security.client import Target

_MOST_RSS_MB: Final = 100.0
_MOST_LOG_MB: Final = 5.0
_LONGEST_S: Final = 10.0
_PAUSE_S: Final = 0.05
_MEGABYTE: Final = 1e6


@dataclass(frozen=True, slots=True)
class Findings:
    """What an attack sent and met."""

    sent: str
    came_back: str
    faults: Sequence[str] = ()
    """What should not have been."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack; `run` gets the target and how many seconds it may take, about."""

    name: str
    run: Callable[[Target, float], Awaitable[Findings]]
    newcomers: frozenset[int] = frozenset({200})
    """How others' new connections may be answered meanwhile."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a bystander met: the longest wait for an answer, and what went wrong."""

    asked: int
    greatest_s: float
    faults: Sequence[str]


@dataclass(frozen=True, slots=True)
class Result:
    """One attack's row in the table; None where it could not be measured."""

    name: str
    sent: str
    came_back: str
    bystander_s: float
    rss_mb: float | None
    """The greatest growth of the process's resident memory meanwhile."""
    log_mb: float | None
    """What was logged meanwhile."""
    faults: Sequence[str] = field(default_factory=tuple)

    @property
    def verdict(self) -> str:
        """One word, or what is wrong."""
        return "; ".join(self.faults) or "held"


async def run(attack: Attack, target: Target, seconds: float) -> Result:
    """Attack while a bystander asks; others must be answered within its patience."""
    stop = threading.Event()
    log_before = target.log_bytes()
    async with asyncio.TaskGroup() as tasks:
        # Threads: the attack keeps this loop busy.
        memory = tasks.create_task(asyncio.to_thread(_watch_memory, target.pid, stop))
        bystander = tasks.create_task(asyncio.to_thread(_stand_by, target, attack.newcomers, stop))
        try:
            findings = await attack.run(target, seconds)
        except (OSError, ValueError) as error:
            findings = Findings("", "", [f"broken off: {error!r}"])
        finally:
            stop.set()
    watched, rss_mb = bystander.result(), memory.result()
    faults = [*findings.faults, *watched.faults]
    if watched.greatest_s > target.patience_s:
        faults.append(f"others waited {watched.greatest_s:.1f} s")
    if rss_mb is not None and rss_mb >= _MOST_RSS_MB:
        faults.append(f"memory +{rss_mb:.0f} MB")
    if target.pid is not None and not psutil.pid_exists(target.pid):
        faults.append("the process has ended")
    log_mb = None
    if log_before is not None:
        log_mb = ((target.log_bytes() or log_before) - log_before) / _MEGABYTE
        if log_mb >= _MOST_LOG_MB:
            faults.append(f"log +{log_mb:.0f} MB")
    return Result(
        attack.name,
        findings.sent,
        findings.came_back,
        watched.greatest_s,
        rss_mb,
        log_mb,
        faults,
    )


def _watch_memory(pid: int | None, stop: threading.Event) -> float | None:
    """The greatest growth of its resident memory until the stop, in MB."""
    if pid is None:
        return None
    greatest = before = 0
    try:
        process = psutil.Process(pid)
        greatest = before = process.memory_info().rss
        while not stop.wait(_PAUSE_S):
            greatest = max(greatest, process.memory_info().rss)
    except psutil.NoSuchProcess:
        pass  # `run` reports it
    return (greatest - before) / _MEGABYTE


def _stand_by(target: Target, newcomers: frozenset[int], stop: threading.Event) -> Watched:
    """Ask until the stop: the user's click on a kept connection, `/healthz` on new ones."""
    # More than is allowed: how long it took says more than that it took too long.
    patience_s = max(_LONGEST_S, target.patience_s)
    faults: dict[str, None] = {}
    asked, greatest_s = 0, 0.0
    kept = http.client.HTTPConnection(target.host, target.port, timeout=patience_s)
    try:
        while True:
            new = http.client.HTTPConnection(target.host, target.port, timeout=patience_s)
            click = (kept, "POST", f"/events/{target.event}/participations", target.token)
            health = (kept, "GET", "/healthz", None)
            questions = (
                (*(click if target.token else health), frozenset({202 if target.token else 200})),
                (new, "GET", "/healthz", None, newcomers),
            )
            for connection, method, path, token, expected in questions:
                began = monotonic()
                fault = _fault(connection, method, path, token, expected)
                greatest_s = max(greatest_s, monotonic() - began)
                asked += 1
                if fault is not None:
                    faults[fault] = None
                    connection.close()
            new.close()
            if stop.wait(_PAUSE_S):
                return Watched(asked, greatest_s, list(faults))
    finally:
        kept.close()


def _fault(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    token: str | None,
    expected: frozenset[int],
) -> str | None:
    """Ask once; returns what is wrong with the answer."""
    try:
        connection.request(
            method, path, headers={"Authorization": f"Bearer {token}"} if token else {}
        )
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"others were not answered: {error!r}"
    return None if answer.status in expected else f"others got {answer.status} for {path}"
