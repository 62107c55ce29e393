"""SIGKILL between each two steps of accepting: the same user's next click makes everything good."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
import httpx
import pytest

from local.faults.actions import Document
from local.faults.calls import Stage
from schema import keys
from schema.states import Status
from tests.faults.program import kill_at
from tests.ingest.live import Live, click, client_of
from tests.worker.support import until

REQUEST: Final = keys.request_id("event-1", "user-1")


def writes(verb: str) -> Callable[[Document], bool]:
    """Whether a call's statements begin with a verb."""
    return lambda request: request["Statements"][0]["Statement"].startswith(verb)


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of accepting: the call that stands at the gate, and where in it."""

    operation: str
    stage: Stage
    where: Callable[[Document], bool] | None = None
    leaves: Status | None = None
    """The status in which the crash leaves the request; None where there is none yet."""


MOMENTS: Final = {
    "before-1-insert": Moment("BatchExecuteStatement", "arrived", writes("INSERT")),
    "between-1-and-2": Moment(
        "BatchExecuteStatement", "forwarded", writes("INSERT"), Status.RECEIVED
    ),
    "at-2-send": Moment("SendMessageBatch", "arrived", leaves=Status.RECEIVED),
    "between-2-and-3": Moment("SendMessageBatch", "forwarded", leaves=Status.RECEIVED),
    "at-3-update": Moment("BatchExecuteStatement", "arrived", writes("UPDATE"), Status.RECEIVED),
    "between-3-and-4": Moment(
        "BatchExecuteStatement", "forwarded", writes("UPDATE"), Status.QUEUED
    ),
}


async def crash(live: Live, moment: Moment) -> None:
    """Click, and kill the service when it comes to this moment; the user gets no answer."""
    async with live.program() as (program, url):
        with live.proxy.hold(moment.operation, moment.stage, moment.where) as gate:
            async with client_of(url) as http, anyio.create_task_group() as tasks:
                tasks.start_soon(click_in_vain, http)
                await kill_at(gate, program)


async def click_in_vain(http: httpx.AsyncClient) -> None:
    """A click that the service does not live to answer."""
    with pytest.raises(httpx.TransportError):
        await click(http, "user-1")


async def click_with_success(http: httpx.AsyncClient) -> None:
    """A click that is accepted, since its message is queued."""
    assert (await click(http, "user-1")).status_code == 202


async def until_final(live: Live) -> None:
    """Wait until the request is decided, whether or not it has index keys yet."""

    async def is_final() -> bool:
        return (await live.world.item(REQUEST)).status.is_final

    await until(is_final, timeout_s=30)


async def queued_at(live: Live) -> int | None:
    """The queuedAt that is stored now."""
    found = (await live.world.table.load([REQUEST])).requests.get(REQUEST)
    return None if found is None else found.queued_at_ms


@pytest.mark.parametrize("name", MOMENTS)
async def test_after_a_crash_the_next_click_has_the_request_decided_exactly_once(
    live: Live, name: str
) -> None:
    moment = MOMENTS[name]
    await crash(live, moment)
    left = (await live.world.table.load([REQUEST])).requests.get(REQUEST)
    assert (left and left.status) == moment.leaves
    after_crash = await queued_at(live)

    async with (
        live.program() as (_, url),
        client_of(url) as http,
    ):
        answer = await click(http, "user-1")
    assert answer.status_code == 202
    assert answer.json() == {"requestId": REQUEST, "isDuplicate": moment.leaves is not None}
    after_click = await queued_at(live)
    assert after_click is not None
    assert after_crash in (None, after_click)

    await assert_decided_once(live, after_click)


async def test_a_request_decided_while_its_service_was_dying_stays_as_it_was_decided(
    live: Live,
) -> None:
    moment = MOMENTS["at-3-update"]
    async with live.program() as (program, url):
        with live.proxy.hold(moment.operation, moment.stage, moment.where) as gate:
            async with client_of(url) as http, anyio.create_task_group() as tasks:
                tasks.start_soon(click_with_success, http)
                await gate.reached()
                async with live.world.worker():
                    await until_final(live)
                await kill_at(gate, program)
    decided = await live.world.item(REQUEST)
    assert decided.queued_at_ms is not None

    async with live.ingest() as http:
        answer = await click(http, "user-1")

    assert answer.json() == {"requestId": REQUEST, "isDuplicate": True}
    assert await live.world.item(REQUEST) == decided
    await assert_decided_once(live, decided.queued_at_ms)


async def assert_decided_once(live: Live, queued_at_ms: int) -> None:
    """Let a worker take everything off the queue, then check what has become of it."""
    async with live.world.worker():
        await live.world.until_decided("event-1", 1)
        await live.world.until_empty()
    item = await live.world.item(REQUEST)
    assert item.status is Status.SUCCEEDED
    assert item.queued_at_ms == queued_at_ms
    seats = await live.world.seats("event-1")
    assert (seats.total, seats.remaining) == (5, 4)
    details = [envelope["detail"] for envelope in await live.world.published()]
    assert {detail["requestId"] for detail in details} == {REQUEST}
    assert {detail["timestamps"]["queuedAt"] for detail in details} == {queued_at_ms}
    assert await live.world.dead_letters() == []
