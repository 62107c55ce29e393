"""The smoke test through the whole pipeline of the embedded AWS, and where it must fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from time import time
from typing import Any
from uuid import uuid4

import pytest

from analytics.athena_engine import AthenaEngine
from analytics.athena_execution import Place as AthenaPlace
from aws.sdk import open_client
from aws.table import Table
from ingest import tokens
from local.firehose import stand_in as firehose
from operations import smoke
from operations.smoke import Patience, Place, SmokeError, Step
from tests import programs
from tests.worker.support import World

SECRET = "a secret of more than thirty-two bytes"  # pragma: allowlist secret
QUICK = Patience(decision_s=20, lake_s=20, lake_poll_s=0.2)
SHORT = Patience(decision_s=1, lake_s=1, lake_poll_s=0.2)


class CountingAthena:
    """Answers each query with one count: first nothing, then one request."""

    def __init__(self) -> None:
        self.counts = ["0", "1"]
        self.statements: list[str] = []
        self.arguments: list[list[str]] = []

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        if operation == "StartQueryExecution":
            self.statements.append(parameters["QueryString"])
            self.arguments.append(parameters["ExecutionParameters"])
            return {"QueryExecutionId": "id"}
        if operation == "GetQueryExecution":
            execution = {
                "Status": {"State": "SUCCEEDED"},
                "StatementType": "DML",
                "Statistics": {"DataScannedInBytes": 10},
            }
            return {"QueryExecution": execution}
        column = {"Name": "request_count", "Type": "bigint"}
        rows = [["request_count"], [self.counts.pop(0)]]
        return {
            "ResultSet": {
                "ResultSetMetadata": {"ColumnInfo": [column]},
                "Rows": [{"Data": [{"VarCharValue": value} for value in row]} for row in rows],
            }
        }


def token() -> str:
    return tokens.issue(SECRET, f"user-{uuid4()}", now_s=time(), expires_in_s=60)


@asynccontextmanager
async def ingest_of(world: World) -> AsyncIterator[str]:
    environment = programs.variables(world.connection, world.stack, JWT_SECRET=SECRET)
    async with programs.ingest(environment) as (_, url):
        yield url


@asynccontextmanager
async def place_of(
    world: World, ingest_url: str, athena: CountingAthena | None = None
) -> AsyncIterator[Place]:
    stack = world.stack
    asks = AthenaPlace(database=stack.database, workgroup=stack.work_group)
    async with open_client("s3", world.connection) as s3:
        yield Place(
            ingest_url=ingest_url,
            table=Table(world.dynamodb, stack.table_name, Random(0)),
            s3=s3,
            bucket=stack.bucket_name,
            athena=None if athena is None else AthenaEngine(athena, asks, projected=True),
        )


async def test_one_request_is_followed_from_the_click_into_the_lake(world: World) -> None:
    steps: list[Step] = []
    athena = CountingAthena()
    async with (
        firehose.standing_in(world.connection, world.stack.event_bus_name, buffer_interval_s=0.2),
        ingest_of(world) as url,
        world.worker(),
        place_of(world, url, athena) as place,
    ):
        await smoke.run(place, token(), steps.append, QUICK)
    assert [step.key for step in steps] == [
        "eventCreated",
        "clickAccepted",
        "requestDecided",
        "seatTaken",
        "eventInLake",
        "countedByAthena",
    ]
    assert all(step.seconds >= 0 for step in steps)
    # It asked again while Athena did not see the event yet, and for this event alone.
    assert len(athena.statements) == 2
    assert "participation_logs_projected" in athena.statements[0]
    assert any("smoke-" in argument for argument in athena.arguments[0])


async def test_an_athena_that_answers_something_else_is_a_sentence(world: World) -> None:
    steps: list[Step] = []
    stack = world.stack
    async with (
        firehose.standing_in(world.connection, stack.event_bus_name, buffer_interval_s=0.2),
        ingest_of(world) as url,
        world.worker(),
        place_of(world, url) as place,
        open_client("athena", world.connection) as athena,
    ):
        asks = AthenaPlace(database=stack.database, workgroup=stack.work_group)
        with_athena = replace(place, athena=AthenaEngine(athena, asks, projected=True))
        with pytest.raises(SmokeError, match="holds no data; --no-athena leaves this step out"):
            await smoke.run(with_athena, token(), steps.append, QUICK)
    assert len(steps) == 5


async def test_without_a_worker_it_says_that_nobody_decides(world: World) -> None:
    steps: list[Step] = []
    async with ingest_of(world) as url, place_of(world, url) as place:
        with pytest.raises(SmokeError, match="no worker decided it within 1 s"):
            await smoke.run(place, token(), steps.append, SHORT)
    assert len(steps) == 2


async def test_without_firehose_it_says_that_the_lake_is_not_reached(world: World) -> None:
    async with ingest_of(world) as url, world.worker(), place_of(world, url) as place:
        patience = Patience(decision_s=20, lake_s=1, lake_poll_s=0.2)
        with pytest.raises(SmokeError, match="it did not reach the lake within 1 s"):
            await smoke.run(place, token(), lambda _: None, patience)


async def test_a_refused_token_is_reported_in_ingests_own_words(world: World) -> None:
    async with ingest_of(world) as url, place_of(world, url) as place:
        with pytest.raises(SmokeError, match="ingest answered 401"):
            await smoke.run(place, "not a token", lambda _: None, SHORT)
