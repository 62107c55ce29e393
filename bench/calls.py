"""What one AWS call costs in processor time, by operation, with either client."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, get_args

import orjson

from aws.client import ClientKind
from bench.environment import ROOT, BenchError, Cores, cores
from bench.peers.calls import requests_needed
from bench.report import Section, Table, spread
from bench.stub_process import Stub, running_stub

KINDS: Final[tuple[ClientKind, ...]] = get_args(ClientKind)
_CALLS: Final = 300
_RUNS: Final = 3
_RUNS_FULL: Final = 7
_MANY_SEATS: Final = 10**9

Run = Mapping[ClientKind, Mapping[str, float]]
"""One run: microseconds by client and operation."""


def section(*, full: bool) -> Section:
    """Measure both clients in turns."""
    chosen = cores()
    with running_stub(chosen.other) as stub:
        runs = [
            {kind: measure(stub, chosen, kind, _CALLS) for kind in KINDS}
            for _ in range(_RUNS_FULL if full else _RUNS)
        ]
    return results(runs)


def measure(stub: Stub, chosen: Cores, kind: ClientKind, calls: int) -> dict[str, float]:
    """One client's microseconds per call, in a process and on a core of its own."""
    stub.reset()
    stub.seed_requests(requests_needed(calls), [_MANY_SEATS])
    stub.release()
    command = [sys.executable, "-m", "bench.peers.calls", "--client", kind, "--calls", str(calls)]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command,
        env={**os.environ, **stub.environment},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if chosen.measured is not None:
        os.sched_setaffinity(process.pid, {chosen.measured})
    answer, said = process.communicate()
    if process.returncode != 0:
        raise BenchError(f"{' '.join(command)} failed:\n{said.decode()}")
    found: dict[str, float] = orjson.loads(answer)
    return found


def results(runs: Sequence[Run]) -> Section:
    """The table of all runs; ratios are taken run by run."""
    rows = []
    for operation in runs[0]["lean"]:
        lean = [run["lean"][operation] for run in runs]
        sdk = [run["aioboto3"][operation] for run in runs]
        times = median(b / a for a, b in zip(lean, sdk, strict=True))
        rows.append([operation, spread(sdk), spread(lean), f"{times:.1f}"])
    return Section(
        name="calls",
        title="AWS calls",
        text=[
            (
                "Processor microseconds of one call, the whole process's, one call after the other "
                "over a connection that is kept, against AWS's stand-in on the other core."
            )
        ],
        tables=[Table("One call", ["", "aioboto3 µs", "lean µs", "times"], rows)],
        data=[
            {"client": kind, "operation": operation, "cpuUs": value}
            for run in runs
            for kind, found in run.items()
            for operation, value in found.items()
        ],
    )
