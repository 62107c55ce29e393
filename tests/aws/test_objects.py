"""Listing a bucket, and mirroring the lake into a folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aws.client import Client, Connection
from aws.errors import Fatal, Rejected
from aws.objects import StoredObject, download_lake, list_objects, read_object
from aws.sdk import open_client
from local.emulator.stack import StackOutputs


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and the client to reach it."""

    client: Client
    name: str

    async def put(self, key: str, content: bytes) -> None:
        await self.client.call("PutObject", Bucket=self.name, Key=key, Body=content)


@dataclass(frozen=True, slots=True)
class SmallPages:
    """Lists two objects a page, as S3 lists a thousand."""

    client: Client

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        more = {"MaxKeys": 2} if operation == "ListObjectsV2" else {}
        return await self.client.call(operation, **parameters, **more)


@pytest.fixture
async def bucket(connection: Connection, stack: StackOutputs) -> AsyncIterator[Bucket]:
    async with open_client("s3", connection) as client:
        yield Bucket(client, stack.bucket_name)


def files_below(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def test_all_pages_are_listed_in_order_below_the_prefix_only(bucket: Bucket) -> None:
    for key in ("events/c", "events/a", "other/x", "events/b", "events/e", "events/d"):
        await bucket.put(key, b"12")
    client = SmallPages(bucket.client)
    assert [stored async for stored in list_objects(client, bucket.name, "events/")] == [
        StoredObject(f"events/{name}", 2) for name in "abcde"
    ]
    assert [stored async for stored in list_objects(client, bucket.name, "nothing/")] == []


async def test_a_mirror_has_every_object_under_its_key(bucket: Bucket, tmp_path: Path) -> None:
    lake = {f"events/dt=2026-01-04/hour=0{hour}/lake-1": b"%d\n" % hour for hour in range(7)}
    for key, content in lake.items():
        await bucket.put(key, content)
    await bucket.put("athena-results/1.csv", b"x")
    assert await download_lake(bucket.client, bucket.name, "events/", tmp_path) == 7
    assert files_below(tmp_path) == lake


async def test_a_second_mirror_fetches_only_what_is_new_or_was_cut_short(
    bucket: Bucket, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        await bucket.put(f"events/{name}", b"line\n")
    await download_lake(bucket.client, bucket.name, "events/", tmp_path)
    overwrite(tmp_path / "events/a", b"li")
    overwrite(tmp_path / "events/b", b"kept.")
    await bucket.put("events/c", b"more\n")
    assert await download_lake(bucket.client, bucket.name, "events/", tmp_path) == 2
    assert files_below(tmp_path) == {
        "events/a": b"line\n",
        "events/b": b"kept.",
        "events/c": b"more\n",
    }


async def test_a_mirror_does_not_keep_what_the_bucket_does_not_hold(
    bucket: Bucket, tmp_path: Path
) -> None:
    await bucket.put("events/a", b"line\n")
    (tmp_path / "events").mkdir()
    for name in ("events/gone", "events/.hidden", "other"):
        overwrite(tmp_path / name, b"x")
    assert await download_lake(bucket.client, bucket.name, "events/", tmp_path) == 1
    assert files_below(tmp_path).keys() == {"events/a", "events/.hidden", "other"}


async def test_a_key_that_leaves_the_folder_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    class Malicious:
        async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
            assert operation == "ListObjectsV2", f"{parameters} may not be fetched"
            return {"Contents": [{"Key": "events/../../out", "Size": 1}], "IsTruncated": False}

    with pytest.raises(Rejected, match="leaves the folder"):
        await download_lake(Malicious(), bucket.name, "events/", tmp_path / "mirror")
    assert files_below(tmp_path) == {}


async def test_an_object_that_disappears_meanwhile_is_an_error_of_its_own_kind(
    bucket: Bucket, tmp_path: Path
) -> None:
    class Vanishing:
        async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
            response = await bucket.client.call(operation, **parameters)
            if operation == "ListObjectsV2":
                response["Contents"].append({"Key": "events/gone", "Size": 1})
            return response

    await bucket.put("events/a", b"x")
    with pytest.raises(Rejected, match="NoSuchKey"):
        await download_lake(Vanishing(), bucket.name, "events/", tmp_path)


async def test_a_missing_bucket_is_fatal_and_a_missing_object_is_not(bucket: Bucket) -> None:
    with pytest.raises(Rejected, match="NoSuchKey"):
        await read_object(bucket.client, bucket.name, "nothing")
    with pytest.raises(Fatal, match="NoSuchBucket"):
        await read_object(bucket.client, f"{bucket.name}-2", "nothing")
