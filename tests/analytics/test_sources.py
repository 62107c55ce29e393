"""Opening an engine: the embedded one on the objects of a bucket."""

from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from analytics.athena_engine import AthenaEngine
from analytics.engine import LakeError
from analytics.parameters import Parameters
from analytics.sources import EngineName, Source, open_engine
from aws.client import Connection
from aws.sdk import open_client
from cli.lake import app
from tests.analytics.athena_stand_in import standing_in
from tests.analytics.conftest import Make, line, ms

DAY = Parameters.parse("2026-01-04", "2026-01-04")
MONTH = Parameters.parse("2026-01-01", "2026-01-31")
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


def _source(connection: Connection, bucket: str) -> Source:
    return Source(
        engine=EngineName.LOCAL,
        bucket=bucket,
        fetches=True,
        region=connection.region,
        endpoint_url=connection.endpoint_url,
    )


@pytest.fixture(autouse=True)
def _keys(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", connection.access_key_id or "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", connection.secret_access_key or "test")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Connection) -> Path:
    """Where fetched objects go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert connection.endpoint_url is not None
    return tmp_path / "cache/participation/lake" / connection.endpoint_url.split("//")[1]


async def test_the_days_read_are_fetched_and_no_other(
    connection: Connection, bucket: str, cache: Path
) -> None:
    reported: list[str] = []
    for _ in range(2):
        async with open_engine(_source(connection, bucket), DAY, reported.append) as engine:
            assert (await engine.run("totals", DAY)).count("line_count") == 1
    days = sorted(path.name for path in (cache / bucket / "events").iterdir())
    assert days == ["dt=2026-01-03", "dt=2026-01-04", "dt=2026-01-05"]
    assert reported == [
        f"3 new object(s) of s3://{bucket}/events/ in {cache / bucket}",
        f"0 new object(s) of s3://{bucket}/events/ in {cache / bucket}",
    ]


async def test_without_days_the_whole_lake_is_fetched_but_no_error(
    connection: Connection, bucket: str, cache: Path
) -> None:
    async with open_engine(_source(connection, bucket), None) as engine:
        assert (await engine.run("totals", MONTH)).count("line_count") == 5
    assert max(path.name for path in (cache / bucket / "events").iterdir()) == "dt=2026-01-06"


async def test_what_the_bucket_no_longer_holds_is_no_evidence(
    connection: Connection, bucket: str
) -> None:
    async with open_engine(_source(connection, bucket), None):
        pass
    async with open_client("s3", connection) as s3:
        await s3.call("DeleteObject", Bucket=bucket, Key="events/dt=2026-01-04/hour=08/object-1")
    async with open_engine(_source(connection, bucket), None) as engine:
        assert (await engine.run("totals", MONTH)).count("line_count") == 4


def test_a_folder_is_read_as_it_is_whatever_bucket_the_environment_names(
    connection: Connection, bucket: str, make_lake: Make, cache: Path
) -> None:
    lake = make_lake({"2026-01-04/08": [line("r-0", EIGHT, EIGHT, EIGHT)]})
    environment = _environment(connection, LAKE_BUCKET=bucket)
    before = sorted(lake.rglob("*"))

    for arguments in (["query", "totals", "--format=csv"], ["validate"]):
        ended = CliRunner().invoke(app, [*arguments, f"--lake-dir={lake}"], env=environment)
        assert ended.exit_code == 0, ended.output
        assert "object(s)" not in ended.stderr
        assert ("\n1,0,1," if "query" in arguments else "1 line(s) checked") in ended.stdout
    assert sorted(lake.rglob("*")) == before
    assert not cache.exists()


def test_a_bucket_that_is_typed_is_fetched_and_read_alone(
    connection: Connection, bucket: str, make_lake: Make
) -> None:
    lake = make_lake({"2026-01-04/08": [line("r-0", EIGHT, EIGHT, EIGHT)]})
    arguments = ["validate", f"--bucket={bucket}"]
    environment = _environment(connection, LAKE_DIR=str(lake))

    ended = CliRunner().invoke(app, arguments, env=environment)
    both = CliRunner().invoke(app, [*arguments, f"--lake-dir={lake}"], env=environment)

    assert ended.exit_code == 0, ended.output
    assert "5 line(s) checked" in ended.stdout
    assert f"5 new object(s) of s3://{bucket}/events/" in ended.stderr
    assert both.exit_code == 2
    assert "give --lake-dir or --bucket" in both.stderr


def test_a_bucket_of_the_environment_alone_fetches_nothing(
    connection: Connection, bucket: str, cache: Path
) -> None:
    ended = CliRunner().invoke(app, ["validate"], env=_environment(connection, LAKE_BUCKET=bucket))

    assert ended.exit_code == 2
    assert f"give --bucket {bucket} to fetch" in " ".join(ended.stderr.split())
    assert not cache.exists()


def test_a_folder_that_does_not_exist_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["validate", f"--lake-dir={tmp_path / 'missing'}"])

    assert ended.exit_code == 2
    assert "is not a folder" in " ".join(ended.stderr.split())
    assert not (tmp_path / "missing").exists()


async def test_a_cache_that_cannot_be_written_is_reported(
    connection: Connection, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(LakeError, match="set XDG_CACHE_HOME"):
        async with open_engine(_source(connection, bucket), DAY):
            pass


def _environment(connection: Connection, **variables: str) -> dict[str, str]:
    assert connection.endpoint_url is not None
    return {
        "AWS_REGION": connection.region,
        "AWS_ENDPOINT_URL": connection.endpoint_url,
        **variables,
    }


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
