"""The embedded engine: the lake's files in DuckDB, queried with the same statements as Athena."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import perf_counter
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import duckdb

from analytics import duckdb_dialect, lake_files, lake_lines, statements
from analytics.engine import Coverage, LakeError, Partition, Progress, QueryFailed, empty_range_note
from analytics.lake_files import LakeFile
from analytics.parameters import Parameters
from analytics.results import Column, QueryResult, Row, Value

DEFAULT_MEMORY_BYTES: Final = 2 * 1024**3
_INTERRUPT_EVERY_S: Final = 0.02
_GLOB_CHARACTERS: Final = frozenset("*?[]{}")
_Result = TypeVar("_Result")


class LocalEngine:
    """Runs the statements on a folder of NDJSON files, as Firehose lays them out.

    A partition's lines are read once, when the first query needs them, and again when its files
    have changed; they are kept in a temporary database on disk, so that memory stays bounded.
    Close the engine, or use it as an async context manager: the database goes with it.
    """

    is_athena = False

    def __init__(
        self,
        lake_dir: Path | str,
        *,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        threads: int | None = None,
    ) -> None:
        self._lake_dir = Path(lake_dir).absolute()
        if not self._lake_dir.is_dir():
            raise LakeError(f"{lake_dir} is not a folder; a lake holds events/dt=…/hour=…/ folders")
        self._work_dir = TemporaryDirectory(prefix="lake-", ignore_cleanup_errors=True)
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_bytes // 1024**2}MiB",
            "temp_directory": self._work_dir.name,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
        }
        if threads is not None:
            settings["threads"] = threads
        self._connection = duckdb.connect(
            Path(self._work_dir.name) / "lake.duckdb", config=settings
        )
        self._loaded: dict[Partition, tuple[LakeFile, ...]] = {}
        self._malformed: dict[Partition, int] = {}
        self._turn = anyio.Lock()
        lake_lines.define_tables(self._connection)

    async def __aenter__(self) -> Self:
        """Return the engine itself."""
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the engine."""
        self.close()

    def close(self) -> None:
        """Drop the temporary database."""
        self._connection.close()
        self._work_dir.cleanup()

    @property
    def label(self) -> str:
        """The engine and its version."""
        return f"DuckDB {duckdb.__version__} (embedded; exact percentiles)"

    @property
    def source(self) -> str:
        """The lake's folder."""
        return str(self._lake_dir)

    async def run(
        self, name: str, parameters: Parameters, progress: Progress | None = None
    ) -> QueryResult:
        """Run a query by its name; raises QueryFailed, LakeError, StatementError."""
        if not statements.load(name).is_query:
            raise LakeError(f"{name} defines something; the embedded engine needs no definitions")
        return await self._in_thread(lambda: self._run(name, parameters, progress))

    async def coverage(self, parameters: Parameters) -> Coverage:
        """All hours of the days scanned that have files; a folder needs no loading."""
        found = await self._in_thread(lambda: lake_files.find(self._lake_dir))
        days = parameters.scan_from, parameters.scan_to
        return Coverage(loaded=tuple(_of_days(found, days)), missing=())

    async def days(self) -> tuple[date, date] | None:
        """The first and the last arrival day that has files."""
        found = await self._in_thread(lambda: lake_files.find(self._lake_dir))
        days = [date.fromisoformat(partition.dt) for partition in found]
        return (min(days), max(days)) if days else None

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        """Run blocking work in a thread; a cancelled caller interrupts DuckDB and then waits."""
        begun, ended = Event(), Event()
        results: list[_Result] = []

        def work_and_report_the_end() -> _Result:
            begun.set()
            try:
                return work()
            finally:
                ended.set()

        async def interrupt_when_cancelled() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                # One interrupt may fall between two statements of the same work.
                with anyio.CancelScope(shield=True):
                    while begun.is_set() and not ended.is_set():
                        self._connection.interrupt()
                        await anyio.sleep(_INTERRUPT_EVERY_S)

        async with self._turn:
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(interrupt_when_cancelled)
                    results.append(await anyio.to_thread.run_sync(work_and_report_the_end))
                    tasks.cancel_scope.cancel()
            except ExceptionGroup as group:
                # An interrupted query fails; to a caller who cancelled it, it is cancelled.
                await anyio.lowlevel.checkpoint_if_cancelled()
                raise group.exceptions[0] from None
        return results[0]

    def _run(self, name: str, parameters: Parameters, progress: Progress | None) -> QueryResult:
        statement = statements.load(name)
        sql = duckdb_dialect.translate(statement.sql)
        arguments = parameters.values(statement)
        began = perf_counter()
        try:
            wanted = self._refresh(parameters.days_read(statement), progress)
            self._connection.execute(sql, list(arguments))
            columns = tuple(
                Column(column[0], duckdb_dialect.result_type(str(column[1])))
                for column in self._connection.description or ()
            )
            rows = tuple(_row(row) for row in self._connection.fetchall())
        except duckdb.Error as error:
            raise QueryFailed(name, str(error), sql) from error
        return QueryResult(
            name=name,
            columns=columns,
            rows=rows,
            statement=sql,
            arguments=arguments,
            seconds=perf_counter() - began,
            notes=self._notes(wanted, name, parameters),
        )

    def _refresh(self, days: tuple[date, date], progress: Progress | None) -> list[Partition]:
        """Load the partitions of the days that are new or changed; return those with files."""
        found = lake_files.find(self._lake_dir)
        wanted = _of_days(found, days)
        gone = [partition for partition in self._loaded if partition not in found]
        stale = [
            partition for partition in wanted if self._loaded.get(partition) != found[partition]
        ]
        if stale or gone:
            files = [file for partition in stale for file in found[partition]]
            if progress is not None:
                size = sum(file.size_bytes for file in files)
                progress(f"reading {len(files)} file(s), {size / 1e6:,.1f} MB")
            self._replace([*stale, *gone], files)
            self._loaded = {p: f for p, f in self._loaded.items() if p not in gone}
            self._loaded |= {partition: found[partition] for partition in stale}
        return wanted

    def _replace(self, partitions: list[Partition], files: list[LakeFile]) -> None:
        """Read the partitions' rows again, all or nothing."""
        unreadable = next((f.path for f in files if _GLOB_CHARACTERS & set(str(f.path))), None)
        if unreadable is not None:
            raise LakeError(f"{unreadable}: DuckDB would read the name as a pattern; move the lake")
        self._malformed = lake_lines.replace(
            self._connection,
            partitions,
            [file.path for file in files],
            events_folder=lake_files.events_folder(self._lake_dir),
            scratch=Path(self._work_dir.name) / "odd_lines.ndjson",
        )

    def _notes(self, wanted: list[Partition], name: str, parameters: Parameters) -> tuple[str, ...]:
        if not wanted:
            return (empty_range_note(parameters),)
        malformed = sum(self._malformed.get(partition, 0) for partition in wanted)
        if malformed and name != "malformed_lines":
            return (f"{malformed} line(s) of these days are malformed: see malformed_lines.",)
        return ()


def _of_days(found: Iterable[Partition], days: tuple[date, date]) -> list[Partition]:
    first, last = (day.isoformat() for day in days)
    return [partition for partition in found if first <= partition.dt <= last]


def _row(values: tuple[Any, ...]) -> Row:
    return tuple(_value(value) for value in values)


def _value(value: Any) -> Value:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    plain: Value = value
    return plain
