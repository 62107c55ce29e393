"""Accepting a click: the fixed order, duplicates, healing, and refusals."""

from collections import Counter

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.accept import Accepted, Acceptor, Refused
from ingest.gateway import CorruptItem, Unavailable
from schema import keys
from schema.states import Status
from tests.ingest.support import EVENT, Clock, MemoryGateway, settings_of, stored
from tests.virtual_time import run, virtual_time

USER = "user-1"
REQUEST = keys.request_id(EVENT.event_id, USER)
SETTINGS = settings_of(request_ttl_days=90, environment="test")
PUBLISHING = settings_of(environment="test", publish_requested_events=True)


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def acceptor(gateway: MemoryGateway, clock: Clock) -> Acceptor:
    return Acceptor(gateway, SETTINGS, clock)


async def test_a_click_is_stored_then_sent_then_marked_as_queued(
    acceptor: Acceptor, gateway: MemoryGateway, clock: Clock
) -> None:
    received_ms = clock.at_ms

    def pass_time(operation: str) -> None:
        if operation == "mark_queued":
            assert gateway.requests[REQUEST].status is Status.RECEIVED
            assert gateway.requests[REQUEST].queued_at_ms is None
        clock.move(1)

    gateway.before = pass_time

    outcome = await acceptor.accept(EVENT, USER)

    assert outcome == Accepted(REQUEST, is_duplicate=False)
    assert gateway.operations == ["insert", "send", "mark_queued"]
    [message] = gateway.messages
    assert (message.request_id, message.event_id, message.user_id) == (REQUEST, "event-1", USER)
    item = gateway.requests[REQUEST]
    assert item.status is Status.QUEUED
    assert item.requested_at_ms == received_ms
    assert item.queued_at_ms == received_ms + 2_000
    assert item.ttl_s == received_ms // 1000 + 90 * 86_400


async def test_the_second_click_names_the_same_request_and_sends_nothing(
    acceptor: Acceptor, gateway: MemoryGateway, clock: Clock
) -> None:
    await acceptor.accept(EVENT, USER)
    before = gateway.requests[REQUEST]
    clock.move(60)

    outcome = await acceptor.accept(EVENT, USER)

    assert outcome == Accepted(REQUEST, is_duplicate=True)
    assert len(gateway.messages) == 1
    assert gateway.requests[REQUEST] == before


@virtual_time
async def test_a_request_whose_process_dies_while_sending_is_queued_by_the_next_one() -> None:
    gateway, clock = MemoryGateway(), Clock()
    dying, other = (Acceptor(gateway, SETTINGS, clock) for _ in range(2))

    async with anyio.create_task_group() as process:
        gateway.before = lambda operation: anyio.sleep(60) if operation == "send" else None
        process.start_soon(dying.accept, EVENT, USER)
        await anyio.sleep(0.001)
        gateway.before = lambda _: None
        outcome = await other.accept(EVENT, USER)
        process.cancel_scope.cancel()

    assert outcome == Accepted(REQUEST, is_duplicate=True)
    assert [message.request_id for message in gateway.messages] == [REQUEST]
    assert gateway.requests[REQUEST].status is Status.QUEUED


@virtual_time
async def test_queued_at_stays_as_written_when_the_process_that_began_comes_second() -> None:
    gateway, clock = MemoryGateway(), Clock()
    slow, other = (Acceptor(gateway, SETTINGS, clock) for _ in range(2))
    outcomes = []

    async def click_slowly() -> None:
        outcomes.append(await slow.accept(EVENT, USER))

    async with anyio.create_task_group() as tasks:
        gateway.before = lambda operation: anyio.sleep(60) if operation == "send" else None
        tasks.start_soon(click_slowly)
        await anyio.sleep(0.001)
        gateway.before = lambda _: None
        outcomes.append(await other.accept(EVENT, USER))
        queued = gateway.requests[REQUEST]
        clock.move(60)

    assert outcomes == [Accepted(REQUEST, is_duplicate=True), Accepted(REQUEST, is_duplicate=False)]
    assert len(gateway.messages) == 2
    assert gateway.requests[REQUEST] == queued


@pytest.mark.parametrize("age_ms", [0, 1, 10_000])
async def test_a_request_that_a_crash_left_received_is_queued_by_the_next_click(
    acceptor: Acceptor, gateway: MemoryGateway, clock: Clock, age_ms: int
) -> None:
    gateway.requests[REQUEST] = stored(USER, None, requested_at_ms=clock.at_ms - age_ms)

    outcome = await acceptor.accept(EVENT, USER)

    assert outcome == Accepted(REQUEST, is_duplicate=True)
    assert [message.request_id for message in gateway.messages] == [REQUEST]
    assert gateway.requests[REQUEST].status is Status.QUEUED
    assert gateway.requests[REQUEST].queued_at_ms == clock.at_ms
    assert gateway.requests[REQUEST].requested_at_ms == clock.at_ms - age_ms


