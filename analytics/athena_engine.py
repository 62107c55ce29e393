"""The Athena engine: the statements on AWS, with the partition load that a table needs."""

from datetime import date, timedelta
from typing import Any, Final

from analytics import athena_execution, statements
from analytics.athena_execution import Athena, Patience, Place
from analytics.engine import (
    Coverage,
    LakeError,
    Partition,
    Progress,
    empty_range_note,
    missing_partitions_note,
)
from analytics.parameters import Parameters
from analytics.results import QueryResult
from aws.client import Client
from schema.names import LAKE_ROOT, LAKE_TABLE

_EVERY_DAY: Final = Parameters(dt_from=date(1970, 1, 2), dt_to=date(9999, 12, 30))


class AthenaEngine:
    """Runs the statements on Athena; `s3` and `bucket` serve to find partitions not loaded."""

    is_athena = True

    def __init__(
        self,
        athena: Client,
        place: Place,
        *,
        bucket: str | None = None,
        s3: Client | None = None,
        projected: bool = False,
        patience: Patience | None = None,
    ) -> None:
        statements.checked_database(place.database)
        self._patience = patience or Patience()
        self._athena = Athena(athena, place, self._patience)
        self._place = place
        self._bucket = bucket
        self._s3 = s3
        self._table = statements.PROJECTED_TABLE if projected else LAKE_TABLE

    @property
    def label(self) -> str:
        """The engine and the workgroup."""
        return f"Amazon Athena (workgroup {self._place.workgroup}; approximate percentiles)"

    @property
    def source(self) -> str:
        """The table, and the bucket where it is known."""
        bucket = f" on s3://{self._bucket}/{LAKE_ROOT}" if self._bucket else ""
        return f"{self._place.database}.{self._table}{bucket}"

    async def run(
        self, name: str, parameters: Parameters, progress: Progress | None = None
    ) -> QueryResult:
        """Run a query by its name; raises QueryFailed, LakeError, StatementError, AwsError."""
        statement = statements.load(name)
        if not statement.is_query:
            raise LakeError(f"{name} defines something: use `participation lake ddl` or `repair`")
        sql = statements.with_table(statement.sql, self._table)
        arguments = parameters.values(statement)
        execution = await self._athena.execute(name, sql, arguments, progress)
        if strange := [c.name for c in execution.columns if c.name.lower() not in sql.lower()]:
            raise LakeError(
                f"Athena answered {name} with columns that it does not have "
                f"({', '.join(strange)}): the embedded AWS's Athena holds no data"
            )
        notes: tuple[str, ...] = ()
        if execution.scanned_bytes == 0 and name != "partitions":
            notes = await self._notes_on_nothing_read(parameters)
        return QueryResult(
            name=name,
            columns=execution.columns,
            rows=execution.rows,
            statement=sql,
            arguments=arguments,
            seconds=execution.seconds,
            scanned_bytes=execution.scanned_bytes,
            query_id=execution.query_id,
            notes=notes,
        )

    async def define(self, name: str, progress: Progress | None = None) -> str:
        """Run a definition (a table or the view) and return it as executed."""
        sql = self.definition(name)
        await self._athena.execute(name, sql, progress=progress)
        return sql

    def definition(self, name: str) -> str:
        """A definition as this engine would execute it; raises LakeError without a bucket."""
        sql = statements.load(name).sql
        if statements.BUCKET_PLACE in sql:
            if self._bucket is None:
                raise LakeError(f"{name} needs the lake's bucket (--bucket or LAKE_BUCKET)")
            return statements.with_bucket(sql, self._bucket)
        return sql

    async def repair(self, progress: Progress | None = None) -> tuple[Partition, ...]:
        """Load the partitions that are new in the bucket, and return those now known."""
        if self._table != LAKE_TABLE:
            raise LakeError("the projected table needs no partition load")
        name = statements.REPAIR_NAME
        await self._athena.execute(name, statements.load(name).sql, progress=progress)
        return await self._loaded(_EVERY_DAY)

    async def coverage(self, parameters: Parameters) -> Coverage:
        """Compare the partitions that the table knows with the folders in the bucket."""
        if self._table != LAKE_TABLE:
            present = await self._in_bucket(parameters)
            return Coverage(loaded=present, missing=())
        loaded = await self._loaded(parameters)
        known = set(loaded)
        present = await self._in_bucket(parameters)
        return Coverage(loaded, tuple(hour for hour in present if hour not in known))

    async def days(self) -> tuple[date, date] | None:
        """The first and the last day that the table knows; raises LakeError for the projected."""
        if self._table != LAKE_TABLE:
            raise LakeError("the projected table knows no first day: give --from and --to")
        days = [date.fromisoformat(hour.dt) for hour in await self._loaded(_EVERY_DAY)]
        return (min(days), max(days)) if days else None

    async def _notes_on_nothing_read(self, parameters: Parameters) -> tuple[str, ...]:
        empty = empty_range_note(parameters)
        if self._s3 is None or self._bucket is None:
            hint = "If the bucket holds files of these days, run `participation lake repair`."
            return (f"{empty} {hint}",)
        missing = (await self.coverage(parameters)).missing
        return (missing_partitions_note(missing),) if missing else (empty,)

    async def _loaded(self, parameters: Parameters) -> tuple[Partition, ...]:
        statement = statements.load("partitions")
        days = (parameters.scan_from.isoformat(), parameters.scan_to.isoformat())
        execution = await self._athena.execute(statement.name, statement.sql, days)
        return tuple(Partition(str(dt), str(hour)) for dt, hour in execution.rows)

    async def _in_bucket(self, parameters: Parameters) -> tuple[Partition, ...]:
        if self._s3 is None or self._bucket is None:
            return ()
        found: list[Partition] = []
        day = parameters.scan_from
        while day <= parameters.scan_to:
            prefix = f"{LAKE_ROOT}dt={day.isoformat()}/"
            for folder in await self._folders(self._s3, self._bucket, prefix):
                name, _, hour = folder.removeprefix(prefix).rstrip("/").partition("=")
                if name == "hour":
                    found.append(Partition(day.isoformat(), hour))
            day += timedelta(days=1)
        return tuple(found)

    async def _folders(self, s3: Client, bucket: str, prefix: str) -> list[str]:
        """The folders just below a prefix."""
        found: list[str] = []
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/"}
        while True:
            answer = await athena_execution.call(s3, "ListObjectsV2", request, self._patience)
            found.extend(str(entry["Prefix"]) for entry in answer.get("CommonPrefixes", []))
            if not answer.get("IsTruncated"):
                return found
            request["ContinuationToken"] = answer["NextContinuationToken"]
