"""Clicks on a table or a queue that is away, hangs or has room for less than all: quick refusals,
bounded waiting, and full service soon after."""

from collections.abc import Sequence
from itertools import count

import anyio
import pytest
from structlog.testing import capture_logs

from ingest.aws_gateway import MARK_PATIENCE_S
from ingest.endpoints import RETRY_WITHIN_S
from schema.states import Status
from simulation.scenario import Kind
from tests.aws.wire import INVALID, Fault
from tests.ingest.model import BROKEN, TABLE, THROTTLED_ENTRY, Ingest, statuses
from tests.virtual_time import run, virtual_time

RATE = 500
AT_MOST_S = 3.0
WAYS: dict[str, tuple[Fault, float]] = {
    "refused": (Kind.REFUSED, 0.001),
    "broken": (BROKEN, 0.003),
    "hung": (Kind.LOST, 1.0),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("operations", [TABLE, ["SendMessageBatch"]], ids=["table", "queue"])
def test_while_a_service_is_away_clicks_are_503_immediately_and_soon_after_it_all_are_202(
    way: str, operations: list[str]
) -> None:
    run(_service_away, operations, *WAYS[way])


async def _service_away(operations: Sequence[str], fault: Fault, after_s: float) -> None:
    ingest = Ingest()
    async with ingest.opened():
        ingest.works()
        assert statuses(await ingest.crowd("early", RATE, 0.5)) == {202: RATE / 2}
        ingest.fails(operations, fault, after_s)
        away_s = anyio.current_time()
        with capture_logs() as logs:
            away = await ingest.crowd("away", RATE, 6)
            calls = [c for c in ingest.aws.wire.calls if c.operation in operations]
            ingest.works()
            back_s = anyio.current_time()
            later = await ingest.crowd("later", RATE, 2)

    assert statuses(away) == {503: RATE * 6}
    assert {int(a.headers["retry-after"]) for a in away} == set(range(1, RETRY_WITHIN_S + 1))
    assert max(answer.took_s for answer in away) < AT_MOST_S
    # Once it is known, nobody waits for it, but for those who share the probe.
    known = [a.took_s for a in away if a.asked_at_s > away_s + 1.5]
    quick = sum(took_s < 0.05 for took_s in known) / len(known)
    assert quick > (0.99 if after_s < 1 else 0.95)
    assert ingest.most_in_flight < RATE * AT_MOST_S
    last_s = away_s + 2
    assert 0 < sum(call.at_s > last_s for call in calls) <= 4 / 0.25
    refused_until_s = max((a.asked_at_s for a in later if a.status == 503), default=back_s)
    assert refused_until_s - back_s < 1
    lines = [line["event"] for line in logs if line["event"].startswith("service_")]
    assert lines == ["service_away", "service_back"]


@virtual_time
async def test_a_service_that_is_away_shows_in_its_figure_and_keeps_the_task_ready() -> None:
    ingest = Ingest()
    figure = "ingest_service_away"
    async with ingest.opened():
        assert ingest.figure(figure, service="dynamodb") == 0
        assert ingest.figure(figure, service="sqs") == 0
        ingest.works()
        await ingest.click("user-1")
        ingest.fails(TABLE, Kind.REFUSED)
        await ingest.crowd("user", RATE, 1)
        away = ingest.figure(figure, service="dynamodb"), ingest.figure(figure, service="sqs")
        ready = await ingest.ask("anybody", "GET", "/readyz")
        ingest.works()
        await anyio.sleep(0.5)
        await ingest.click("user-1")
        back = ingest.figure(figure, service="dynamodb")

    assert (away, back) == ((1, 0), 0)
    assert ready.status == 200


@virtual_time
async def test_reads_are_refused_without_a_call_while_the_table_is_away() -> None:
    ingest = Ingest()
    async with ingest.opened():
        ingest.works()
        request_id = (await ingest.click("user-1")).document["requestId"]
        ingest.fails(TABLE, Kind.LOST, 2.0)
        async with anyio.create_task_group() as tasks:
            for number in range(300):
                tasks.start_soon(ingest.ask, f"user-{number}", "GET", "/me/participations")
        hung, ingest.answers = ingest.answers[1:], []
        calls = len(ingest.aws.wire.calls)
        for path in (f"/requests/{request_id}", "/me/participations"):
            await ingest.ask("user-1", "GET", path)

    assert statuses(hung) == {503: 300}
    assert max(answer.took_s for answer in hung) < 2.1
    assert statuses(ingest.answers) == {503: 2}
    assert max(answer.took_s for answer in ingest.answers) == 0
    assert len(ingest.aws.wire.calls) == calls


@virtual_time
async def test_a_table_beyond_its_throughput_is_not_asked_much_more_often_than_clicks_come() -> (
    None
):
    ingest = Ingest()
    async with ingest.opened():
        ingest.works()
        await ingest.click("early")
        # Three entries in four are throttled, on and on.
        ingest.aws.wire.entry_faults["BatchExecuteStatement"] = (
            None if number % 4 == 0 else THROTTLED_ENTRY for number in count()
        )
        clicks = await ingest.crowd("user", RATE, 6)
        calls = ingest.aws.wire.calls_of("BatchExecuteStatement")

    accepted = statuses(clicks)[202]
    assert set(statuses(clicks)) == {202, 503}
    statements = [s["Statement"] for call in calls for s in call.parameters["Statements"]]
    inserts = sum(statement.startswith("INSERT") for statement in statements)
    # Each once; then the budget of retries, and a tenth of what succeeds.
    assert len(clicks) < inserts <= len(clicks) + 1 + 100 + accepted
    assert ingest.figure("ingest_service_away", service="dynamodb") == 0
    assert max(click.took_s for click in clicks) < 1


@virtual_time
async def test_a_few_throttled_entries_are_made_good_with_hardly_anybody_noticing() -> None:
    ingest = Ingest()
    async with ingest.opened():
        ingest.works()
        ingest.aws.wire.entry_faults["BatchExecuteStatement"] = (
            THROTTLED_ENTRY if number % 20 == 0 else None for number in count()
        )
        clicks = await ingest.crowd("user", RATE, 2)

    assert statuses(clicks)[202] > 0.998 * len(clicks)


@pytest.mark.parametrize("way", [*WAYS, "rejected"])
def test_while_no_update_succeeds_clicks_are_202_and_their_messages_queued(way: str) -> None:
    run(_no_update_succeeds, *(WAYS | {"rejected": (INVALID, 0.003)})[way])


async def _no_update_succeeds(fault: Fault, after_s: float) -> None:
    ingest = Ingest()
    async with ingest.opened():
        ingest.works()
        await ingest.click("early")
        ingest.fails(["UPDATE"], fault, after_s)
        clicks = await ingest.crowd("user", RATE, 2)
        again = await ingest.click("user-1")

    assert statuses(clicks) == {202: RATE * 2}
    assert max(click.took_s for click in clicks) < MARK_PATIENCE_S + 0.1
    stored = [r for r in ingest.aws.requests.values() if r.user_id != "early"]
    assert {request.status for request in stored} == {Status.RECEIVED}
    # Whoever clicks again while no update succeeds costs one more message.
    assert (again.status, again.document["isDuplicate"]) == (202, True)
    assert len(ingest.aws.sends) == 1 + RATE * 2 + 1