@pytest.mark.parametrize(
    ("operation", "moment"),
    [
        ("insert", "before"),
        ("insert", "after"),
        ("send", "before"),
        ("send", "after"),
    ],
)
async def test_a_refused_click_is_completed_by_the_very_next_one_in_any_process(
    acceptor: Acceptor, gateway: MemoryGateway, clock: Clock, operation: str, moment: str
) -> None:
    gateway.fails = lambda current: moment if current == operation else None
    assert await acceptor.accept(EVENT, USER) == Refused(REQUEST)

    gateway.fails = lambda _: None
    outcome = await Acceptor(gateway, SETTINGS, clock).accept(EVENT, USER)

    assert isinstance(outcome, Accepted)
    assert gateway.requests[REQUEST].status is Status.QUEUED
    assert REQUEST in {message.request_id for message in gateway.messages}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_click_whose_message_is_queued_is_accepted_though_it_cannot_be_marked(
    gateway: MemoryGateway, clock: Clock, moment: str
) -> None:
    acceptor = Acceptor(gateway, PUBLISHING, clock)
    gateway.fails = lambda operation: moment if operation == "mark_queued" else None

    assert await acceptor.accept(EVENT, USER) == Accepted(REQUEST, is_duplicate=False)
    assert [message.request_id for message in gateway.messages] == [REQUEST]
    # What is stored is not known, and nothing else may be published.
    assert gateway.published == []


@pytest.mark.parametrize("error", [Unavailable("request", "injected"), CorruptItem("injected")])
async def test_a_click_that_was_decided_meanwhile_is_accepted_though_it_cannot_be_read(
    gateway: MemoryGateway, clock: Clock, error: Exception
) -> None:
    acceptor = Acceptor(gateway, PUBLISHING, clock)

    def fail(operation: str) -> None:
        if operation == "mark_queued":
            gateway.requests[REQUEST] = stored(USER, 5, status=Status.SUCCEEDED)
        if operation == "request":
            raise error

    gateway.before = fail

    assert await acceptor.accept(EVENT, USER) == Accepted(REQUEST, is_duplicate=False)
    assert gateway.published == []


@virtual_time
async def test_a_click_whose_first_steps_take_too_long_is_refused_and_not_queued() -> None:
    gateway = MemoryGateway()
    acceptor = Acceptor(gateway, SETTINGS, Clock())
    gateway.before = lambda operation: anyio.sleep(2.6) if operation == "insert" else None

    assert await acceptor.accept(EVENT, USER) == Refused(REQUEST)
    assert gateway.messages == []
    gateway.before = lambda operation: anyio.sleep(2.4) if operation == "insert" else None
    assert await acceptor.accept(EVENT, USER) == Accepted(REQUEST, is_duplicate=True)


async def test_while_the_queue_is_down_no_process_answers_a_click_as_accepted(
    gateway: MemoryGateway, clock: Clock
) -> None:
    gateway.fails = lambda operation: "before" if operation == "send" else None
    acceptors = [Acceptor(gateway, SETTINGS, clock) for _ in range(2)]

    outcomes = [await acceptor.accept(EVENT, USER) for acceptor in (*acceptors, acceptors[0])]

    assert outcomes == [Refused(REQUEST)] * 3
    assert gateway.requests[REQUEST].status is Status.RECEIVED


async def test_a_worker_that_decides_before_the_request_is_marked_as_queued_is_no_error(
    acceptor: Acceptor, gateway: MemoryGateway
) -> None:
    decided = stored(USER, 5, status=Status.SUCCEEDED, result_code="SUCCESS")

    def decide(operation: str) -> None:
        if operation == "mark_queued":
            gateway.requests[REQUEST] = decided

    gateway.before = decide

    outcome = await acceptor.accept(EVENT, USER)

    assert outcome == Accepted(REQUEST, is_duplicate=False)
    assert gateway.requests[REQUEST] == decided


async def test_an_insert_that_was_tried_twice_and_finds_its_own_item_is_no_duplicate(
    acceptor: Acceptor, gateway: MemoryGateway, clock: Clock
) -> None:
    gateway.loses_first_answer = True

    outcome = await acceptor.accept(EVENT, USER)

    assert outcome == Accepted(REQUEST, is_duplicate=False)
    assert gateway.requests[REQUEST].status is Status.QUEUED
    assert len(gateway.messages) == 1


async def test_an_insert_that_was_tried_twice_and_finds_an_older_item_is_a_duplicate(
    acceptor: Acceptor, gateway: MemoryGateway, clock: Clock
) -> None:
    gateway.requests[REQUEST] = stored(USER, clock.at_ms - 5_000)
    gateway.loses_first_answer = True

    assert await acceptor.accept(EVENT, USER) == Accepted(REQUEST, is_duplicate=True)
    assert gateway.messages == []


async def test_a_request_that_expires_while_it_is_looked_at_is_refused(
    acceptor: Acceptor, gateway: MemoryGateway, clock: Clock
) -> None:
    gateway.requests[REQUEST] = stored(USER, clock.at_ms)

    def expire(operation: str) -> None:
        if operation == "request":
            gateway.requests.clear()

    gateway.before = expire

    assert await acceptor.accept(EVENT, USER) == Refused(REQUEST)


