"""Whatever EventBridge does, results and acknowledgements stay the same (g1 §7.1)."""

import socket
from contextlib import ExitStack
from time import monotonic

import pytest

from aws.queue import Queue
from aws.sdk import open_client
from tests.faults.actions import (
    SERVER_ERROR,
    THROTTLE,
    Action,
    FailEntries,
    Fault,
    Hang,
    Plan,
    Refuse,
    Target,
)
from tests.faults.proxy import FaultProxy
from tests.worker.support import World, figure, request

REQUESTS = 100
SEATS = 40
LOST_POSITIONS = (1, 4, 9)

FAULTS: dict[str, tuple[Action, str]] = {
    "refused": (Refuse(), "connection"),
    "hanging": (Hang(), "timeout"),
    "throttling": (THROTTLE, "throttled"),
    "500": (SERVER_ERROR, "server_error"),
    "3 of 10 entries": (
        FailEntries(positions=LOST_POSITIONS, code="InternalFailure"),
        "server_error",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failing_bus_changes_neither_results_nor_acknowledgements(
    world: World, proxy: FaultProxy, fault: str
) -> None:
    action, reason = FAULTS[fault]
    await _burst(world)

    timeout_s = 1 if fault in {"hanging", "throttling"} else 30
    async with world.worker(endpoint_url=proxy.endpoint_url, publish_timeout_s=timeout_s) as parts:
        with ExitStack() as faults:
            faults.enter_context(proxy.add(Fault("PutEvents", action)))
            await world.until_decided("E1", REQUESTS)
            await world.until_empty()

    await _assert_like_a_healthy_run(world)
    registry = parts.metrics.registry
    failures = figure(registry, "worker_publish_failures_total", reason=reason)
    total = sum(
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "worker_publish_failures_total"
    )
    published = figure(registry, "worker_publish_events_total")
    # Of the three that fail, one fails again, and then it stands where entries succeed.
    assert failures == (0 if fault == "3 of 10 entries" else REQUESTS)
    assert total == failures == figure(registry, "worker_lost_events_kept_total")
    assert published == REQUESTS - failures == len(await world.published())
    assert await _lost_events(world) == failures


class CallsASecond:
    """A quota: calls beyond so many a second are throttled."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._room = float(calls)
        self._seen_s = monotonic()

    def plan(self, target: Target) -> Plan | None:
        now_s = monotonic()
        self._room = min(self._calls, self._room + (now_s - self._seen_s) * self._calls)
        self._seen_s = now_s
        if self._room < 1:
            return THROTTLE.plan(target)
        self._room -= 1
        return None


async def test_beyond_its_quota_nothing_is_lost_and_the_messages_wait(
    world: World, proxy: FaultProxy
) -> None:
    count = 600
    await world.create_event("E1", capacity=SEATS)
    await world.enqueue([request("E1", f"user-{n}") for n in range(count)])
    began_s = monotonic()

    proxy.add(Fault("PutEvents", CallsASecond(20)))
    # Without a pace, three calls in four would have no time left for a turn.
    async with world.worker(
        endpoint_url=proxy.endpoint_url, max_in_flight=200, publish_timeout_s=1
    ) as parts:
        await world.until_decided("E1", count, timeout_s=120)
        await world.until_empty(timeout_s=60)
        took_s = monotonic() - began_s

    registry = parts.metrics.registry
    assert figure(registry, "worker_publish_events_total") == count
    assert len(await world.published()) == count
    assert await _lost_events(world) == 0
    # Sixty full calls at least, of which the first twenty may come together.
    assert took_s > (count / 10 - 20) / 20


async def test_a_closed_port_instead_of_eventbridge_costs_the_events_and_nothing_else(
    world: World,
) -> None:
    await _burst(world)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

        async with world.worker(events_endpoint_url=url) as parts:
            await world.until_decided("E1", REQUESTS)
            await world.until_empty()

    await _assert_like_a_healthy_run(world)
    registry = parts.metrics.registry
    assert figure(registry, "worker_publish_failures_total", reason="connection") == REQUESTS
    assert figure(registry, "worker_publish_events_total") == 0


async def test_a_bus_that_disappears_is_noticed_and_every_lost_event_counted(
    world: World, proxy: FaultProxy
) -> None:
    async with world.worker(endpoint_url=proxy.endpoint_url, bus_check_interval_s=0.1) as parts:
        await _delete_bus(world)
        proxy.forget()
        await proxy.reached("DescribeEventBus", "answered", count=2)
        await _burst(world)
        await world.until_decided("E1", REQUESTS)
        await world.until_empty()

    await _assert_like_a_healthy_run(world)
    registry = parts.metrics.registry
    assert figure(registry, "worker_publish_failures_total", reason="bus_missing") == REQUESTS
    assert await _lost_events(world) == REQUESTS
    assert figure(registry, "worker_publish_events_total") == 0
    assert proxy.calls_of("PutEvents") == []


async def test_an_event_bus_that_never_existed_keeps_the_worker_from_starting(
    world: World,
) -> None:
    async with world.program(EVENT_BUS_NAME="no-such-bus", TABLE_NAME="no-such-table") as worker:
        ended = await worker.ended()

    assert ended.exit_code == 2
    (line,) = [entry for entry in ended.logs if entry["event"] == "cannot_run"]
    assert "EVENT_BUS_NAME=no-such-bus" in line["error"]
    assert "TABLE_NAME=no-such-table" in line["error"]


async def _lost_events(world: World) -> int:
    """How many events are on the queue of lost events."""
    async with open_client("sqs", world.connection) as client:
        queue = Queue(client, world.stack.lost_events_queue_url)
        return (await queue.describe()).approximate_messages


async def _delete_bus(world: World) -> None:
    name = world.stack.event_bus_name
    async with open_client("events", world.connection) as events:
        for rule in (await events.call("ListRules", EventBusName=name))["Rules"]:
            on = {"Rule": rule["Name"], "EventBusName": name}
            targets = (await events.call("ListTargetsByRule", **on))["Targets"]
            if targets:
                await events.call("RemoveTargets", Ids=[t["Id"] for t in targets], **on)
            await events.call("DeleteRule", Name=rule["Name"], EventBusName=name)
        await events.call("DeleteEventBus", Name=name)


async def _burst(world: World) -> None:
    await world.create_event("E1", SEATS)
    requests = [
        request("E1", f"user-{n}", queued_at_ms=1_700_000_000_000 + n) for n in range(REQUESTS)
    ]
    await world.enqueue(requests)


async def _assert_like_a_healthy_run(world: World) -> None:
    assert await world.statuses("E1") == {"SUCCEEDED": SEATS, "REJECTED": REQUESTS - SEATS}
    assert (await world.seats("E1")).remaining == 0
    assert await world.dead_letters() == []
    assert {item.attempt for item in (await world.items("E1")).values()} == {1}
