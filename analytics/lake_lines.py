"""The lake's lines as rows in DuckDB: the tables, and how a file's lines get into them.

DuckDB reads the lines that the worker wrote: writing what it has read, it reproduces them byte for
byte. Any other line is odd, and openx_lines reads it as Athena does.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import orjson

from analytics import duckdb_dialect, openx_lines, statements
from analytics.engine import Partition
from schema.names import LAKE_TABLE

_LINES: Final = "lake_lines"
"""The table: the lake's rows, and the odd lines of the last read, which do not count as rows."""
_AS_TEXT: Final = """
    auto_detect = false, header = false, delim = '\x01\x02\x03\x04', quote = '', escape = '',
    strict_mode = false, hive_partitioning = false, ignore_errors = true, store_rejects = true,
    rejects_table = 'rejected_lines', rejects_scan = 'rejected_files',
    columns = {'line': 'VARCHAR'}, filename = 'lake_file'
"""
"""Has DuckDB read whole lines, blank ones too; a line that is not UTF-8 is put aside."""
_AT_A_TIME: Final = 10_000


def define_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Define what the statements read: the table, its partitions, the view of requests."""
    connection.execute("SET TimeZone = 'UTC'")
    # Athena divides whole numbers to whole numbers.
    connection.execute("SET integer_division = true")
    columns = ", ".join(f'"{name}" {kind}' for name, kind in _columns().items())
    connection.execute(f"CREATE TABLE {_LINES} ({columns}, odd_line VARCHAR)")
    connection.execute(
        f"""CREATE VIEW {LAKE_TABLE} AS
        SELECT * EXCLUDE (odd_line) FROM {_LINES} WHERE odd_line IS NULL"""  # noqa: S608
    )
    connection.execute(
        f'CREATE VIEW "{LAKE_TABLE}$partitions" AS SELECT DISTINCT dt, hour FROM {LAKE_TABLE}'  # noqa: S608
    )
    view = statements.load("create_requests_view")
    connection.execute(duckdb_dialect.translate(view.sql))


def replace(
    connection: duckdb.DuckDBPyConnection,
    partitions: Sequence[Partition],
    paths: Sequence[Path],
    *,
    events_folder: Path,
    scratch: Path,
) -> dict[Partition, int]:
    """Read the partitions' rows again from their files, all or nothing.

    The scratch file may be overwritten. Returns the malformed lines of every partition that has
    any, including partitions loaded before.
    """
    keys = [[partition.dt, partition.hour] for partition in partitions]
    with _transaction(connection):
        connection.executemany(f"DELETE FROM {_LINES} WHERE dt = ? AND hour = ?", keys)  # noqa: S608
        # Only now: where rows are deleted in the transaction that added them, DuckDB writes all of
        # its rows a second time.
        connection.execute(f"DELETE FROM {_LINES} WHERE odd_line IS NOT NULL")  # noqa: S608
        if paths:
            # By position, because a folder above the lake may be named like a partition too.
            day_at = len(str(events_folder)) + len("/dt=") + 1
            hour_at = day_at + len("2026-01-04/hour=")
            partition = f"substr(lake_file, {day_at}, 10), substr(lake_file, {hour_at}, 2)"
            _read(connection, paths, partition)
            _read_odd_lines(connection, partition, scratch)
        counts = connection.execute(
            f"SELECT dt, hour, count(*) FROM {LAKE_TABLE} WHERE schemaVersion IS NULL GROUP BY ALL"  # noqa: S608
        ).fetchall()
    return {Partition(dt, hour): malformed for dt, hour, malformed in counts}


def _read(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], partition: str) -> None:
    event = duckdb_dialect.struct_type(duckdb_dialect.table_shape())
    connection.execute(
        f"""
        INSERT INTO {_LINES}
        SELECT
          unnest(event),
          {partition},
          CASE WHEN CAST(to_json(event) AS VARCHAR) = line THEN NULL ELSE coalesce(line, '') END
        FROM (
          SELECT line, lake_file, TRY_CAST(TRY_CAST(line AS JSON) AS {event}) AS event
          FROM read_csv(?, {_AS_TEXT})
        )
        """,  # noqa: S608 - names and types come from our own DDL
        [[str(path) for path in paths]],
    )


def _read_odd_lines(connection: duckdb.DuckDBPyConnection, partition: str, scratch: Path) -> None:
    """Add the rows of the odd lines, and of the lines that are not UTF-8."""
    shape = duckdb_dialect.table_shape()
    odd = connection.execute(
        f"""
        SELECT dt, hour, odd_line FROM {_LINES} WHERE odd_line IS NOT NULL
        UNION ALL
        SELECT {partition}, csv_line
        FROM rejected_lines JOIN rejected_files AS files(scan_id, file_id, lake_file)
          USING (scan_id, file_id)
        """  # noqa: S608 - our own names
    )
    with scratch.open("wb") as rows:
        while found := odd.fetchmany(_AT_A_TIME):
            for dt, hour, line in found:
                row = openx_lines.row(line, shape) | {"dt": dt, "hour": hour}
                rows.write(orjson.dumps(row) + b"\n")
    types = ", ".join(f"\"{name}\": '{kind}'" for name, kind in _columns().items())
    connection.execute(
        f"INSERT INTO {_LINES} SELECT *, NULL FROM read_ndjson(?, columns = {{{types}}})",  # noqa: S608
        [str(scratch)],
    )
    connection.execute("DROP TABLE rejected_lines; DROP TABLE rejected_files")


def _columns() -> Mapping[str, str]:
    return duckdb_dialect.table_columns() | {"dt": "VARCHAR", "hour": "VARCHAR"}


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
