"""Lost events are kept on a queue, which changes nothing for whoever publishes."""

from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from math import inf
from random import Random
from typing import Any

import anyio
import orjson
import pytest
import structlog

from aws.bus import BusEntry
from aws.entries import entry_of
from aws.lost_events import KEEP_TIMEOUT_S, LostEventError, decode, encode
from aws.publisher import Publisher, PublishPolicy
from config.limits import EVENTBRIDGE_BATCH_BYTES
from schema.events import AnalyticsEvent, Meta
from simulation.scenario import Kind
from tests.aws.model import NOW_MS, Aws
from tests.aws.test_publisher import BROKEN, CHECK, MISSING, POLICY, PUT, Counted, event
from tests.aws.wire import DENIED, INVALID, THROTTLED, Fault
from tests.virtual_time import virtual_time

SEND = "SendMessageBatch"


async def publish(
    aws: Aws, events: Sequence[AnalyticsEvent], policy: PublishPolicy = POLICY
) -> tuple[Counted, list[Any]]:
    """Publish events together, with a queue for lost ones; what was counted, and warnings."""
    counted = Counted()
    with structlog.testing.capture_logs() as logged:
        async with Publisher(
            aws.bus, policy, random=Random(0), observer=counted, lost_events=aws.lost_events
        ) as publisher:
            await publisher.publish(events)
    return counted, [line["event"] for line in logged if line["log_level"] == "warning"]


def kept(aws: Aws) -> list[dict[str, Any]]:
    """What is on the queue of lost events."""
    return [orjson.loads(message.body) for message in aws.sends]


@virtual_time
@pytest.mark.parametrize("error", [Kind.REFUSED, Kind.LOST, THROTTLED, BROKEN, DENIED, INVALID])
async def test_a_lost_event_is_kept_whole(error: Fault) -> None:
    aws = Aws()
    aws.wire.faults[PUT] = repeat(error)

    counted, warnings = await publish(aws, [event(1)])

    (message,) = kept(aws)
    assert message["source"] == "kr.ac.dongduk.worker"
    assert message["detailType"] == "ParticipationProcessed"
    assert message["time"] == 0
    assert message["detail"]["requestId"] == "r1"
    assert counted.lost_events.total() == counted.kept_events == 1
    assert counted.not_kept_events == 0
    assert warnings == ["publish_failed"]


@virtual_time
async def test_an_event_that_is_published_is_not_kept() -> None:
    aws = Aws()
    aws.wire.entry_faults[PUT] = iter([None, "MalformedDetail", "InternalFailure"])

    counted, _ = await publish(aws, [event(n) for n in range(3)])

    assert [message["detail"]["requestId"] for message in kept(aws)] == ["r1"]
    assert (counted.published_events, counted.kept_events) == (2, 1)


@virtual_time
async def test_an_event_for_a_missing_bus_is_kept() -> None:
    aws = Aws()
    aws.wire.faults[CHECK] = repeat(MISSING)
    async with Publisher(
        aws.bus, POLICY, random=Random(0), observer=Counted(), lost_events=aws.lost_events
    ) as publisher:
        await anyio.sleep(45)
        await publisher.publish([event(1)])

    assert len(kept(aws)) == 1


@virtual_time
async def test_what_eventbridge_could_never_take_is_not_kept() -> None:
    aws = Aws()
    huge = event(2, meta=Meta("x" * EVENTBRIDGE_BATCH_BYTES))

    counted, _ = await publish(aws, [event(1, env="\ud800"), huge])

    assert counted == Counted(0, Counter(unencodable=1, oversize=1))
    assert kept(aws) == []


@virtual_time
async def test_lost_events_are_sent_by_ten_and_by_a_mebibyte() -> None:
    aws = Aws()
    aws.wire.faults[PUT] = repeat(DENIED)
    # As large as EventBridge takes: as messages they are larger than SQS takes.
    rest = EVENTBRIDGE_BATCH_BYTES // 4 - entry_of(event(1, meta=Meta(""))).size
    quarter = Meta("x" * rest)

    await publish(aws, [event(n) for n in range(25)])
    small = [len(call.parameters["Entries"]) for call in aws.wire.calls_of(SEND)]
    await publish(aws, [event(n, meta=quarter) for n in range(4)])
    large = [len(call.parameters["Entries"]) for call in aws.wire.calls_of(SEND)][len(small) :]
    puts = [len(call.parameters["Entries"]) for call in aws.wire.calls_of(PUT)]

    assert small == [10, 10, 5]
    assert puts[-1] == 4
    assert large == [3, 1]


