"""Ingest while AWS fails on the wire: honest refusals, and the next click heals them."""

import os
import ssl
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter

import anyio
import httpx
import pytest
from structlog.testing import capture_logs

from schema import keys
from schema.states import Status
from tests.faults.actions import (
    SERVER_ERROR,
    Action,
    DropAnswer,
    FailEntries,
    Fault,
    Hang,
    Refuse,
)
from tests.ingest.live import Live, click
from tests.ingest.model import TABLE
from tests.ingest.support import bearer

REQUEST = keys.request_id("event-1", "user-1")
CONNECTIONS = 40
PAUSE_S = 0.2
AT_MOST_S = 10.0
HEALS_WITHIN_S = 3.0
"""A second, and two for a machine that others use as well."""
TLS = ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class Click:
    """A click, and how long its answer took."""

    began_s: float
    took_s: float
    answer: httpx.Response


def memory_bytes(pid: int) -> int:
    """How much memory of a process is resident (proc(5): statm)."""
    resident = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(resident) * os.sysconf("SC_PAGE_SIZE")


async def test_while_sqs_is_down_clicks_are_503_and_the_next_one_after_it_is_accepted_and_decided(
    live: Live,
) -> None:
    async with live.ingest() as http:
        with live.proxy.add(Fault("SendMessageBatch", Refuse())):
            refused = await click(http, "user-1")
            while_down = await click(http, "user-1")
        item = await live.world.item(REQUEST)
        accepted = await click(http, "user-1")

    for answer in (refused, while_down):
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["requestId"] == REQUEST
    assert item.status is Status.RECEIVED
    assert accepted.status_code == 202
    assert accepted.json() == {"requestId": REQUEST, "isDuplicate": True}
    async with live.world.worker():
        await live.world.until_decided("event-1", 1)
    assert (await live.world.item(REQUEST)).status is Status.SUCCEEDED


async def test_a_click_that_one_process_refused_is_completed_by_another(live: Live) -> None:
    async with live.ingest() as http:
        with live.proxy.add(Fault("SendMessageBatch", Refuse())):
            refused = await click(http, "user-1")
    async with live.ingest() as http:
        answer = await click(http, "user-1")

    assert (refused.status_code, answer.status_code) == (503, 202)
    assert [message.request_id for message in await live.messages()] == [REQUEST]


async def test_of_clicks_in_one_call_only_those_whose_message_failed_are_refused(
    live: Live,
) -> None:
    users = [f"user-{n}" for n in range(40)]
    unlucky = {keys.request_id("event-1", user) for user in users[::4]}
    live.proxy.add(
        Fault(
            "SendMessageBatch",
            FailEntries(where=lambda entry: any(i in entry["MessageBody"] for i in unlucky)),
        )
    )
    statuses: dict[str, int] = {}

    async with live.ingest() as http:

        async def one(user: str) -> None:
            statuses[keys.request_id("event-1", user)] = (await click(http, user)).status_code

        async with anyio.create_task_group() as tasks:
            for user in users:
                tasks.start_soon(one, user)

    assert {name for name, status in statuses.items() if status == 503} == unlucky
    assert {name for name, status in statuses.items() if status == 202} == set(statuses) - unlucky
    assert {m.request_id for m in await live.messages()} == set(statuses) - unlucky


@pytest.mark.parametrize("operation", ["BatchExecuteStatement", "SendMessageBatch"])
async def test_a_lost_answer_is_made_good_without_the_user_noticing(
    live: Live, operation: str
) -> None:
    live.proxy.add(Fault(operation, DropAnswer(), times=1))
    async with live.ingest() as http:
        answer = await click(http, "user-1")

    assert answer.status_code == 202
    assert answer.json() == {"requestId": REQUEST, "isDuplicate": False}
    assert (await live.world.item(REQUEST)).status is Status.QUEUED
    assert {message.request_id for message in await live.messages()} == {REQUEST}


