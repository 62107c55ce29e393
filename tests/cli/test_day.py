"""An event's day on the embedded AWS, by the commands that an operator types."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import anyio
import orjson
import pytest

from aws.bus import BusEntry
from aws.client import Connection
from aws.lost_events import encode
from aws.objects import list_objects, read_object
from aws.queue import OutgoingMessage, Queue
from aws.sdk import open_client
from aws.table import Table
from local.emulator.stack import StackOutputs
from schema import keys, names
from schema.items import RequestItem
from schema.message import ParticipationMessage
from schema.states import EventType, Status
from tests.cli import pipeline
from tests.cli.conftest import store
from tests.cli.pipeline import Pipeline

EVENT, LATER = "day", "latecomer"
CLICKS, SEATS, MORE_SEATS = 3_000, 1_000, 500
# However slow the machine is: clicks are repeated and waited for; only their counts matter.
PATIENT = ("--retry", "--timeout=60", "--rate=500", "--seconds=6", "--json")


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_an_events_day_from_its_creation_to_the_last_lost_event(
    connection: Connection, stack: StackOutputs, tmp_path: Path
) -> None:
    async with pipeline.running(connection, stack, tmp_path) as place:
        await place.command("events", "create", EVENT, f"--capacity={SEATS}")
        first = await load(place, tmp_path / "first.ndjson", "first")
        await place.command("events", "close", EVENT)
        await is_closed(place)
        assert await decided(connection, stack, first) == SEATS
        await winners_are_the_tables(place, connection, stack, first)

        await place.command("events", "add-seats", EVENT, str(MORE_SEATS))
        await place.command("events", "open", EVENT)
        second = await load(place, tmp_path / "second.ndjson", "second")
        assert await decided(connection, stack, [*first, *second]) == SEATS + MORE_SEATS
        await winners_are_the_tables(place, connection, stack, [*first, *second])
        shown = (await place.command("events", "show", EVENT, "--json")).json
        assert (shown["capacityTotal"], shown["capacityRemaining"]) == (SEATS + MORE_SEATS, 0)

        await dead_letters(place, connection, stack)
        await lost_event(place, connection, stack)
        seats = f"--capacity={SEATS + MORE_SEATS}"
        await place.command("lake", "validate", bucket(place), f"--event={EVENT}", seats)


async def load(place: Pipeline, out: Path, prefix: str) -> list[str]:
    """Make 3,000 clicks of users of their own; the requests that ingest accepted."""
    arguments = (f"--url={place.url}", f"--event={EVENT}", f"--prefix={prefix}", f"--out={out}")
    found = (await place.command("load", *PATIENT, *arguments)).json
    assert (found["scheduled"], found["accepted"]) == (CLICKS, CLICKS)
    text = await anyio.Path(out).read_bytes()
    lines = (orjson.loads(line) for line in text.splitlines())
    request_ids = [line["requestId"] for line in lines]
    assert len(set(request_ids)) == CLICKS
    return request_ids


async def is_closed(place: Pipeline) -> None:
    """A click of somebody else is refused, soon after the event was closed."""
    with anyio.fail_after(30):
        while True:
            one = ("--rate=1", "--seconds=1", "--prefix=late", "--json")
            ran = await place.command(
                "load", f"--url={place.url}", f"--event={EVENT}", *one, code=1
            )
            if ran.json["byProblem"] == {"event-closed": 1}:
                return


async def decided(connection: Connection, stack: StackOutputs, request_ids: Sequence[str]) -> int:
    """Wait until all requests are decided; how many won."""
    return len(await winners(connection, stack, request_ids))


async def winners(
    connection: Connection, stack: StackOutputs, request_ids: Sequence[str]
) -> set[str]:
    """Who won by the table itself, once all are decided."""
    async with open_client("dynamodb", connection) as dynamodb:
        table = Table(dynamodb, stack.table_name, Random(0))
        with anyio.fail_after(120):
            while True:
                requests = (await table.load(request_ids)).requests
                assert len(requests) == len(request_ids)
                if all(request.status.is_final for request in requests.values()):
                    break
                await anyio.sleep(0.2)
    assert {request.status for request in requests.values()} <= {Status.SUCCEEDED, Status.REJECTED}
    return {one.request_id for one in requests.values() if one.status is Status.SUCCEEDED}


async def winners_are_the_tables(
    place: Pipeline, connection: Connection, stack: StackOutputs, request_ids: Sequence[str]
) -> None:
    """The list of winners has exactly those whom the table says have won, in order."""
    listed = (await place.command("events", "winners", EVENT, "--json")).json
    assert {one["requestId"] for one in listed} == await winners(connection, stack, request_ids)
    assert len(listed) == len({one["requestId"] for one in listed})
    times = [one["finishedAt"] for one in listed]
    assert times == sorted(times)


async def dead_letters(place: Pipeline, connection: Connection, stack: StackOutputs) -> None:
    """Two dead letters are listed; nonsense is deleted, and a request comes to its decision."""
    assert await depths(place) == {"requests": 0, "deadLetters": 0, "lostEvents": 0}
    request_id = keys.request_id(EVENT, LATER)
    waiting = RequestItem(
        request_id=request_id,
        event_id=EVENT,
        user_id=LATER,
        event_type=EventType.FIRST_COME,
        status=Status.QUEUED,
        requested_at_ms=1_700_000_000_000,
        queued_at_ms=1_700_000_000_000,
    )
    await store(connection, stack.table_name, waiting)
    await send(
        connection,
        stack.dlq_url,
        OutgoingMessage("nonsense", {"reasonCode": "BODY_NOT_JSON"}),
        OutgoingMessage(ParticipationMessage(request_id, EVENT, LATER).encode()),
    )
    assert (await depths(place))["deadLetters"] == 2
    listed = {one["reason"]: one for one in (await place.command("dlq", "list", "--json")).json}
    assert listed.keys() == {"BODY_NOT_JSON", "RETRIES_EXHAUSTED"}
    assert listed["RETRIES_EXHAUSTED"]["requestId"] == request_id

    nonsense = listed["BODY_NOT_JSON"]["messageId"]
    await place.command("dlq", "delete", nonsense, "--yes")
    await place.command("dlq", "redrive", f"--event={EVENT}")
    assert await decided(connection, stack, [request_id]) == 0
    shown = (await place.command("requests", "show", request_id, "--json")).json
    assert (shown["status"], shown["isDlq"]) == ("REJECTED", True)
    assert (await place.command("dlq", "list", "--json")).json == []
    assert await depths(place) == {"requests": 0, "deadLetters": 0, "lostEvents": 0}


async def lost_event(place: Pipeline, connection: Connection, stack: StackOutputs) -> None:
    """An event that was lost reaches the lake by way of the bus, and leaves its queue."""
    before = await in_the_lake(place, line_count=2 * CLICKS + 1)
    assert before["request_count"] == 2 * CLICKS + 1
    async with open_client("s3", connection) as s3:
        async for stored in list_objects(s3, stack.bucket_name, names.LAKE_ROOT):
            text = await read_object(s3, stack.bucket_name, stored.key)
            break
    lost = BusEntry(
        names.WORKER_SOURCE, names.PARTICIPATION_PROCESSED, text.splitlines()[0], 1_700_000_000
    )
    await send(connection, stack.lost_events_queue_url, OutgoingMessage(encode(lost)))
    assert (await depths(place))["lostEvents"] == 1

    ran = await place.command("lake", "republish")

    assert ran.out.startswith("1 event(s) published, 0 not accepted")
    after = await in_the_lake(place, line_count=before["line_count"] + 1)
    assert after["request_count"] == before["request_count"]
    dry = await place.command("lake", "republish", "--dry-run")
    assert dry.out.startswith("0 event(s) would be published")
    assert await depths(place) == {"requests": 0, "deadLetters": 0, "lostEvents": 0}


async def depths(place: Pipeline) -> dict[str, int]:
    """How many messages each queue holds, by `status`, once no request waits or is worked on."""
    with anyio.fail_after(60):
        while True:
            queues = (await place.command("status", "--json")).json["queues"]
            held = {
                name: depth["waiting"] + depth["inFlight"] + depth["delayed"]
                for name, depth in queues.items()
            }
            if not held["requests"]:
                return held


async def in_the_lake(place: Pipeline, line_count: int) -> dict[str, Any]:
    """The event's totals, once the lake has so many lines of it."""
    with anyio.fail_after(120):
        while True:
            asked = ("lake", "query", "totals", bucket(place), f"--event={EVENT}", "--json")
            (totals,) = (await place.command(*asked)).json
            if totals["line_count"] >= line_count:
                return dict(totals)


def bucket(place: Pipeline) -> str:
    return f"--bucket={place.environment['LAKE_BUCKET']}"


async def send(connection: Connection, url: str, *messages: OutgoingMessage) -> None:
    async with open_client("sqs", connection) as client:
        assert all(isinstance(sent, str) for sent in await Queue(client, url).send(messages))
