"""Putting a worker together: whoever does it hands in its clients, its clock and its chance."""

from random import Random
from typing import Any, Final

import anyio
import pytest
import structlog

from aws.errors import Transient
from runtime.stop import ExitCode
from tests.aws.model import NOW_MS
from tests.aws.scripted import Answer, ScriptedClients
from tests.virtual_time import virtual_time
from tests.worker.parts import settings_of
from worker.assembly import assemble
from worker.draining import run_until_drained

INDEXES: Final = ("GSI1", "GSI2")
ANSWERS: Final[dict[str, Answer]] = {
    "GetQueueAttributes": {"Attributes": {"QueueArn": "arn:q"}},
    "DescribeTable": {"Table": {"GlobalSecondaryIndexes": [{"IndexName": n} for n in INDEXES]}},
    "DescribeEventBus": {},
}


async def answer(operation: str, **parameters: Any) -> Answer:
    """Everything exists, and no message ever comes."""
    if operation == "ReceiveMessage":
        await anyio.sleep(parameters["WaitTimeSeconds"])
        return {}
    return ANSWERS[operation]


@virtual_time
async def test_a_worker_runs_and_drains_on_clients_that_are_handed_in() -> None:
    clients = ScriptedClients(answer)
    settings = settings_of(receive_wait_s=20, pollers=3, dlq_pollers=1)
    began_s = anyio.current_time()

    async with (
        assemble(settings, clients.opener, clock=lambda: NOW_MS, random=Random(0)) as parts,
        anyio.create_task_group() as tasks,
    ):
        assert list(clients.open) == ["sqs", "dynamodb", "events"]
        # Each poller has a connection of its own, for longer than a poll may take.
        assert clients.open["sqs"].max_connections >= 4
        assert clients.open["sqs"].read_timeout_s > 20

        async def stop_in_a_poll() -> None:
            await anyio.sleep(30)
            parts.stop.request()

        tasks.start_soon(stop_in_a_poll)
        with structlog.testing.capture_logs() as logged:
            assert await run_until_drained(parts) is ExitCode.DRAINED

    assert clients.open == {}
    # The poll under way was finished.
    assert anyio.current_time() - began_s == 40
    assert [line["event"] for line in logged] == ["worker_stopping"]


@virtual_time
async def test_clock_and_chance_are_those_handed_in() -> None:
    random = Random(0)

    async with assemble(
        settings_of(), ScriptedClients(answer).opener, clock=lambda: NOW_MS, random=random
    ) as parts:
        assert parts.clock() == NOW_MS
        assert parts.random is random


@virtual_time
async def test_calls_are_in_the_worker_s_figures() -> None:
    async with assemble(
        settings_of(), ScriptedClients(answer).opener, clock=lambda: NOW_MS, random=Random(0)
    ) as parts:
        for service in ("sqs", "dynamodb", "events"):
            labels = {"service": service, "operation": "Open"}
            name = "aws_call_seconds_count"
            assert parts.metrics.registry.get_sample_value(name, labels) == 1


@virtual_time
async def test_throttles_within_successful_calls_are_in_the_worker_s_figures() -> None:
    async def throttled(operation: str, **parameters: Any) -> Answer:
        if operation == "BatchGetItem":
            return {"Responses": {}, "UnprocessedKeys": parameters["RequestItems"]}
        return await answer(operation, **parameters)

    settings = settings_of()
    async with assemble(
        settings, ScriptedClients(throttled).opener, clock=lambda: NOW_MS, random=Random(0)
    ) as parts:
        with pytest.raises(Transient):
            await parts.table.load(["r"])

        labels = {
            "service": "dynamodb",
            "operation": "BatchGetItem",
            "reason": "UnprocessedKeys",
            "resource": f"table/{settings.table_name}",
        }
        assert parts.metrics.registry.get_sample_value("aws_throttles_total", labels) == 5
