"""Opens the engine that a caller names, on the lake that a caller names."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

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
    """The folder that the embedded engine reads; nothing is ever written into it."""
    bucket: str | None = None
    """The lake's bucket."""
    fetches: bool = False
    """Whether the embedded engine fetches the bucket's objects, and reads those alone."""
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
    source: Source, parameters: Parameters | None, report: Progress | None = None
) -> AsyncIterator[Engine]:
    """Open the engine; the embedded one reads a folder, or fetches the days' objects of a bucket.

    `report` gets what was fetched, and from where. Raises LakeError.
    """
    if source.engine is EngineName.ATHENA:
        async with open_athena(source) as athena:
            yield athena
        return
    # Only here: an image that asks Athena alone comes without the embedded engine.
    from analytics.local_engine import LocalEngine  # noqa: PLC0415

    async with LocalEngine(await _folder(source, parameters, report)) as engine:
        yield engine


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


async def _folder(source: Source, parameters: Parameters | None, report: Progress | None) -> Path:
    """The folder to read: the one that is named, or the bucket's in the cache, brought up to date.

    Evidence is either: a folder that somebody keeps, or what the bucket holds; never a mixture.
    """
    if source.fetches and source.bucket is not None:
        if source.lake_dir is not None:
            raise LakeError("give --lake-dir or --bucket: a folder is read, and never fetched into")
        return await _fetched(source.connection(), source.bucket, parameters, report)
    if source.lake_dir is not None:
        return source.lake_dir
    if source.bucket is not None:
        raise LakeError(
            f"no lake to read: give --bucket {source.bucket} to fetch that bucket (LAKE_BUCKET "
            "alone fetches nothing), --lake-dir to read a folder, or --engine athena"
        )
    raise LakeError("no lake to read: give --lake-dir (LAKE_DIR), or --bucket to fetch one")


async def _fetched(
    connection: Connection,
    bucket: str,
    parameters: Parameters | None,
    report: Progress | None,
) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    # A bucket of the embedded AWS may have the name of one on AWS.
    place = urlsplit(connection.endpoint_url or "").netloc or "aws"
    folder = cache / "participation" / "lake" / place / bucket
    fetched = 0
    try:
        async with open_client(
            "s3", connection, ClientOptions(read_timeout_s=_ANSWER_WITHIN_S)
        ) as s3:
            for prefix in _prefixes(parameters):
                fetched += await download_lake(s3, bucket, prefix, folder)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LakeError(
            f"the cache {folder} cannot be written ({error.strerror}): set XDG_CACHE_HOME to a "
            "folder that can"
        ) from error
    if report is not None:
        report(f"{fetched} new object(s) of s3://{bucket}/{LAKE_ROOT} in {folder}")
    return folder


def _prefixes(parameters: Parameters | None) -> list[str]:
    """The keys of the days that the statements read; without days, of all of them."""
    if parameters is None:
        return [f"{LAKE_ROOT}dt="]
    days = (parameters.scan_to - parameters.scan_from).days + 1
    return [
        f"{LAKE_ROOT}dt={parameters.scan_from + timedelta(days=number)}/" for number in range(days)
    ]
