"""The Athena engine against an HTTP server that answers as Athena does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest

from analytics import statements
from analytics.athena_engine import AthenaEngine
from analytics.athena_execution import Patience, Place
from analytics.engine import LakeError, Partition, QueryFailed
from analytics.parameters import Parameters
from analytics.statements import StatementError
from aws.errors import Fatal, Transient
from aws.sdk import open_client
from tests.analytics.athena_stand_in import AthenaStandIn, Refusal, standing_in
from tests.analytics.conftest import Make, line, ms

DAY = Parameters.parse("2026-01-04", "2026-01-04")
EIGHT = ms("2026-01-04T08:00:00")
QUICK = Patience(first_wait_s=0.001, longest_wait_s=0.005, attempts=4)
THROTTLED = ("TooManyRequestsException", "Rate exceeded")


@asynccontextmanager
async def _engine(server: AthenaStandIn, **options: Any) -> AsyncIterator[AthenaEngine]:
    place = options.pop("place", Place(database="lake", workgroup="analysts"))
    async with (
        open_client("athena", server.connection) as athena,
        open_client("s3", server.connection) as s3,
    ):
        yield AthenaEngine(athena, place, s3=s3, patience=QUICK, **options)


@pytest.fixture
def small_lake(make_lake: Make) -> Path:
    lines = [
        line(f"r-{n}", EIGHT + 1000 * n, EIGHT + 1000 * n + n, EIGHT + 1000 * n + 3 * n)
        for n in range(90)
    ]
    failed = line(
        None,
        EIGHT,
        EIGHT,
        EIGHT,
        eventId=None,
        eventType=None,
        finalStatus="FAILED_FINAL",
        resultCode="FAILED_VALIDATION",
        failure__errorCode="FIELD_MISSING",
        failure__failureClass="NON_RETRYABLE",
        failure__errorMessage="it's gone, 'quoted'",
    )
    return make_lake({"2026-01-04/08": [*lines, lines[0], failed, b"{broken"]})


async def test_both_engines_give_the_same_columns_types_and_rows(small_lake: Path) -> None:
    asked = Parameters(dt_from=DAY.dt_from, dt_to=DAY.dt_to, capacity=50)
    with standing_in(small_lake) as server:
        assert server.engine is not None
        server.page_rows = 17
        async with _engine(server) as athena:
            for name in statements.query_names():
                expected = await server.engine.run(name, asked)
                result = await athena.run(name, asked)
                assert (name, result.columns) == (name, expected.columns)
                assert (name, result.rows) == (name, expected.rows)
                assert (name, result.arguments) == (name, expected.arguments)


async def test_a_query_is_sent_with_its_database_workgroup_output_and_literals() -> None:
    place = Place(database="lake", workgroup="analysts", output_location="s3://answers/here/")
    with standing_in() as server:
        server.states = ["SUCCEEDED"]
        async with _engine(server, place=place) as athena:
            await athena.run(
                "seats",
                Parameters(
                    dt_from=date(2026, 1, 4), dt_to=date(2026, 1, 5), event_id="it's", capacity=7
                ),
            )
    (query, *_) = server.queries.values()
    assert query.request["QueryExecutionContext"] == {"Database": "lake"}
    assert query.request["WorkGroup"] == "analysts"
    assert query.request["ResultConfiguration"] == {"OutputLocation": "s3://answers/here/"}
    assert query.request["ExecutionParameters"] == [
        "'2026-01-04'",
        "'2026-01-05'",
        "'it''s'",
        "7",
        "7",
    ]
    assert query.request["QueryString"] == statements.load("seats").sql


async def test_a_query_is_followed_through_its_states_and_its_pages(small_lake: Path) -> None:
    progress: list[str] = []
    with standing_in(small_lake) as server:
        assert server.engine is not None
        await server.engine.run("totals", DAY)
        server.states = ["QUEUED", "RUNNING", "RUNNING", "SUCCEEDED"]
        server.page_rows = 10
        async with _engine(server) as athena:
            result = await athena.run("traffic_per_second", DAY, progress.append)
    assert [words.split()[1] for words in progress] == ["QUEUED", "RUNNING", "RUNNING", "SUCCEEDED"]
    assert len(result.rows) == 90
    assert server.calls["GetQueryResults"] == 10
    assert result.scanned_bytes == 93 * 400
    assert result.query_id in server.queries


async def test_a_failed_query_shows_athenas_reason_and_the_statement() -> None:
    with standing_in() as server:
        server.states = ["RUNNING", "FAILED"]
        server.reason = "SYNTAX_ERROR: line 3:5: Table lake.participation_logs does not exist"
        async with _engine(server) as athena:
            with pytest.raises(QueryFailed) as failure:
                await athena.run("totals", DAY)
    assert "Table lake.participation_logs does not exist" in str(failure.value)
    assert "FROM participation_logs" in str(failure.value)


async def test_a_query_that_somebody_else_stopped_is_reported() -> None:
    with standing_in() as server:
        server.states = ["RUNNING", "CANCELLED"]
        async with _engine(server) as athena:
            with pytest.raises(QueryFailed, match="was cancelled"):
                await athena.run("totals", DAY)


async def test_a_refused_statement_shows_the_reason() -> None:
    with standing_in() as server:
        server.refusals["StartQueryExecution"] = [
            Refusal("InvalidRequestException", "No output location provided.")
        ]
        async with _engine(server) as athena:
            with pytest.raises(QueryFailed, match="No output location provided"):
                await athena.run("totals", DAY)


@pytest.mark.parametrize(
    "operation", ["StartQueryExecution", "GetQueryExecution", "GetQueryResults"]
)
async def test_a_throttled_call_is_made_again(small_lake: Path, operation: str) -> None:
    with standing_in(small_lake) as server:
        assert server.engine is not None
        await server.engine.run("totals", DAY)
        server.refusals[operation] = [Refusal(*THROTTLED), Refusal(*THROTTLED)]
        async with _engine(server) as athena:
            result = await athena.run("totals", DAY)
    assert result.count("line_count") == 93
    # Each repetition of the start carries the same token, so it remains one query.
    assert len(server.queries) == 1


async def test_a_call_throttled_for_good_ends() -> None:
    with standing_in() as server:
        server.refusals["GetQueryExecution"] = [Refusal(*THROTTLED) for _ in range(99)]
        async with _engine(server) as athena:
            with pytest.raises(Transient, match="TooManyRequestsException"):
                await athena.run("totals", DAY)
    assert server.calls["GetQueryExecution"] == QUICK.attempts


async def test_no_permission_is_not_tried_again() -> None:
    with standing_in() as server:
        server.refusals["GetQueryExecution"] = [Refusal("AccessDeniedException", "no", 400)]
        async with _engine(server) as athena:
            with pytest.raises(Fatal):
                await athena.run("totals", DAY)
    assert server.calls["GetQueryExecution"] == 1


async def test_a_cancelled_caller_stops_the_query_on_athena() -> None:
    with standing_in() as server:
        server.states = ["RUNNING"]
        async with _engine(server) as athena, anyio.create_task_group() as tasks:
            tasks.start_soon(athena.run, "totals", DAY)
            await anyio.to_thread.run_sync(server.started.wait, 5)
            await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
    assert server.stopped.is_set()


async def test_a_caller_cancelled_before_the_answer_to_the_start_stops_the_query_too() -> None:
    with standing_in() as server:
        server.states = ["RUNNING"]
        server.answers_late.set()
        async with _engine(server) as athena, anyio.create_task_group() as tasks:
            tasks.start_soon(athena.run, "totals", DAY)
            await anyio.to_thread.run_sync(server.started.wait, 5)
            tasks.cancel_scope.cancel()
    assert len(server.queries) == 1
    assert server.stopped.is_set()


async def test_nothing_read_says_which_command_loads_the_partitions() -> None:
    folders = [f"events/dt=2026-01-04/hour={hour:02}/object" for hour in range(5)]
    with standing_in(folders=folders) as server:
        server.states = ["SUCCEEDED"]
        async with _engine(server, bucket="my-lake") as athena:
            (note,) = (await athena.run("totals", DAY)).notes
    assert "5 partition(s) in the bucket are not loaded" in note
    assert "dt=2026-01-04/hour=00" in note
    assert "participation lake repair" in note


async def test_nothing_read_and_nothing_there_says_so() -> None:
    with standing_in() as server:
        server.states = ["SUCCEEDED"]
        async with _engine(server, bucket="my-lake") as athena:
            assert (await athena.run("totals", DAY)).notes == (
                "No line arrived between 2026-01-04 and 2026-01-04 (UTC).",
            )


async def test_the_coverage_compares_the_table_with_the_bucket(small_lake: Path) -> None:
    folders = ["events/dt=2026-01-04/hour=08/a", "events/dt=2026-01-05/hour=00/b", "events/error/x"]
    with standing_in(small_lake, folders) as server:
        assert server.engine is not None
        await server.engine.run("totals", DAY)
        async with _engine(server, bucket="my-lake") as athena:
            coverage = await athena.coverage(DAY)
            assert await athena.days() == (date(2026, 1, 4), date(2026, 1, 4))
    assert coverage.loaded == (Partition("2026-01-04", "08"),)
    assert coverage.missing == (Partition("2026-01-05", "00"),)


async def test_the_table_is_created_for_the_named_bucket() -> None:
    with standing_in() as server:
        server.states = ["SUCCEEDED"]
        async with _engine(server, bucket="my-lake") as athena:
            for name in statements.DDL_NAMES:
                await athena.define(name)
            await athena.repair()
    sent = [query.request["QueryString"] for query in server.queries.values()]
    assert "LOCATION 's3://my-lake/events/'" in sent[0]
    assert "s3://my-lake/events/dt=${dt}/hour=${hour}/" in sent[1]
    assert sent[2].startswith("CREATE OR REPLACE VIEW participation_requests")
    assert sent[3] == "MSCK REPAIR TABLE participation_logs"
    assert not any("ExecutionParameters" in q.request for q in list(server.queries.values())[:4])


async def test_a_definition_needs_the_bucket_and_a_question_needs_a_query() -> None:
    with standing_in() as server:
        async with _engine(server) as athena:
            with pytest.raises(LakeError, match="LAKE_BUCKET"):
                await athena.define("create_table")
            with pytest.raises(LakeError, match="repair"):
                await athena.run("repair_table", DAY)
        with pytest.raises(StatementError):
            async with _engine(server, place=Place(database="no; drop")):
                pass
    assert not server.queries


async def test_the_projected_table_is_read_without_a_partition_load() -> None:
    with standing_in(folders=["events/dt=2026-01-04/hour=08/a"]) as server:
        server.states = ["SUCCEEDED"]
        async with _engine(server, bucket="my-lake", projected=True) as athena:
            await athena.run("totals", DAY)
            assert (await athena.coverage(DAY)).missing == ()
            with pytest.raises(LakeError, match="no partition load"):
                await athena.repair()
            with pytest.raises(LakeError, match="--from"):
                await athena.days()
    (query,) = server.queries.values()
    assert "FROM participation_logs_projected" in query.request["QueryString"]
