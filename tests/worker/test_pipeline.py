"""The worker's main path against the emulator."""

from collections import Counter

import jsonschema
import orjson

from schema import json_schemas
from schema.states import Status
from tests.worker.support import World, figure, request


async def test_a_burst_is_decided_published_and_acknowledged(world: World) -> None:
    await world.create_event("E1", capacity=60)
    requests = [request("E1", f"user-{n}", queued_at_ms=1_700_000_000_000 + n) for n in range(150)]
    await world.enqueue(requests, duplicates=10)

    async with world.worker() as parts:
        await world.until_decided("E1", 150)
        await world.until_empty()

    assert await world.statuses("E1") == {"SUCCEEDED": 60, "REJECTED": 90}
    assert (await world.seats("E1")).remaining == 0
    envelopes = await world.published()
    assert {e["source"] for e in envelopes} == {"kr.ac.dongduk.worker"}
    assert {e["detail-type"] for e in envelopes} == {"ParticipationProcessed"}
    schema = jsonschema.Draft202012Validator(json_schemas.load("ParticipationProcessed"))
    for envelope in envelopes:
        schema.validate(envelope["detail"])
    assert {e["detail"]["requestId"] for e in envelopes} == {r.request_id for r in requests}
    lines: dict[str, set[bytes]] = {}
    for envelope in envelopes:
        detail = envelope["detail"]
        lines.setdefault(detail["requestId"], set()).add(orjson.dumps(detail))
    assert Counter(len(variants) for variants in lines.values()) == {1: 150}
    registry = parts.metrics.registry
    settled = {
        outcome: figure(registry, "worker_messages_settled_total", queue="main", outcome=outcome)
        for outcome in ("succeeded", "rejected", "duplicate", "retried")
    }
    assert settled == {"succeeded": 60, "rejected": 90, "duplicate": 10, "retried": 0}
    assert figure(registry, "worker_in_flight_messages") == 0
    assert figure(registry, "worker_publish_events_total") == len(envelopes)


async def test_a_request_decided_without_times_by_an_older_writer_is_still_acknowledged(
    world: World,
) -> None:
    await world.create_event("E1", capacity=1)
    old = request("E1", "user-1", status=Status.SUCCEEDED, result_code="SUCCESS")
    await world.enqueue([old])

    async with world.worker() as parts:
        await world.until_empty()

    assert await world.published() == []
    lost = figure(parts.metrics.registry, "worker_publish_failures_total", reason="unencodable")
    assert lost == 1
    assert await world.item(old.request_id) == old
