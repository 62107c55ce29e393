"""The lake on a laptop: the time and memory of every query, and of reading the files for each.

`python -m bench.lake --requests 10000000 --threads 2` prints the table of any size.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import anyio
import duckdb
import orjson
import psutil
from rich.console import Console

from analytics import duckdb_dialect, statements
from analytics.engine import LakeError
from analytics.local_engine import LocalEngine
from analytics.parameters import Parameters
from analytics.synthetic import LakeSpec, LakeSummary, generate
from bench.environment import BenchError
from bench.report import Section, Table, show

_FULL_REQUESTS: Final = 10_000_000
_SHORT_REQUESTS: Final = 200_000
_FIRST_DAY: Final = date(2026, 1, 3)
_ASKED: Final = Parameters(dt_from=_FIRST_DAY, dt_to=date(2026, 1, 6), capacity=1_000)
"""A day more than the events', for what arrives late."""
_SPECIFIED: Final = ("traffic", "throughput", "result_distribution", "p95_delay")
"""The four questions of g1 §10."""
_LIMIT_MIB: Final = 4096
_SECOND_LAKE: Final = 2.2
"""The lines, the temporary database, and some room, in sizes of the lines."""
_BYTES_A_REQUEST: Final = 420


def section(*, full: bool) -> Section:
    """Measure the lake of the short or of the full size."""
    return measure(_FULL_REQUESTS if full else _SHORT_REQUESTS)


def measure(requests: int, threads: int | None = None, folder: Path | None = None) -> Section:
    """Write a lake, ask it everything in a process of its own, and remove it."""
    with TemporaryDirectory(prefix="bench-lake-", dir=folder) as made:
        _need_space(Path(made), requests)
        began = perf_counter()
        lake = Path(made) / "lake"
        summary = generate(lake, LakeSpec(requests=requests, first_day=_FIRST_DAY))
        generated_s = perf_counter() - began
        ours = _in_a_process("ours", lake, threads)
        again = _in_a_process("again", lake, threads)
    return _section(summary, generated_s, ours, again)


def _need_space(folder: Path, requests: int) -> None:
    needed = int(requests * _BYTES_A_REQUEST * _SECOND_LAKE)
    free = psutil.disk_usage(str(folder)).free
    if free < needed:
        raise BenchError(
            f"the lake benchmark needs {needed / 1e9:.0f} GB in {folder}; {free / 1e9:.0f} are free"
        )


def _in_a_process(way: str, lake: Path, threads: int | None) -> dict[str, Any]:
    """Measure in a new process, so that its peak memory is that way's alone."""
    command = [sys.executable, "-m", "bench.lake", "--way", way, "--lake", str(lake)]
    if threads is not None:
        command += ["--threads", str(threads)]
    run = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own module
    if run.returncode != 0:
        raise BenchError(f"measuring the lake failed: {run.stderr.decode().strip()}")
    measured: dict[str, Any] = orjson.loads(run.stdout)
    return measured


async def _ask_our_engine(lake: Path, threads: int | None) -> dict[str, Any]:
    """Ask each statement once, after a first query that makes the engine read the files."""
    seconds: dict[str, float] = {}
    rows: dict[str, int] = {}
    async with LocalEngine(lake, threads=threads) as engine:
        began = perf_counter()
        # By event time, so that the days around the range are read too.
        await engine.run("traffic_per_minute", _ASKED)
        first_s = perf_counter() - began
        for name in statements.query_names():
            result = await engine.run(name, _ASKED)
            seconds[name], rows[name] = result.seconds, len(result.rows)
    load_s = first_s - seconds["traffic_per_minute"]
    return {"load_s": load_s, "seconds": seconds, "rows": rows, "peak_mib": _peak_mib()}


