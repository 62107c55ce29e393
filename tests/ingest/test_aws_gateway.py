"""The gateway on the embedded AWS: calls are shared, and each caller gets its own result."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from aws.errors import AwsError, Rejected
from ingest import aws_gateway
from ingest.gateway import Insertion, Position, Progress, Unavailable
from ingest.retries import RetryPolicy
from schema.items import RequestItem
from schema.message import ParticipationMessage
from schema.states import Status
from tests.faults.actions import THROTTLE, DropAnswer, FailEntries, Fault, Hang, Refuse
from tests.ingest.live import Live
from tests.ingest.support import many, stored

WRITES = "BatchExecuteStatement"
FAST = RetryPolicy(max_attempts=3, base_s=0.001, max_s=0.002, window_s=10)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that runs other tests as well may be slower than a click's patience."""
    monkeypatch.setattr(aws_gateway, "PATIENCE_S", 30.0)
    monkeypatch.setattr(aws_gateway, "MARK_PATIENCE_S", 30.0)


def received(count: int) -> list[RequestItem]:
    """As many users' requests, as the first step stores them."""
    return [stored(f"user-{n:03d}", None, requested_at_ms=5) for n in range(count)]


async def together(
    operation: Callable[[Any], Awaitable[Any]], arguments: Sequence[Any]
) -> list[Any]:
    """Call an operation for each argument at the same time: its results, or errors, in order."""
    results: list[Any] = [None] * len(arguments)

    async def call(index: int, argument: Any) -> None:
        try:
            results[index] = await operation(argument)
        except (Unavailable, Rejected) as error:
            results[index] = error

    async with anyio.create_task_group() as tasks:
        for index, argument in enumerate(arguments):
            tasks.start_soon(call, index, argument)
    return results


async def test_two_hundred_clicks_take_each_step_in_shared_calls(live: Live) -> None:
    requests = received(200)
    async with live.gateway() as gateway:
        insertions = await together(gateway.insert, requests)
        inserts = live.proxy.count(WRITES)
        await together(
            gateway.send,
            [ParticipationMessage(r.request_id, r.event_id, r.user_id) for r in requests],
        )
        marked = await together(lambda n: gateway.mark_queued(requests[n], n), range(len(requests)))

    assert insertions == [Insertion(is_new=True)] * 200
    assert inserts == 8
    assert live.proxy.count("SendMessageBatch") == 20
    assert live.proxy.count(WRITES) - inserts == 8
    assert marked == [True] * 200
    assert {m.request_id for m in await live.messages()} == {r.request_id for r in requests}
    stored_times = {i.queued_at_ms for i in (await live.world.items("event-1")).values()}
    assert stored_times == set(range(200))


async def test_clicks_of_one_moment_go_through_all_steps_in_shared_calls(live: Live) -> None:
    requests = received(200)
    await live.world.store(requests[:2])
    async with live.gateway() as gateway:
        come = await together(gateway.advance, requests)

    assert [one.progress for one in come[:2]] == [Progress.EXISTS] * 2
    assert [one.progress for one in come[2:]] == [Progress.QUEUED] * 198
    assert live.proxy.count("SendMessageBatch") == 20
    assert live.proxy.count(WRITES) <= 8 + 8
    assert {m.request_id for m in await live.messages()} == {r.request_id for r in requests[2:]}
    items = await live.world.items("event-1")
    for request, one in zip(requests[2:], come[2:], strict=True):
        assert one.queued_at_ms is not None
        assert items[request.request_id] == replace(
            request, status=Status.QUEUED, queued_at_ms=one.queued_at_ms
        )


def begins_with(verb: str) -> Callable[[Any], bool]:
    """Whether a batch's statements do."""
    return lambda document: document["Statements"][0]["Statement"].startswith(verb)


@pytest.mark.parametrize(
    ("fault", "progress"),
    [
        (Fault(WRITES, FailEntries([1]), where=begins_with("INSERT")), Progress.NEW),
        (Fault("SendMessageBatch", FailEntries([1])), Progress.STORED),
        (Fault(WRITES, FailEntries([1]), where=begins_with("UPDATE")), Progress.SENT),
    ],
)
async def test_a_step_that_fails_is_where_a_click_stops_and_the_others_go_on(
    live: Live, fault: Fault, progress: Progress
) -> None:
    requests = received(4)
    live.proxy.add(fault)
    async with live.gateway() as gateway:
        come = await together(gateway.advance, requests)
        (stopped,) = [one for one in come if one.failure is not None]

    assert stopped.progress is progress
    assert isinstance(stopped.failure.error, AwsError)
    assert [one.progress for one in come if one is not stopped] == [Progress.QUEUED] * 3
    assert len(await live.messages()) == (4 if progress is Progress.SENT else 3)


async def test_each_caller_learns_whether_its_own_request_is_new(live: Live) -> None:
    requests = received(25)
    await live.world.store(requests[::3])
    async with live.gateway() as gateway:
        insertions = await together(gateway.insert, requests)

    assert [insertion.is_new for insertion in insertions] == [n % 3 != 0 for n in range(25)]
    assert live.proxy.count(WRITES) == 1


