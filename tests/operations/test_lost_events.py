"""Republishing: nothing is lost, whatever happens between the queue and the bus."""

from collections.abc import Sequence
from itertools import repeat
from random import Random
from typing import Any

import anyio
import orjson
import pytest

from aws.bus import BusEntry
from aws.errors import Fatal, Transient
from aws.lost_events import encode
from aws.queue import OutgoingMessage
from config.limits import EVENTBRIDGE_BATCH_BYTES
from config.quotas import Limits
from operations import lost_events
from operations.lost_events import Republished
from schema import names
from simulation.scenario import Kind
from tests.aws.model import NOW_MS, Aws
from tests.aws.test_publisher import BROKEN, CHECK, MISSING, PUT
from tests.aws.wire import THROTTLED
from tests.virtual_time import virtual_time

DELETE = "DeleteMessageBatch"


def entry(number: int, padding: int = 0) -> BusEntry:
    detail = orjson.dumps({"requestId": f"r{number}", "padding": "x" * padding})
    return BusEntry(names.WORKER_SOURCE, names.PARTICIPATION_PROCESSED, detail, NOW_MS // 1000)


async def lose(aws: Aws, entries: Sequence[BusEntry], *bodies: str) -> None:
    """Put events, and messages that hold none, on the queue of lost events."""
    for body in (*map(encode, entries), *bodies):
        await aws.lost_events.send([OutgoingMessage(body)])


async def republish(aws: Aws, **options: Any) -> Republished:
    return await lost_events.republish(aws.lost_events, aws.bus, random=Random(0), **options)


def published(aws: Aws) -> list[str]:
    """The requests whose events the bus accepted."""
    return sorted(orjson.loads(event["Detail"])["requestId"] for event in aws.events)


async def left(aws: Aws) -> list[str]:
    """The bodies of what anybody can receive now."""
    found = []
    while received := await aws.lost_events.receive(10, 0, 300):
        found += [delivery.body for delivery in received]
    return found


@virtual_time
async def test_lost_events_are_published_as_they_were_and_deleted() -> None:
    aws = Aws()
    entries = [entry(n) for n in range(25)]
    await lose(aws, entries)

    done = await republish(aws)

    assert done == Republished(published=25)
    assert sorted(event["Detail"].encode() for event in aws.events) == sorted(
        e.detail for e in entries
    )
    assert {(e["Source"], e["DetailType"], e["Time"]) for e in aws.events} == {
        (names.WORKER_SOURCE, names.PARTICIPATION_PROCESSED, NOW_MS // 1000)
    }
    assert await left(aws) == []


@virtual_time
async def test_an_event_is_deleted_only_after_the_bus_accepted_it() -> None:
    aws = Aws()
    await lose(aws, [entry(1)])
    aws.journal.clear()

    await republish(aws)

    assert [line.split()[0] for line in aws.journal] == ["publish", "delete"]


@virtual_time
async def test_what_cannot_be_read_stays_visible_and_is_reported() -> None:
    aws = Aws()
    await lose(aws, [entry(1)], "nonsense", "{}")

    done = await republish(aws)

    assert done == Republished(published=1, unreadable=2)
    assert done.stayed == 2
    assert sorted(await left(aws)) == ["nonsense", "{}"]


@virtual_time
async def test_what_the_bus_does_not_accept_stays_visible() -> None:
    aws = Aws()
    await lose(aws, [entry(n) for n in range(3)])
    aws.wire.entry_faults[PUT] = iter([None, "MalformedDetail"])

    done = await republish(aws)

    assert done == Republished(published=2, failed=1)
    assert len(await left(aws)) == 1


@virtual_time
async def test_what_fails_for_the_moment_is_tried_again() -> None:
    aws = Aws()
    await lose(aws, [entry(n) for n in range(3)])
    aws.wire.faults[PUT] = iter([BROKEN, Kind.REFUSED, THROTTLED])
    aws.wire.entry_faults[PUT] = iter(["InternalFailure"])

    assert await republish(aws) == Republished(published=3)
    assert published(aws) == ["r0", "r1", "r2"]


@virtual_time
async def test_a_bus_that_is_away_ends_the_run_and_costs_nothing() -> None:
    aws = Aws()
    await lose(aws, [entry(n) for n in range(200)])
    aws.wire.faults[PUT] = repeat(Kind.REFUSED)

    done = await republish(aws)

    assert done.published == 0
    assert 0 < done.failed <= 40
    assert len(await left(aws)) == 200


@virtual_time
async def test_a_bus_that_does_not_exist_gets_nothing() -> None:
    """It would take every event and drop it."""
    aws = Aws()
    await lose(aws, [entry(1)])
    aws.wire.faults[CHECK] = iter([MISSING])

    with pytest.raises(Fatal):
        await republish(aws)

    assert aws.wire.calls_of(PUT) == []
    assert len(await left(aws)) == 1


@virtual_time
async def test_a_queue_that_cannot_be_read_is_an_error_and_no_group_of_them() -> None:
    aws = Aws()
    aws.wire.faults["ReceiveMessage"] = repeat(Kind.REFUSED)

    with pytest.raises(Transient):
        await republish(aws)


@virtual_time
async def test_no_more_is_published_than_asked_for() -> None:
    aws = Aws()
    await lose(aws, [entry(n) for n in range(60)])

    done = await republish(aws, limit=37)

    assert done.published == len(aws.events) == 37
    assert len(await left(aws)) == 23


@virtual_time
async def test_calls_keep_to_the_quota() -> None:
    aws = Aws(Limits(put_events_per_s=5))
    await lose(aws, [entry(n) for n in range(500)])

    assert await republish(aws) == Republished(published=500)
    throttled = len(aws.wire.calls_of(PUT)) - 50
    assert throttled <= 15


@virtual_time
async def test_no_call_holds_more_bytes_than_the_bus_takes() -> None:
    aws = Aws()
    await lose(aws, [entry(n, padding=EVENTBRIDGE_BATCH_BYTES // 3) for n in range(5)])

    assert await republish(aws) == Republished(published=5)
    assert max(len(call.parameters["Entries"]) for call in aws.wire.calls_of(PUT)) == 2


@virtual_time
async def test_what_is_published_and_not_deleted_is_not_published_twice_by_one_run() -> None:
    aws = Aws()
    await lose(aws, [entry(1)])
    aws.wire.faults[DELETE] = iter([Kind.REFUSED])

    done = await republish(aws)

    assert done == Republished(published=1, not_deleted=1)
    assert published(aws) == ["r1"]
    assert len(await left(aws)) == 1


@virtual_time
@pytest.mark.parametrize("operation", [PUT, DELETE])
async def test_a_run_that_is_interrupted_shows_everything_again(operation: str) -> None:
    aws = Aws()
    await lose(aws, [entry(n) for n in range(30)])
    aws.wire.each_way_s[operation] = 60
    with anyio.move_on_after(1):
        await republish(aws)

    aws.wire.each_way_s.clear()
    assert len(await left(aws)) == 30

    await anyio.sleep(300)
    await republish(aws)
    assert set(published(aws)) == {f"r{n}" for n in range(30)}
    assert await left(aws) == []


@virtual_time
async def test_an_interrupted_run_finishes_its_polls() -> None:
    """SQS would hand what a poll still finds to nobody, and hide it."""
    aws = Aws()
    with anyio.move_on_after(0.5):
        await republish(aws)
    await lose(aws, [entry(1)])
    await anyio.sleep(2)

    assert len(await left(aws)) == 1


@virtual_time
async def test_progress_adds_up() -> None:
    aws = Aws()
    await lose(aws, [entry(n) for n in range(25)], "nonsense")
    seen: list[Republished] = []

    done = await republish(aws, advanced=seen.append)

    assert sum(seen, Republished()) == done == Republished(published=25, unreadable=1)


@virtual_time
async def test_a_look_counts_and_leaves_all_visible() -> None:
    aws = Aws()
    await lose(aws, [entry(1)])
    await anyio.sleep(60)
    await lose(aws, [entry(2), entry(3)], "nonsense")

    found = await lost_events.look(aws.lost_events)

    assert found.by_type == {names.PARTICIPATION_PROCESSED: 3}
    assert found.unreadable == 1
    assert found.oldest_sent_at_ms == NOW_MS
    assert len(await left(aws)) == 4
    assert aws.events == []


@virtual_time
async def test_a_look_at_an_empty_queue_finds_nothing() -> None:
    found = await lost_events.look(Aws().lost_events)

    assert (found.by_type.total(), found.unreadable, found.oldest_sent_at_ms) == (0, 0, None)
