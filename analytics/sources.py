"""Opens the engine that a caller names, on the lake that a caller names."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from analytics.athena_engine import AthenaEngine
from analytics.athena_execution import Place
from analytics.engine import Engine, LakeError, Progress
from analytics.parameters import Parameters
from aws.client import ClientOptions, Connection
from aws.objects import download_lake
from aws.sdk import open_client
from schema.names import LAKE_ROOT

_ANSWER_WITHIN_S: Final = 30.0
"""A page of results is up to a thousand rows, an object up to 128 MB."""


class EngineName(StrEnum):
    """The two engines."""

    ATHENA = "athena"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Which engine reads which lake."""

    engine: EngineName
    lake_dir: Path | None = None
    """The folder to read; with a bucket, the folder to mirror it into."""
    bucket: str | None = None
    database: str = "default"
    workgroup: str = "primary"
    output: str | None = None
    projected: bool = False
    region: str | None = None
    endpoint_url: str | None = None

    def connection(self) -> Connection:
        """Where AWS is; raises LakeError without a region."""
        if self.region is None:
            raise LakeError("no AWS region: set AWS_REGION or give --region")
        return Connection(self.region, self.endpoint_url)


@asynccontextmanager
async def open_engine(
    source: Source, parameters: Parameters | None, progress: Progress | None = None
) -> AsyncIterator[Engine]:
    """Open the engine; the embedded one first fetches the days' objects where a bucket is named."""
    if source.engine is EngineName.ATHENA:
        async with open_athena(source) as athena:
            yield athena
        return
    async with AsyncExitStack() as stack:
        lake_dir = source.lake_dir
        if lake_dir is None and source.bucket is None:
            raise LakeError("no lake to read: give --lake-dir (LAKE_DIR) or --bucket (LAKE_BUCKET)")
        if lake_dir is None:
            lake_dir = Path(stack.enter_context(TemporaryDirectory(prefix="lake-objects-")))
        if source.bucket is not None:
            lake_dir.mkdir(parents=True, exist_ok=True)
            await _fetch(source.connection(), source.bucket, lake_dir, parameters, progress)
        # Only here: an image that asks Athena alone comes without the embedded engine.
        from analytics.local_engine import LocalEngine  # noqa: PLC0415

        yield await stack.enter_async_context(LocalEngine(lake_dir))


@asynccontextmanager
async def open_athena(source: Source) -> AsyncIterator[AthenaEngine]:
    """Open the Athena engine."""
    connection = source.connection()
    options = ClientOptions(read_timeout_s=_ANSWER_WITHIN_S)
    async with (
        open_client("athena", connection, options) as athena,
        open_client("s3", connection, options) as s3,
    ):
        yield AthenaEngine(
            athena,
            Place(
                database=source.database,
                workgroup=source.workgroup,
                output_location=source.output,
            ),
            bucket=source.bucket,
            s3=s3,
            projected=source.projected,
        )


async def _fetch(
    connection: Connection,
    bucket: str,
    lake_dir: Path,
    parameters: Parameters | None,
    progress: Progress | None,
) -> None:
    async with open_client("s3", connection, ClientOptions(read_timeout_s=_ANSWER_WITHIN_S)) as s3:
        fetched = 0
        for prefix in _prefixes(parameters):
            fetched += await download_lake(s3, bucket, prefix, lake_dir)
    if progress is not None:
        progress(f"fetched {fetched} new object(s) from s3://{bucket}/{LAKE_ROOT}")


def _prefixes(parameters: Parameters | None) -> list[str]:
    """The keys of the days that the statements read; without days, of all of them."""
    if parameters is None:
        return [f"{LAKE_ROOT}dt="]
    days = (parameters.scan_to - parameters.scan_from).days + 1
    return [
        f"{LAKE_ROOT}dt={parameters.scan_from + timedelta(days=number)}/" for number in range(days)
    ]