@virtual_time
@pytest.mark.parametrize("error", [Kind.REFUSED, DENIED, RuntimeError("unforeseen")])
async def test_what_cannot_be_kept_is_counted_and_logged_and_no_more(error: Fault) -> None:
    aws = Aws()
    aws.wire.faults[PUT], aws.wire.faults[SEND] = repeat(DENIED), repeat(error)

    counted, warnings = await publish(aws, [event(1), event(2)])

    assert counted == Counted(0, Counter(denied=2), not_kept_events=2)
    assert warnings == ["publish_failed", "lost_events_not_kept"]


@virtual_time
async def test_one_that_cannot_be_kept_does_not_concern_the_others() -> None:
    aws = Aws()
    aws.wire.faults[PUT] = repeat(DENIED)
    aws.wire.entry_faults[SEND] = iter([None, "InternalError"])

    counted, _ = await publish(aws, [event(n) for n in range(3)])

    assert (counted.kept_events, counted.not_kept_events) == (2, 1)


@virtual_time
async def test_a_queue_that_never_answers_holds_a_crowd_no_longer_than_its_timeout() -> None:
    aws = Aws()
    aws.wire.faults[PUT], aws.wire.each_way_s[SEND] = repeat(DENIED), inf
    began_s = anyio.current_time()

    counted, _ = await publish(aws, [event(n) for n in range(500)])

    assert anyio.current_time() - began_s <= KEEP_TIMEOUT_S + 0.1
    assert counted.not_kept_events == 500


@virtual_time
async def test_an_event_for_a_closed_publisher_counts_as_not_kept() -> None:
    aws, counted = Aws(), Counted()
    async with Publisher(
        aws.bus, POLICY, random=Random(0), observer=counted, lost_events=aws.lost_events
    ) as publisher:
        pass

    await publisher.publish([event(1)])

    assert counted == Counted(0, Counter(closed=1), not_kept_events=1)


@virtual_time
async def test_without_a_queue_nothing_is_sent() -> None:
    aws, counted = Aws(), Counted()
    aws.wire.faults[PUT] = repeat(DENIED)
    async with Publisher(aws.bus, POLICY, random=Random(0), observer=counted) as publisher:
        await publisher.publish([event(1)])

    assert counted == Counted(0, Counter(denied=1))
    assert aws.wire.calls_of(SEND) == []


@virtual_time
async def test_what_is_closing_still_keeps_what_it_loses() -> None:
    aws, counted = Aws(), Counted()
    aws.wire.faults[PUT] = repeat(BROKEN)
    async with (
        anyio.create_task_group() as callers,
        Publisher(
            aws.bus, POLICY, random=Random(0), observer=counted, lost_events=aws.lost_events
        ) as publisher,
    ):
        callers.start_soon(publisher.publish, [event(1)])
        await anyio.lowlevel.checkpoint()

    assert counted == Counted(0, Counter(server_error=1), kept_events=1)


@pytest.mark.parametrize(
    "detail", [b'{"a":1}', '{"한글":"\\"\\n\\u0001"}'.encode(), b'{"a":{"b":[1.5,null,true]}}']
)
def test_an_event_is_read_as_it_was_written(detail: bytes) -> None:
    entry = BusEntry("source", "type", detail, NOW_MS // 1000)

    assert decode(encode(entry)) == entry


@pytest.mark.parametrize(
    "body",
    [
        "nonsense",
        "[]",
        "{}",
        '{"source":"s","detailType":"t","time":1}',
        '{"source":"s","detailType":"t","time":1,"detail":"{}"}',
        '{"source":"s","detailType":"t","time":"1","detail":{}}',
        '{"source":null,"detailType":"t","time":1,"detail":{}}',
    ],
)
def test_what_holds_no_event_is_refused(body: str) -> None:
    with pytest.raises(LostEventError):
        decode(body)
