"""Waiting for decisions: shared reads, bounds of its own, and every way in which a wait ends."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Final

import anyio
import anyio.lowlevel
import pytest

from config.settings import IngestSettings
from ingest.endpoints import RETRY_WITHIN_S
from schema import keys
from schema.items import RequestItem
from schema.states import ResultCode, Status
from simulation.scenario import Kind
from tests.aws.model import NOW_MS
from tests.ingest.model import TABLE, Answer, Ingest, statuses
from tests.ingest.support import stored
from tests.virtual_time import run, virtual_time

CALLS_PER_S: Final = 20
"""Reads of 100 requests each, however many wait."""


def queued(user: str) -> RequestItem:
    return stored(user, NOW_MS - 1)


def won(request: RequestItem) -> RequestItem:
    return replace(
        request,
        status=Status.SUCCEEDED,
        result_code=ResultCode.SUCCESS.value,
        started_at_ms=NOW_MS,
        finished_at_ms=NOW_MS,
    )


def path(user: str, wait_s: int) -> str:
    return f"/requests/{keys.request_id('event-1', user)}?wait={wait_s}"


def reads(ingest: Ingest) -> list[float]:
    """When requests were read."""
    return [call.at_s for call in ingest.aws.wire.calls_of("BatchGetItem")]


async def wait(ingest: Ingest, user: str, wait_s: int = 20) -> Answer:
    return await ingest.ask(user, "GET", path(user, wait_s))


@virtual_time
async def test_the_answer_comes_with_the_decision() -> None:
    ingest = Ingest()
    async with ingest.opened(), anyio.create_task_group() as tasks:
        ingest.works()
        request = queued("user-1")
        ingest.aws.store(request)
        tasks.start_soon(wait, ingest, "user-1")
        await anyio.sleep(1)
        assert not ingest.answers
        assert ingest.figure("ingest_waiting_requests") == 1
        ingest.aws.store(won(request))

    [answer] = ingest.answers
    assert (answer.status, answer.document["status"]) == (200, "SUCCEEDED")
    assert answer.document["resultCode"] == "SUCCESS"
    assert 1 < answer.took_s < 2
    assert ingest.figure("ingest_waiting_requests") == 0


@pytest.mark.parametrize("wait_s", [0, 1, 20])
def test_without_a_decision_the_answer_is_the_request_as_it_is_when_the_time_is_over(
    wait_s: int,
) -> None:
    @virtual_time
    async def main() -> None:
        ingest = Ingest()
        async with ingest.opened():
            ingest.aws.store(queued("user-1"))
            answer = await wait(ingest, "user-1", wait_s)

        assert (answer.status, answer.document["status"]) == (200, "QUEUED")
        assert answer.took_s == pytest.approx(wait_s, abs=0.001)
        assert "retry-after" not in answer.headers

    main()


@virtual_time
async def test_a_decided_request_is_answered_without_a_wait() -> None:
    ingest = Ingest()
    async with ingest.opened():
        ingest.aws.store(won(queued("user-1")))
        answer = await wait(ingest, "user-1")

    assert (answer.document["status"], answer.took_s) == ("SUCCEEDED", 0)
    assert len(reads(ingest)) == 1


@virtual_time
async def test_to_others_a_request_is_absent_after_the_same_time_and_the_same_reads() -> None:
    ingest = Ingest()
    async with ingest.opened():
        ingest.works()
        ingest.aws.store(queued("user-1"))
        foreign = await ingest.ask("user-2", "GET", path("user-1", 20))
        calls = len(reads(ingest))
        absent = await ingest.ask("user-2", "GET", path("user-3", 20))

    assert (foreign.status, foreign.document) == (absent.status, absent.document)
    assert foreign.status == 404
    assert foreign.took_s == pytest.approx(absent.took_s)
    assert (calls, len(reads(ingest))) == (1, 2)


@pytest.mark.parametrize("count", [100, 1_000, 4_000])
def test_those_who_wait_share_their_reads(count: int) -> None:
    run(_share_reads, count)


async def _share_reads(count: int) -> None:
    ingest = Ingest()
    users = [f"user-{number}" for number in range(count)]
    async with ingest.opened(), anyio.create_task_group() as tasks:
        ingest.works()
        ingest.aws.store(*map(queued, users))
        for number, user in enumerate(users):
            tasks.start_soon(wait, ingest, user)
            if number % 100 == 99:
                await anyio.sleep(1 / count)
        await anyio.sleep(4)
        began_s = anyio.current_time()
        await anyio.sleep(10)
        calls = [at_s for at_s in reads(ingest) if at_s > began_s]
        ingest.aws.store(*(won(queued(user)) for user in users))

    assert statuses(ingest.answers) == {200: count}
    assert {answer.document["status"] for answer in ingest.answers} == {"SUCCEEDED"}
    assert max(answer.took_s for answer in ingest.answers) < 18
    assert 5 <= len(calls) <= 10 * CALLS_PER_S * 1.5
    per_read = [
        len(call.parameters["RequestItems"]["AsyncEventTable"]["Keys"])
        for call in ingest.aws.wire.calls_of("BatchGetItem")
        if call.at_s > began_s
    ]
    assert sum(per_read) / len(per_read) > (10 if count == 100 else 70)


@virtual_time
async def test_reads_become_rarer_while_nothing_is_decided() -> None:
    ingest = Ingest()
    async with ingest.opened():
        ingest.aws.store(queued("user-1"))
        await wait(ingest, "user-1")

    gaps = [after - before for before, after in pairwise(reads(ingest))]
    assert gaps[0] < 0.3
    assert min(gaps[6:]) > 0.9
    assert max(gaps) < 2
    assert len(gaps) < 20


@virtual_time
async def test_beyond_the_bound_the_answer_is_immediate_with_the_state_and_when_to_ask_again() -> (
    None
):
    ingest = Ingest()
    users = [f"user-{number}" for number in range(3)]
    async with ingest.opened(max_waiting_requests=2), anyio.create_task_group() as tasks:
        ingest.aws.store(*map(queued, users))
        for user in users[:2]:
            tasks.start_soon(wait, ingest, user)
        await anyio.sleep(0.1)
        refused = await wait(ingest, users[2])
        ingest.aws.store(*(won(queued(user)) for user in users))
        await anyio.sleep(3)
        again = await wait(ingest, users[2])

    assert (refused.status, refused.document["status"], refused.took_s) == (200, "QUEUED", 0)
    assert 1 <= int(refused.headers["retry-after"]) <= RETRY_WITHIN_S
    assert again.document["status"] == "SUCCEEDED"


@virtual_time
async def test_one_user_takes_no_more_than_a_share_of_the_waits() -> None:
    ingest = Ingest()
    mine = [stored("user-1", 1, event_id=f"event-{number}") for number in range(3)]
    async with ingest.opened(max_pending_per_user=2), anyio.create_task_group() as tasks:
        ingest.aws.store(*mine, queued("user-2"))
        for request in mine:
            target = f"/requests/{request.request_id}?wait=5"
            tasks.start_soon(ingest.ask, "user-1", "GET", target)
            await anyio.sleep(0.1)
        assert [answer.took_s for answer in ingest.answers] == [0]
        other = await wait(ingest, "user-2", 5)

    assert other.took_s == pytest.approx(5, abs=0.001)
    assert statuses(ingest.answers) == {200: 4}


@virtual_time
async def test_waits_take_nothing_of_what_clicks_may_take_and_leave_half_of_the_connections() -> (
    None
):
    ingest = Ingest()
    users = [f"user-{number}" for number in range(6)]
    settings = {"max_pending_requests": 1, "max_connections": 10}
    async with ingest.opened(**settings), anyio.create_task_group() as tasks:
        ingest.aws.store(*map(queued, users))
        for user in users:
            tasks.start_soon(wait, ingest, user, 5)
            await anyio.sleep(0.1)
        assert ingest.figure("ingest_waiting_requests") == 5
        click = await ingest.click("user-7")

    assert click.status == 202


@virtual_time
async def test_a_drain_ends_all_waits_with_the_state_as_it_is() -> None:
    ingest = Ingest()
    users = [f"user-{number}" for number in range(50)]
    async with ingest.opened(), anyio.create_task_group() as tasks:
        ingest.aws.store(*map(queued, users))
        for user in users:
            tasks.start_soon(wait, ingest, user)
        await anyio.sleep(3)
        ingest.health.drain()
        await anyio.lowlevel.checkpoint()
        late = await wait(ingest, users[0])

    assert statuses(ingest.answers) == {200: 51}
    assert {answer.document["status"] for answer in ingest.answers} == {"QUEUED"}
    assert max(answer.took_s for answer in ingest.answers) == pytest.approx(3)
    assert late.took_s == 0
    spread = Counter(answer.headers["retry-after"] for answer in ingest.answers)
    assert len(spread) > RETRY_WITHIN_S / 2


@virtual_time
async def test_who_sends_nothing_more_is_waited_for_no_longer() -> None:
    ingest = Ingest()
    async with ingest.opened(), anyio.create_task_group() as tasks:
        ingest.aws.store(queued("user-1"))
        tasks.start_soon(wait, ingest, "user-1")
        await anyio.sleep(5)
        ingest.clients_done["user-1"].set()
        await anyio.sleep(0.3)
        assert ingest.figure("ingest_waiting_requests") == 0
        calls = len(reads(ingest))
        await anyio.sleep(5)
        assert len(reads(ingest)) == calls


@virtual_time
async def test_a_request_that_expires_meanwhile_is_shown_as_it_was() -> None:
    ingest = Ingest()
    async with ingest.opened(), anyio.create_task_group() as tasks:
        request = queued("user-1")
        ingest.aws.store(request)
        tasks.start_soon(wait, ingest, "user-1", 3)
        await anyio.sleep(1)
        key = keys.request_pk(request.request_id), keys.REQUEST_SORT_KEY
        del ingest.aws.cloud.table.store.records[key]

    [answer] = ingest.answers
    assert (answer.status, answer.document["status"]) == (200, "QUEUED")


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.LOST])
def test_a_table_that_goes_away_ends_the_waits_with_503(kind: Kind) -> None:
    @virtual_time
    async def main() -> None:
        ingest = Ingest()
        users = [f"user-{number}" for number in range(300)]
        async with ingest.opened(), anyio.create_task_group() as tasks:
            ingest.works()
            ingest.aws.store(*map(queued, users))
            for user in users:
                tasks.start_soon(wait, ingest, user)
            await anyio.sleep(3)
            ingest.fails(TABLE, kind, 1.0)

        assert statuses(ingest.answers) == {503: 300}
        assert max(answer.took_s for answer in ingest.answers) < 3 + 1.6 + 2.5
        assert len({answer.headers["retry-after"] for answer in ingest.answers}) == RETRY_WITHIN_S

    main()


@pytest.mark.parametrize("wait_s", ["21", "-1", "1.5", "", "x", "+1", "1&wait=1"])
def test_a_wait_that_cannot_be_is_400(wait_s: str) -> None:
    @virtual_time
    async def main() -> None:
        ingest = Ingest()
        async with ingest.opened():
            answer = await ingest.ask("user-1", "GET", f"/requests/x?wait={wait_s}")

        assert answer.status == 400
        assert "wait" in answer.document["detail"]
        assert not reads(ingest)

    main()


def test_the_waits_leave_room_by_default() -> None:
    fields = IngestSettings.model_fields
    assert fields["max_waiting_requests"].default <= fields["max_connections"].default / 2
