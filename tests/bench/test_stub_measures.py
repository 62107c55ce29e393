"""The stand-in's EventBridge, its latencies, and the figures it reports."""

from time import perf_counter

import pytest

from bench.stub_process import Stub
from tests.bench.conftest import Clients


def entry(detail: str) -> dict[str, str]:
    return {
        "Source": "kr.ac.dongduk.worker",
        "DetailType": "ParticipationProcessed",
        "Detail": detail,
        "EventBusName": "default",
    }


async def test_put_events_answers_for_each_entry(clients: Clients, stub: Stub) -> None:
    answer = await clients.events.call("PutEvents", Entries=[entry("{}"), entry("{"), entry("{}")])
    assert answer["FailedEntryCount"] == 1
    assert ["EventId" in result for result in answer["Entries"]] == [True, False, True]
    assert answer["Entries"][1]["ErrorCode"] == "MalformedDetail"
    assert stub.figures().events == 2


async def test_an_unknown_bus_takes_events_and_drops_them(clients: Clients, stub: Stub) -> None:
    await clients.events.call("PutEvents", Entries=[entry("{}") | {"EventBusName": "no-such-bus"}])
    assert stub.figures().events == 0
    described = await clients.events.call("DescribeEventBus", Name="default")
    assert described["Name"] == "default"


async def test_latency_is_added_to_the_operation_it_is_set_for(
    clients: Clients, stub: Stub
) -> None:
    stub.reset({"PutEvents": 120})
    began = perf_counter()
    await clients.events.call("DescribeEventBus", Name="default")
    undelayed_s = perf_counter() - began
    began = perf_counter()
    await clients.events.call("PutEvents", Entries=[entry("{}")])
    assert perf_counter() - began >= 0.119
    assert undelayed_s < 0.119


async def test_a_measurement_begins_at_release_and_ends_with_the_last_delete(
    clients: Clients, stub: Stub
) -> None:
    stub.reset(10)
    await clients.events.call("PutEvents", Entries=[entry("{}")])
    stub.seed_requests(4, [5, 0])
    stub.release()
    answer = await clients.sqs.call(
        "ReceiveMessage", QueueUrl=stub.queue_url, MaxNumberOfMessages=10
    )
    await clients.sqs.call(
        "DeleteMessageBatch",
        QueueUrl=stub.queue_url,
        Entries=[
            {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
            for n, message in enumerate(answer["Messages"])
        ],
    )
    figures = stub.wait(4, timeout_s=5)
    assert dict(figures.calls) == {"ReceiveMessage": 1, "DeleteMessageBatch": 1}
    assert figures.deleted == 4
    assert figures.events == 0
    assert figures.p50_ms >= 10
    assert dict(figures.statuses) == {"QUEUED": 4}
    assert 0 < figures.utilisation < 1


async def test_waiting_for_what_never_comes_says_what_was_seen(stub: Stub) -> None:
    with pytest.raises(TimeoutError, match="only 0 of 1 messages deleted"):
        stub.wait(1, timeout_s=0.05)