async def test_a_table_that_is_down_makes_every_answer_503_and_none_500(live: Live) -> None:
    async with live.ingest(event_cache_ttl_s=0) as http:
        live.proxy.add(Fault("*", Refuse()))
        answers = [
            await click(http, "user-1"),
            await http.get(f"/requests/{REQUEST}", headers=bearer("user-1")),
            await http.get("/me/participations", headers=bearer("user-1")),
        ]
        healthy = await http.get("/healthz")

    for answer in answers:
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
    assert healthy.status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("action", [Refuse(), SERVER_ERROR, Hang()], ids=["refused", "5xx", "hung"])
async def test_a_table_that_is_away_for_seconds_costs_nobody_a_wait_and_the_task_no_memory(
    live: Live, action: Action
) -> None:
    clicks: list[Click] = []
    users = count()
    async with live.program(EVENT_CACHE_TTL_S="1") as (program, url):

        async def keep_clicking() -> None:
            # A client for each connection: a shared one searches its whole pool each time.
            async with httpx.AsyncClient(base_url=url, timeout=10, verify=TLS) as http:
                while not over.is_set():
                    began_s = perf_counter()
                    answer = await click(http, f"user-{next(users)}")
                    clicks.append(Click(began_s, perf_counter() - began_s, answer))
                    await anyio.sleep(PAUSE_S)

        over = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(CONNECTIONS):
                tasks.start_soon(keep_clicking)
            await anyio.sleep(1)
            faults = [live.proxy.add(Fault(operation, action)) for operation in TABLE]
            away_s = perf_counter()
            await anyio.sleep(2)
            before_bytes = memory_bytes(program.pid)
            await anyio.sleep(3)
            grown_bytes = memory_bytes(program.pid) - before_bytes
            for fault in faults:
                fault.remove()
            back_s = perf_counter()
            await anyio.sleep(HEALS_WITHIN_S + 1)
            over.set()

    away = [c for c in clicks if away_s < c.began_s and c.began_s + c.took_s < back_s]
    assert {c.answer.status_code for c in away} == {503}
    assert all(int(c.answer.headers["retry-after"]) >= 1 for c in away)
    assert max(c.took_s for c in clicks) < AT_MOST_S
    known_s = sorted(c.took_s for c in away if c.began_s > away_s + 1.5)
    assert known_s[len(known_s) // 2] < 0.5
    assert grown_bytes < 10 * 1024 * 1024
    later = [c for c in clicks if c.began_s > back_s + HEALS_WITHIN_S]
    assert {c.answer.status_code for c in later} == {202}


async def test_requested_events_carry_the_stored_queued_at(live: Live) -> None:
    async with live.ingest(publish_requested_events=True, publish_linger_ms=1) as http:
        for user in ("user-1", "user-2", "user-1"):
            await click(http, user)

    envelopes = await live.world.published()
    items = await live.world.items("event-1")
    assert {envelope["source"] for envelope in envelopes} == {"kr.ac.dongduk.ingest"}
    assert {envelope["detail-type"] for envelope in envelopes} == {"ParticipationRequested"}
    assert sorted(
        (envelope["detail"]["requestId"], envelope["detail"]["queuedAt"]) for envelope in envelopes
    ) == sorted((item.request_id, item.queued_at_ms) for item in items.values())


async def test_a_bus_that_fails_neither_fails_nor_delays_the_answer(live: Live) -> None:
    live.proxy.add(Fault("PutEvents", Refuse()))
    async with live.ingest(publish_requested_events=True, publish_linger_ms=1) as http:
        with live.proxy.hold("PutEvents") as gate:
            answer = await click(http, "user-1")
            await gate.reached()
        figures = ""
        with anyio.fail_after(10):
            while 'ingest_publish_failures_total{reason="connection"} 1.0' not in figures:
                figures = (await http.get("/metrics")).text
                await anyio.sleep(0.02)

    assert answer.status_code == 202
    assert "ingest_publish_events_total 0.0" in figures.splitlines()


async def test_a_failed_call_is_one_log_line_that_names_its_step(live: Live) -> None:
    async with live.ingest() as http:
        live.proxy.add(Fault("SendMessageBatch", Refuse(), times=1))
        with capture_logs() as logs:
            await click(http, "user-1")

    [line] = [line for line in logs if line["log_level"] == "warning"]
    assert (line["event"], line["stage"], line["items"]) == ("call_failed", "send", 1)
