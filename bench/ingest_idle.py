"""What idle connections cost ingest in memory."""

import resource
import time
from dataclasses import dataclass
from typing import Final

import psutil

from bench.environment import BenchError, Cores
from bench.ingest_process import running
from bench.ingest_services import Service
from bench.report import Table
from bench.stub_process import Stub

FULL_CONNECTIONS: Final = 10_000
"""As many as the service accepts at its default settings."""
SHORT_CONNECTIONS: Final = 2_000
_WARM_UP_CLICKS: Final = 500
_OTHER_FILES: Final = 256
"""Of the service and of its clients each, at the most."""
_SETTLE_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleMemory:
    """The process's resident memory with one connection, and with many idle ones."""

    service: str
    wanted: int
    connections: int
    """As many of those wanted as the limit of open files allows."""
    before_bytes: int
    with_bytes: int

    @property
    def connection_kb(self) -> float:
        """Thousands of bytes for each further connection."""
        return (self.with_bytes - self.before_bytes) / (self.connections - 1) / 1000


def possible(wanted: int, hard_limit: int) -> int:
    """How many connections a process may have that may open so many files."""
    if hard_limit == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, hard_limit - _OTHER_FILES)


def measure(service: Service, wanted: int, stub: Stub, cores: Cores) -> IdleMemory:
    """Warm a service up by the clicks of one client; then open the other connections."""
    connections = possible(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    stub.reset(0.0)
    stub.seed_requests(0, [10**9])
    with running(service, stub, cores) as (pid, load):
        process = psutil.Process(pid)
        load.prepare(1, _WARM_UP_CLICKS)
        load.run(_WARM_UP_CLICKS)
        before_bytes = process.memory_info().rss
        load.hold(connections)
        time.sleep(_SETTLE_S)
        with_bytes = process.memory_info().rss
        found = _open_connections(process)
    if found != connections:
        raise BenchError(f"{service.name} has {found} of {connections} connections open")
    return IdleMemory(
        service=service.name,
        wanted=wanted,
        connections=connections,
        before_bytes=before_bytes,
        with_bytes=with_bytes,
    )


def _open_connections(process: psutil.Process) -> int:
    """How many clients are connected to what the process listens on."""
    sockets = process.net_connections("tcp4")
    ports = {s.laddr.port for s in sockets if s.status == psutil.CONN_LISTEN}
    return sum(s.laddr.port in ports and s.status == psutil.CONN_ESTABLISHED for s in sockets)


def table(found: IdleMemory) -> Table:
    """The figures; the title says where there could be fewer connections than wanted."""
    title = "Idle connections"
    if found.connections < found.wanted:
        title += f" ({found.wanted:,} wanted; the limit of open files allows no more)"
    row = [
        found.service,
        f"{found.connections:,}",
        f"{found.before_bytes / 2**20:.1f}",
        f"{found.with_bytes / 2**20:.1f}",
        f"{found.connection_kb:.1f}",
    ]
    columns = ["", "connections", "MiB with one", "MiB with all", "kB a connection"]
    return Table(title, columns, [row])
