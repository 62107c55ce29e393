"""One measurement of an ingest service: its process on one core, its clients on the other."""

import time
from dataclasses import dataclass
from typing import Final

import psutil

from bench.environment import BenchError, Cores
from bench.ingest_process import running
from bench.ingest_services import Service
from bench.measure import process_cpu_s
from bench.stub.control import REQUESTS_QUEUE
from bench.stub_process import Stub

CONNECTIONS: Final = 256
_SETTLE_S: Final = 0.2


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


def measure(service: Service, latency_ms: float, stub: Stub, cores: Cores) -> Measurement:
    """Start a service, warm it up, click on it from many connections, then from one alone."""
    stub.reset(latency_ms)
    stub.seed_requests(0, [10**9])
    warm_up = max(CONNECTIONS, service.requests // 10)
    with running(service, stub, cores) as (pid, load):
        load.prepare(CONNECTIONS, warm_up)
        load.run(warm_up)
        load.prepare(CONNECTIONS, service.requests)
        time.sleep(_SETTLE_S)
        stub.release()
        began_s = process_cpu_s(pid)
        crowd = load.run(service.requests)
        spent_s = process_cpu_s(pid) - began_s
        seen = stub.stats()
        rss = psutil.Process(pid).memory_info().rss
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
