"""Reads an S3 bucket: lists objects, and mirrors a part of the lake into a local folder."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import anyio
from anyio import to_thread

from aws.client import Client
from aws.errors import AwsError, Rejected

_DOWNLOADS: Final = 4


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a bucket."""

    key: str
    size: int


async def list_objects(client: Client, bucket: str, prefix: str) -> AsyncIterator[StoredObject]:
    """List the objects whose key begins with the prefix, in the order of their keys."""
    token: str | None = None
    while True:
        more = {} if token is None else {"ContinuationToken": token}
        response = await client.call("ListObjectsV2", Bucket=bucket, Prefix=prefix, **more)
        for entry in response.get("Contents", ()):
            yield StoredObject(entry["Key"], int(entry["Size"]))
        if not response.get("IsTruncated"):
            return
        token = response["NextContinuationToken"]


async def read_object(client: Client, bucket: str, key: str) -> bytes:
    """Read a whole object; raises Rejected where there is none."""
    response = await client.call("GetObject", Bucket=bucket, Key=key)
    async with response["Body"] as body:
        content: bytes = await body.read()
    return content


async def download_lake(client: Client, bucket: str, prefix: str, directory: Path) -> int:
    """Mirror the objects below a prefix into a folder, each under its key; returns how many came.

    Firehose never changes an object, so a file of the same size is left as it is. A file below the
    prefix that the bucket does not hold is deleted. Raises AwsError, OSError.
    """
    limiter = anyio.CapacityLimiter(_DOWNLOADS)
    listed = [stored async for stored in list_objects(client, bucket, prefix)]
    missing = [stored for stored in listed if not await _is_mirrored(stored, directory)]
    failures: list[AwsError | OSError] = []

    async def download(key: str) -> None:
        async with limiter:
            try:
                await _write(_path(directory, key), await read_object(client, bucket, key))
            except (AwsError, OSError) as error:
                failures.append(error)
                tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for stored in missing:
            tasks.start_soon(download, stored.key)
    if failures:
        raise failures[0]
    await to_thread.run_sync(
        _delete_others, directory, prefix, frozenset(stored.key for stored in listed)
    )
    return len(missing)


async def _is_mirrored(stored: StoredObject, directory: Path) -> bool:
    path = _path(directory, stored.key)
    return await path.is_file() and (await path.stat()).st_size == stored.size


def _path(directory: Path, key: str) -> anyio.Path:
    """A key's place in the folder; raises Rejected for one that would lie outside."""
    parts = PurePosixPath(key).parts
    if not parts or ".." in parts or key.startswith("/"):
        raise Rejected("s3", "GetObject", "UnsafeKey", f"the key {key!r} leaves the folder")
    return anyio.Path(directory, *parts)


def _delete_others(directory: Path, prefix: str, keys: frozenset[str]) -> None:
    for path in directory.rglob("*"):
        key = path.relative_to(directory).as_posix()
        if key.startswith(prefix) and key not in keys and path.is_file() and path.name[0] != ".":
            path.unlink(missing_ok=True)


async def _write(path: anyio.Path, content: bytes) -> None:
    await path.parent.mkdir(parents=True, exist_ok=True)
    # Whoever reads or mirrors here as well must never see half a file.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    await unfinished.write_bytes(content)
    await unfinished.replace(path)