@virtual_time
async def test_equal_clicks_at_the_same_time_share_one_set_of_calls() -> None:
    gateway = MemoryGateway()
    acceptor = Acceptor(gateway, SETTINGS, Clock())
    gateway.before = lambda operation: anyio.sleep(1) if operation == "send" else None

    outcomes = await _together(acceptor, [USER] * 20)

    assert Counter(outcomes) == {
        Accepted(REQUEST, is_duplicate=False): 1,
        Accepted(REQUEST, is_duplicate=True): 19,
    }
    assert gateway.operations == ["insert", "send", "mark_queued"]


@virtual_time
async def test_equal_clicks_at_the_same_time_are_all_refused_with_the_first() -> None:
    gateway = MemoryGateway()
    acceptor = Acceptor(gateway, SETTINGS, Clock())
    gateway.fails = lambda operation: "before" if operation == "send" else None

    outcomes = await _together(acceptor, [USER] * 20)

    assert outcomes == [Refused(REQUEST)] * 20


@virtual_time
async def test_a_click_that_is_cancelled_releases_those_that_wait_for_it() -> None:
    gateway = MemoryGateway()
    acceptor = Acceptor(gateway, SETTINGS, Clock())
    gateway.before = lambda operation: anyio.sleep(60) if operation == "send" else None
    outcomes = []

    async def click() -> None:
        outcomes.append(await acceptor.accept(EVENT, USER))

    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(1):
            async with anyio.create_task_group() as first:
                first.start_soon(click)
                await anyio.sleep(0.5)
                tasks.start_soon(click)
                await anyio.sleep(60)

    assert outcomes == [Refused(REQUEST)]
    gateway.before = lambda _: None
    assert await acceptor.accept(EVENT, USER) == Accepted(REQUEST, is_duplicate=True)
    assert gateway.requests[REQUEST].status is Status.QUEUED


async def test_nothing_is_published_unless_it_is_asked_for(
    acceptor: Acceptor, gateway: MemoryGateway
) -> None:
    await acceptor.accept(EVENT, USER)

    assert gateway.published == []


async def test_what_is_published_is_the_queued_at_that_is_stored(
    gateway: MemoryGateway, clock: Clock
) -> None:
    acceptor = Acceptor(gateway, PUBLISHING, clock)

    def decide_faster(operation: str) -> None:
        if operation == "mark_queued" and len(gateway.messages) == 2:
            request_id = gateway.messages[-1].request_id
            gateway.requests[request_id] = stored("user-2", 77, status=Status.REJECTED)

    gateway.before = decide_faster

    await acceptor.accept(EVENT, USER)
    await acceptor.accept(EVENT, "user-2")
    await acceptor.accept(EVENT, "user-2")

    first, second = gateway.published
    assert (first.requestId, first.queuedAt, first.env) == (REQUEST, clock.at_ms, "test")
    assert (second.userId, second.eventId, second.queuedAt) == ("user-2", "event-1", 77)


_FAILURES = st.lists(st.sampled_from([None, None, "before", "after"]), max_size=30)


_CLICKS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 1)), max_size=12)


@given(clicks=_CLICKS, failures=_FAILURES)
def test_whoever_is_answered_as_accepted_has_a_message_on_the_queue(
    clicks: list[tuple[str, int]], failures: list[str | None]
) -> None:
    async def main() -> None:
        gateway, clock = MemoryGateway(), Clock()
        processes = [Acceptor(gateway, SETTINGS, clock) for _ in range(2)]
        left = list(failures)
        gateway.fails = lambda _: left.pop() if left else None
        for user, process in clicks:
            clock.move(1)
            outcome = await processes[process].accept(EVENT, user)
            if isinstance(outcome, Accepted):
                assert outcome.request_id in {m.request_id for m in gateway.messages}
        gateway.fails = lambda _: None
        for user, process in clicks:
            assert isinstance(await processes[process].accept(EVENT, user), Accepted)
            assert gateway.requests[keys.request_id(EVENT.event_id, user)].status is Status.QUEUED

    run(main)


@given(failures=_FAILURES)
def test_queued_at_is_recorded_once_however_often_a_click_fails_and_is_repeated(
    failures: list[str | None],
) -> None:
    async def main() -> None:
        gateway, clock = MemoryGateway(), Clock()
        left = list(failures)
        gateway.fails = lambda _: left.pop() if left else None
        acceptor = Acceptor(gateway, SETTINGS, clock)
        seen: set[int] = set()
        while True:
            clock.move(1)
            finished = not left
            await acceptor.accept(EVENT, USER)
            item = gateway.requests.get(REQUEST)
            if item is not None and item.queued_at_ms is not None:
                seen.add(item.queued_at_ms)
            if finished:
                break
        assert len(seen) == 1
        assert gateway.requests[REQUEST].status is Status.QUEUED

    run(main)


async def _together(acceptor: Acceptor, users: list[str]) -> list[Accepted | Refused]:
    outcomes: list[Accepted | Refused] = []

    async def click(user: str) -> None:
        outcomes.append(await acceptor.accept(EVENT, user))

    async with anyio.create_task_group() as tasks:
        for user in users:
            tasks.start_soon(click, user)
    return outcomes