def _ask_the_files_each_time(lake: Path, threads: int | None) -> dict[str, Any]:
    """Ask the four questions of DuckDB on the files themselves, the way a person would by hand."""
    connection = duckdb.connect(config={} if threads is None else {"threads": threads})
    connection.execute("SET integer_division = true")
    types = ", ".join(f"\"{n}\": '{kind}'" for n, kind in duckdb_dialect.table_columns().items())
    files = str(lake / "events" / "dt=*" / "hour=*" / "*")
    connection.execute(
        f"""CREATE VIEW participation_logs AS SELECT * FROM read_ndjson('{files}',
        columns = {{{types}}}, ignore_errors = true, hive_partitioning = true,
        hive_types = {{'dt': 'VARCHAR', 'hour': 'VARCHAR'}})"""  # noqa: S608 - our own folder
    )
    seconds = {}
    for name in _SPECIFIED:
        statement = statements.load(name)
        began = perf_counter()
        arguments = list(_ASKED.values(statement))
        connection.execute(duckdb_dialect.translate(statement.sql), arguments).fetchall()
        seconds[name] = perf_counter() - began
    return {"seconds": seconds, "peak_mib": _peak_mib()}


def _peak_mib() -> float:
    """The peak resident memory of this process so far."""
    # Not on every system: only the measurement needs it.
    import resource  # noqa: PLC0415

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _section(
    summary: LakeSummary, generated_s: float, ours: Mapping[str, Any], again: Mapping[str, Any]
) -> Section:
    load_s, seconds, peak_mib = ours["load_s"], ours["seconds"], ours["peak_mib"]
    asked_s = sum(seconds[name] for name in _SPECIFIED)
    anew_s = sum(again["seconds"].values())
    megabytes = summary.bytes / 1e6
    every_s = sum(seconds.values())
    kept = "below" if peak_mib < _LIMIT_MIB else "ABOVE"
    text = [
        (
            f"{summary.lines:,} lines ({megabytes:,.0f} MB of NDJSON in {summary.files:,} files), "
            f"written in {generated_s:,.0f} s. Read into the temporary database in {load_s:,.1f} s "
            f"({megabytes / load_s:,.0f} MB/s); then {len(seconds)} queries in {every_s:,.1f} s. "
            f"Peak memory {peak_mib:,.0f} MiB, {kept} the limit of {_LIMIT_MIB:,} MiB."
        )
    ]
    each = Table(
        "Each query on the embedded engine, once the files are read",
        ["query", "seconds", "rows"],
        [[name, f"{taken:.2f}", f"{ours['rows'][name]:,}"] for name, taken in seconds.items()],
    )
    ratio = anew_s / (load_s + asked_s)
    compared = Table(
        "The four questions of g1 §10, beginning with the files",
        ["way", "seconds", "the next four", "MiB", "x"],
        [
            ["read once", f"{load_s + asked_s:.1f}", f"{asked_s:.2f}", f"{peak_mib:,.0f}", "1.0"],
            [
                "DuckDB on the files, each time",
                f"{anew_s:.1f}",
                f"{anew_s:.2f}",
                f"{again['peak_mib']:,.0f}",
                f"{1 / ratio:.2f}",
            ],
        ],
    )
    return Section(
        name="lake",
        title="Lake",
        text=text,
        tables=[each, compared],
        closing=[
            (
                f"Reading once is {ratio:.1f} times as fast for the four questions, and "
                f"{anew_s / asked_s:,.0f} times for each four after them. Its memory is that of "
                f"all {len(seconds)} queries."
            )
        ],
        data=[{"lines": summary.lines, "bytes": summary.bytes, "ours": ours, "again": again}],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one size and print it; or, in the process made for it, one way."""
    parser = argparse.ArgumentParser(prog="python -m bench.lake", description=__doc__)
    parser.add_argument("--requests", type=int, default=_SHORT_REQUESTS)
    parser.add_argument("--threads", type=int, help="of DuckDB; default: all cores")
    parser.add_argument("--dir", type=Path, help="where to write the lake; default: the system's")
    parser.add_argument("--way", choices=["ours", "again"], help=argparse.SUPPRESS)
    parser.add_argument("--lake", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.way is not None:
        measured = (
            anyio.run(_ask_our_engine, given.lake, given.threads)
            if given.way == "ours"
            else _ask_the_files_each_time(given.lake, given.threads)
        )
        sys.stdout.buffer.write(orjson.dumps(measured))
        return 0
    try:
        show(measure(given.requests, given.threads, given.dir), Console())
    except (BenchError, LakeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