async def test_a_request_that_is_decided_already_stays_as_it_is(live: Live) -> None:
    requests = received(5)
    decided = replace(
        requests[2], status=Status.REJECTED, queued_at_ms=7, result_code="REJECTED_CAPACITY"
    )
    await live.world.store([*requests[:2], decided, *requests[3:]])
    async with live.gateway() as gateway:
        marked = await together(lambda request: gateway.mark_queued(request, 9), requests)

    assert marked == [True, True, False, True, True]
    assert await live.world.item(decided.request_id) == decided


async def test_an_entry_that_fails_is_tried_again_on_its_own(live: Live) -> None:
    live.proxy.add(Fault(WRITES, FailEntries(positions=[3], code="ThrottlingError"), times=1))
    async with live.gateway(FAST) as gateway:
        with capture_logs() as logs:
            insertions = await together(gateway.insert, received(10))

    assert [insertion.is_new for insertion in insertions] == [True] * 10
    sizes = [len(call.request["Statements"]) for call in live.proxy.calls_of(WRITES)]
    assert sizes == [10, 1]
    [line] = logs
    assert (line["event"], line["stage"], line["items"]) == ("entries_failed", "insert", 1)


async def test_an_insert_that_took_effect_unseen_says_that_it_was_tried_again(
    live: Live,
) -> None:
    live.proxy.add(Fault(WRITES, DropAnswer(), times=1))
    async with live.gateway(FAST) as gateway:
        [insertion] = await together(gateway.insert, received(1))

    assert insertion == Insertion(is_new=False, was_retried=True)


@pytest.mark.parametrize(
    "action", [Refuse(), THROTTLE, Hang()], ids=["refused", "throttled", "hung"]
)
async def test_what_fails_each_time_is_unavailable_after_a_bounded_number_of_tries(
    live: Live, action: Any
) -> None:
    live.proxy.add(Fault("SendMessageBatch", action))
    async with live.gateway(FAST, read_timeout_s=0.3) as gateway:
        with capture_logs() as logs:
            [error] = await together(gateway.send, [ParticipationMessage("r", "e", "u")])

    assert isinstance(error, Unavailable)
    assert error.step == "send"
    assert live.proxy.count("SendMessageBatch") == 3
    assert [line["event"] for line in logs].count("call_failed") == 3
    assert await live.messages() == []


async def test_no_try_begins_after_the_window(live: Live) -> None:
    live.proxy.add(Fault("SendMessageBatch", Refuse()))
    async with live.gateway(RetryPolicy(max_attempts=9, base_s=0.05, window_s=0)) as gateway:
        [error] = await together(gateway.send, [ParticipationMessage("r", "e", "u")])

    assert isinstance(error, Unavailable)
    assert live.proxy.count("SendMessageBatch") == 1


async def test_a_missing_queue_is_not_tried_twice(live: Live) -> None:
    await live.world.queue._client.call("DeleteQueue", QueueUrl=live.world.queue.url)
    async with live.gateway(FAST) as gateway:
        [error] = await together(gateway.send, [ParticipationMessage("r", "e", "u")])

    assert isinstance(error, Unavailable)
    assert live.proxy.count("SendMessageBatch") == 1


async def test_reads_at_the_same_time_share_calls(live: Live) -> None:
    requests = received(100)
    await live.world.store(requests)
    async with live.gateway() as gateway:
        found = await together(gateway.load_request, [r.request_id for r in requests] + ["nothing"])
        calls = live.proxy.count("BatchGetItem")
        events = await together(gateway.load_event, ["event-1", "nothing", "event-1"])

    assert found == [*requests, None]
    assert calls == 2
    assert [event and event.config.event_id for event in events] == ["event-1", None, "event-1"]
    assert live.proxy.count("BatchGetItem") == calls + 1
    for call in live.proxy.calls_of("BatchGetItem"):
        [keys] = call.request["RequestItems"].values()
        assert keys["ConsistentRead"] is True


async def test_a_users_requests_come_in_pages_and_nobody_elses(live: Live) -> None:
    mine = many("user-1", 5)
    await live.world.store([*mine, *many("user-2", 5)])
    pages: list[list[str]] = []
    after: Position | None = None
    async with live.gateway() as gateway:
        while True:
            page = await gateway.user_requests("user-1", 2, after)
            pages.append([request.request_id for request in page.requests])
            after = page.next
            if after is None:
                break

    flat = [request_id for page in pages for request_id in page]
    assert flat == [request.request_id for request in reversed(mine)]
    assert Counter(len(page) for page in pages)[2] == 2


async def test_after_the_end_everything_is_unavailable_and_nothing_hangs(live: Live) -> None:
    async with live.gateway() as gateway:
        pass

    with pytest.raises(Unavailable, match="send: ClosedError"):
        await gateway.send(ParticipationMessage("r", "e", "u"))


async def test_whatever_fails_the_step_to_queued_is_no_more_than_unavailable(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: object) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr("aws.statements.mark_statement", fails)
    (request,) = received(1)
    async with live.gateway() as gateway:
        with capture_logs() as logs, pytest.raises(Unavailable, match="KeyError"):
            await gateway.mark_queued(request, 5)

    assert [line["event"] for line in logs] == ["mark_failed"]
