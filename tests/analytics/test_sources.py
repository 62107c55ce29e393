"""Opening an engine: the embedded one on the objects of a bucket."""

from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from analytics.athena_engine import AthenaEngine
from analytics.engine import LakeError
from analytics.parameters import Parameters
from analytics.sources import EngineName, Source, open_engine
from aws.client import Connection
from aws.sdk import open_client
from tests.analytics.athena_stand_in import standing_in
from tests.analytics.conftest import line, ms

DAY = Parameters.parse("2026-01-04", "2026-01-04")
EIGHT = ms("2026-01-04T08:00:00")


@pytest.fixture
async def bucket(connection: Connection) -> str:
    """A bucket with a line on each of five days, and one error object."""
    name = f"lake-{uuid4().hex[:12]}"
    async with open_client("s3", connection) as s3:
        await s3.call(
            "CreateBucket",
            Bucket=name,
            CreateBucketConfiguration={"LocationConstraint": connection.region},
        )
        for day in range(2, 7):
            key = f"events/dt=2026-01-0{day}/hour=08/object-1"
            body = line(f"r-{day}", EIGHT, EIGHT, EIGHT) + b"\n"
            await s3.call("PutObject", Bucket=name, Key=key, Body=body)
        await s3.call("PutObject", Bucket=name, Key="events/error/object-1", Body=b"{}")
    return name


def _source(connection: Connection, bucket: str, lake_dir: Path | None) -> Source:
    return Source(
        engine=EngineName.LOCAL,
        lake_dir=lake_dir,
        bucket=bucket,
        region=connection.region,
        endpoint_url=connection.endpoint_url,
    )


@pytest.fixture(autouse=True)
def _keys(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", connection.access_key_id or "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", connection.secret_access_key or "test")


async def test_the_days_read_are_fetched_and_no_other(
    connection: Connection, bucket: str, tmp_path: Path
) -> None:
    progress: list[str] = []
    source = _source(connection, bucket, tmp_path / "lake")
    for _ in range(2):
        async with open_engine(source, DAY, progress.append) as engine:
            assert (await engine.run("totals", DAY)).count("line_count") == 1
    days = sorted(path.name for path in (tmp_path / "lake" / "events").iterdir())
    assert days == ["dt=2026-01-03", "dt=2026-01-04", "dt=2026-01-05"]
    assert progress == [
        f"fetched 3 new object(s) from s3://{bucket}/events/",
        f"fetched 0 new object(s) from s3://{bucket}/events/",
    ]


async def test_without_days_the_whole_lake_is_fetched_but_no_error(
    connection: Connection, bucket: str
) -> None:
    async with open_engine(_source(connection, bucket, None), None) as engine:
        fetched = Path(engine.source)
        whole = Parameters.parse("2026-01-01", "2026-01-31")
        assert (await engine.run("totals", whole)).count("line_count") == 5
        assert max(path.name for path in (fetched / "events").iterdir()) == "dt=2026-01-06"
    assert not await anyio.Path(fetched).exists()


async def test_no_lake_is_an_error() -> None:
    with pytest.raises(LakeError, match="no lake to read"):
        async with open_engine(Source(engine=EngineName.LOCAL), None):
            pass
    with pytest.raises(LakeError, match="no AWS region"):
        async with open_engine(Source(engine=EngineName.ATHENA), DAY):
            pass


async def test_athena_is_opened_where_the_source_says() -> None:
    with standing_in() as server:
        server.states = ["SUCCEEDED"]
        source = Source(
            engine=EngineName.ATHENA,
            database="lake",
            region="eu-west-1",
            endpoint_url=server.url,
            bucket="my-lake",
        )
        async with open_engine(source, DAY) as engine:
            assert isinstance(engine, AthenaEngine)
            await engine.run("totals", DAY)
        assert engine.source == "lake.participation_logs on s3://my-lake/events/"
    query, *_ = server.queries.values()
    assert query.request["QueryExecutionContext"] == {"Database": "lake"}
