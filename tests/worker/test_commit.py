"""Committing decisions: what is certain is recorded, what is not is read again."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from random import Random

import anyio
import pytest

from aws import statements
from aws.errors import Fatal
from schema import keys
from schema.items import Change, EventConfig, RequestItem
from schema.states import Status
from simulation.aws import errors
from simulation.aws.errors import ServiceError
from simulation.scenario import Kind
from tests.aws.model import NOW_MS, Aws
from tests.aws.wire import CONFLICT, DENIED, INVALID, LATE_S, THROTTLED, Fault
from tests.virtual_time import virtual_time
from tests.worker.parts import Clock, Requests, parts_of, sample, total
from worker import retry
from worker.commit import Committer
from worker.decide import Candidate
from worker.parts import Parts
from worker.results import BatchResult, Retry
from worker.retry import MAX_ROUNDS

LOAD, SEATS, WRITE = "BatchGetItem", "TransactWriteItems", "BatchExecuteStatement"
TURN = "UpdateItem"


class Scene:
    """A committer on the model of AWS, with requests of one event."""

    def __init__(self, seats: int = 10, seed: int = 0) -> None:
        self.aws = Aws()
        self.aws.create("e1", seats)
        self.wire = self.aws.wire
        self.clock = Clock()
        self.parts: Parts = parts_of(self.aws, clock=self.clock, random=Random(seed))
        self.committer = Committer(self.parts)
        self.requests = Requests()
        self.began_s = anyio.current_time()

    def stored(self, count: int, **changes: object) -> list[RequestItem]:
        """Store some requests."""
        items = [self.requests.request(**changes) for _ in range(count)]
        self.aws.store(*items)
        return items

    def candidates(self, items: Sequence[RequestItem], **changes: object) -> list[Candidate]:
        """Their deliveries, ready to be decided."""
        return [self.requests.candidate(item, **changes) for item in items]

    async def decide(self, batch: Sequence[Candidate]) -> BatchResult:
        """Decide a batch whose processing begins now."""
        result = await total(retry.decide_batch(self.committer, batch, self.clock()))
        self.aws.check()
        return result

    def tokens(self) -> list[str]:
        """The token of each transaction that was asked for."""
        return [call.parameters["ClientRequestToken"] for call in self.wire.calls_of(SEATS)]


AWAY = ServiceError("InternalServerError", "away", status=500)


def cancelled(*codes: str) -> ServiceError:
    """A transaction's error, with the reasons for its actions in order."""
    return errors.transaction_cancelled([{"Code": code} for code in codes])


def cancellations(scene: Scene, reason: str) -> float:
    return sample(scene.parts, "worker_seat_cancellations_total", reason=reason)


def keys_read(scene: Scene) -> list[int]:
    """How many items each read asked for."""
    return [
        len(table["Keys"])
        for call in scene.wire.calls_of(LOAD)
        for table in call.parameters["RequestItems"].values()
    ]


def results(outcomes: BatchResult) -> dict[str, tuple[str, bool]]:
    return {d.item.request_id: (d.item.status.value, d.by_this_worker) for d in outcomes.decided}


@virtual_time
async def test_winners_share_one_transaction_and_everyone_is_decided() -> None:
    scene = Scene(seats=2)
    items = scene.stored(3)

    outcomes = await scene.decide(scene.candidates(items))

    assert results(outcomes) == {
        items[0].request_id: ("SUCCEEDED", True),
        items[1].request_id: ("SUCCEEDED", True),
        items[2].request_id: ("REJECTED", True),
    }
    # Read again before anybody is turned away: seats may have been added.
    assert scene.wire.asked == {LOAD: 2, TURN: 1, SEATS: 1, WRITE: 1}
    assert scene.aws.seats_left("e1") == sample(scene.parts, "worker_seats_left", event="e1") == 0
    assert {d.item.request_id: d.item for d in outcomes.decided} == scene.aws.requests


@virtual_time
async def test_after_the_sell_out_nothing_touches_the_capacity() -> None:
    scene = Scene(seats=0)

    await scene.decide(scene.candidates(scene.stored(30)))

    assert scene.wire.asked == {LOAD: 1, WRITE: 2}
    assert scene.aws.statuses == {"REJECTED": 30}
    assert sample(scene.parts, "worker_seats_left", event="e1") == 0


@virtual_time
async def test_the_seats_left_are_shown_as_the_table_has_them_after_each_batch() -> None:
    scene = Scene(seats=5)
    for left in (3, 1):
        await scene.decide(scene.candidates(scene.stored(2)))
        assert sample(scene.parts, "worker_seats_left", event="e1") == left
        assert scene.aws.seats_left("e1") == left


@virtual_time
async def test_losers_are_written_only_once_the_last_seat_is_taken_for_certain() -> None:
    scene = Scene(seats=1)
    first, second = scene.stored(2)
    scene.wire.faults[SEATS] = iter([CONFLICT, CONFLICT])

    await scene.decide(scene.candidates([first, second]))

    assert scene.aws.decisions == [
        (first.request_id, Status.SUCCEEDED),
        (second.request_id, Status.REJECTED),
    ]


@virtual_time
async def test_a_loser_gets_the_seat_that_its_rival_could_not_take() -> None:
    """The winner was decided by somebody else between load and commit: a seat is free after all."""
    scene = Scene(seats=1)
    rival, other = scene.stored(2)
    elsewhere = replace(
        rival,
        status=Status.FAILED_FINAL,
        result_code="FAILED_WORKER",
        is_dlq=True,
        started_at_ms=NOW_MS,
        finished_at_ms=NOW_MS,
    )

    async def decide_elsewhere() -> None:
        await anyio.sleep(0.5)
        assert await scene.aws.straight.write([Change(rival, elsewhere)]) == [None]

    scene.wire.each_way_s[LOAD] = 0.3
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(decide_elsewhere)
        outcomes = await scene.decide(scene.candidates([rival, other]))

    assert results(outcomes) == {
        rival.request_id: ("FAILED_FINAL", False),
        other.request_id: ("SUCCEEDED", True),
    }


@virtual_time
@pytest.mark.parametrize("fault", [Kind.LOST, THROTTLED, Kind.UNANSWERED])
async def test_an_unanswered_transaction_is_repeated_with_the_same_token(fault: Fault) -> None:
    scene = Scene(seats=5)
    items = scene.stored(2)
    scene.wire.faults[SEATS] = iter([fault])

    outcomes = await scene.decide(scene.candidates(items))

    assert scene.wire.asked[SEATS] == 2
    assert len(set(scene.tokens())) == 1
    assert set(results(outcomes).values()) == {("SUCCEEDED", True)}
    assert scene.aws.seats_left("e1") == 3


@virtual_time
async def test_a_transaction_that_took_effect_unanswered_is_found_by_reading() -> None:
    scene = Scene(seats=5)
    items = scene.stored(2)
    scene.wire.faults[SEATS] = iter([Kind.UNANSWERED, Kind.UNANSWERED])

    outcomes = await scene.decide(scene.candidates(items))

    # Ours: what is stored is to the letter what this worker meant to write.
    assert set(results(outcomes).values()) == {("SUCCEEDED", True)}
    assert scene.wire.asked == {LOAD: 2, TURN: 2, SEATS: 2}
    assert scene.aws.seats_left("e1") == 3


@virtual_time
async def test_a_transaction_that_takes_effect_later_takes_no_seat_twice() -> None:
    """Its answer timed out; when it arrives at last, the next round has been committed."""
    scene = Scene(seats=5)
    items = scene.stored(2)
    scene.wire.faults[SEATS] = iter([Kind.LATE, Kind.LATE])
    scene.clock.step_ms = 1

    outcomes = await scene.decide(scene.candidates(items))
    await anyio.sleep(LATE_S)
    await scene.decide(scene.candidates(items))

    assert len(set(scene.tokens())) == 2
    assert {status for status, _ in results(outcomes).values()} == {"SUCCEEDED"}
    assert {d.item.request_id: d.item for d in outcomes.decided} == scene.aws.requests
    assert scene.aws.seats_left("e1") == 3


@virtual_time
async def test_tokens_and_waits_are_left_to_the_random_handed_in() -> None:
    async def run(seed: int) -> tuple[list[str], float]:
        scene, began_s = Scene(seed=seed), anyio.current_time()
        items = scene.stored(3)
        scene.wire.faults[SEATS] = iter([CONFLICT] * 3)
        await scene.decide(scene.candidates(items))
        return scene.tokens(), round(anyio.current_time() - began_s, 6)

    tokens, took_s = await run(seed=1)

    assert (tokens, took_s) == await run(seed=1)
    other_tokens, other_took_s = await run(seed=2)
    assert set(tokens).isdisjoint(other_tokens)
    assert took_s != other_took_s
    assert {len(token) for token in tokens} == {32}


@virtual_time
async def test_another_payload_never_reuses_a_token() -> None:
    scene = Scene(seats=5)
    items = scene.stored(2)
    scene.wire.faults[SEATS] = iter([Kind.LOST, Kind.LOST])
    scene.clock.step_ms = 1  # so that the second plan differs from the first

    outcomes = await scene.decide(scene.candidates(items))

    assert len(set(scene.tokens())) == 2
    assert set(results(outcomes).values()) == {("SUCCEEDED", True)}


@virtual_time
async def test_a_decision_by_another_worker_is_not_ours() -> None:
    scene = Scene()
    (item,) = scene.stored(1)
    other = Committer(parts_of(scene.aws, worker_id="w2"))
    await total(other.attempt(scene.candidates([item]), NOW_MS))

    outcomes = await scene.decide(scene.candidates([item]))

    assert results(outcomes) == {item.request_id: ("SUCCEEDED", False)}
    assert outcomes.decided[0].item.worker_id == "w2"
    assert scene.wire.asked[SEATS] == 1


@virtual_time
async def test_who_finds_the_seats_gone_at_its_turn_is_turned_away() -> None:
    scene = Scene(seats=1)
    item, winner = scene.stored(2)
    other = Committer(parts_of(table=scene.aws.straight, worker_id="w2"))
    scene.wire.each_way_s = {LOAD: 0.1, SEATS: 0.1, WRITE: 0.1}

    async def sell_out() -> None:
        await anyio.sleep(0.15)
        await total(other.attempt(scene.candidates([winner]), NOW_MS))

    began_s = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sell_out)
        outcomes = await scene.decide(scene.candidates([item]))

    assert results(outcomes) == {item.request_id: ("REJECTED", True)}
    # Load and write, 0.2 s each: whoever takes the turn sees what is left.
    assert anyio.current_time() - began_s == pytest.approx(0.4)
    assert scene.wire.asked[SEATS] == 0


@virtual_time
async def test_seats_added_while_it_sells_go_to_those_who_wait() -> None:
    """Nobody is turned away by how many seats there were when the sale began."""
    scene = Scene(seats=2)
    items = scene.stored(4)
    scene.wire.each_way_s = {SEATS: 0.1}

    async def add() -> None:
        await anyio.sleep(0.05)
        await scene.aws.event_changes.add_seats("e1", 1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(add)
        outcomes = await scene.decide(scene.candidates(items))

    statuses = [status for status, _ in results(outcomes).values()]
    assert sorted(statuses) == ["REJECTED", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"]
    assert scene.aws.seats_left("e1") == 0


@virtual_time
async def test_seats_added_after_the_sell_out_are_noticed_within_two_seconds() -> None:
    scene = Scene(seats=1)
    sold_out = await scene.decide(scene.candidates(scene.stored(2)))
    await scene.aws.event_changes.add_seats("e1", 1)
    await anyio.sleep(2)

    later = await scene.decide(scene.candidates(scene.stored(2)))

    for outcomes in (sold_out, later):
        statuses = sorted(status for status, _ in results(outcomes).values())
        assert statuses == ["REJECTED", "SUCCEEDED"]


@virtual_time
async def test_conflicts_wait_are_counted_and_need_nothing_read_again() -> None:
    scene = Scene()
    items = scene.stored(3)
    scene.wire.faults[SEATS] = iter([CONFLICT] * 3)
    began_s = anyio.current_time()

    outcomes = await scene.decide(scene.candidates(items))

    assert set(results(outcomes).values()) == {("SUCCEEDED", True)}
    assert cancellations(scene, "capacity_conflict") == 3
    assert scene.wire.asked[LOAD] == 1
    assert anyio.current_time() > began_s


@virtual_time
@pytest.mark.parametrize("operation", [LOAD, SEATS, WRITE])
@pytest.mark.parametrize("fault", [THROTTLED, AWAY])
async def test_a_table_that_is_away_is_waited_for_however_long(
    operation: str, fault: Fault
) -> None:
    scene = Scene(seats=1)
    items = scene.stored(2)
    scene.wire.faults[operation] = repeat(fault)

    async def come_back() -> None:
        await anyio.sleep(3_600)
        assert sample(scene.parts, "worker_paused", service="dynamodb") == 1
        del scene.wire.faults[operation]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(come_back)
        outcomes = await scene.decide(scene.candidates(items))

    assert len(outcomes.decided) == 2
    assert not outcomes.undecided
    assert anyio.current_time() - 3_600 < scene.began_s + 5
    assert sample(scene.parts, "worker_paused", service="dynamodb") == 0


@virtual_time
@pytest.mark.parametrize("operation", [LOAD, SEATS, WRITE])
async def test_a_stop_ends_the_waiting_and_blames_no_message(operation: str) -> None:
    scene = Scene(seats=1)
    items = scene.stored(2)
    scene.wire.faults[operation] = repeat(THROTTLED)

    async def stop() -> None:
        await anyio.sleep(100)
        scene.parts.stop.request()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        outcomes = await scene.decide(scene.candidates(items))

    undecided = {u.candidate.request_id: u.retry for u in outcomes.undecided}
    assert set(undecided.values()) == {Retry.AFTER_OUTAGE}
    assert len(undecided) + len(outcomes.decided) == 2
    assert anyio.current_time() == scene.began_s + 100


@virtual_time
async def test_who_is_decided_does_not_wait_for_who_is_not() -> None:
    scene = Scene(seats=1)
    items = scene.stored(2)
    scene.wire.faults[WRITE] = repeat(THROTTLED)
    results_so_far = retry.decide_batch(scene.committer, scene.candidates(items), scene.clock())

    first = await anext(results_so_far)

    assert results(first) == {items[0].request_id: ("SUCCEEDED", True)}


@virtual_time
async def test_an_event_that_breaks_the_contract_when_seats_are_sold_fails_nobody() -> None:
    """It was whole when the batch was loaded."""
    scene = Scene()
    scene.wire.faults[SEATS] = iter([cancelled("ConditionalCheckFailed", "None", "None")])
    scene.wire.each_way_s[SEATS] = 0.1
    config = EventConfig(event_id="e1", event_type="FIRST_COME").to_item()

    async def break_the_event() -> None:
        await anyio.sleep(0.1)
        scene.aws.cloud.table.seed({**config, "eventType": {"N": "0"}})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(break_the_event)
        outcomes = await scene.decide(scene.candidates(scene.stored(2)))

    assert outcomes.decided == ()
    assert {undecided.retry for undecided in outcomes.undecided} == {Retry.NEVER}
    assert scene.aws.statuses == {"QUEUED": 2}


@virtual_time
async def test_too_few_seats_are_planned_again_immediately() -> None:
    scene = Scene()
    items = scene.stored(3)
    scene.wire.faults[SEATS] = iter([cancelled("ConditionalCheckFailed", "None", "None", "None")])

    outcomes = await scene.decide(scene.candidates(items))

    assert set(results(outcomes).values()) == {("SUCCEEDED", True)}
    assert cancellations(scene, "seats_gone") == 1
    assert anyio.current_time() == scene.began_s


@virtual_time
async def test_a_throttled_transaction_is_halved_until_the_table_bears_it_and_grows_again() -> None:
    scene = Scene(seats=100)
    throttled = cancelled("None", "None", "ThrottlingError", "ProvisionedThroughputExceeded")
    scene.wire.faults[SEATS] = iter([throttled, throttled])

    outcomes = await scene.decide(scene.candidates(scene.stored(40)))

    sizes = [len(call.parameters["TransactItems"]) - 1 for call in scene.wire.calls_of(SEATS)]
    assert sizes == [40, 20, 10, 12, 15, 3]
    assert [d.item.status for d in outcomes.decided] == [Status.SUCCEEDED] * 40
    assert cancellations(scene, "throttled") == 2
    # Whoever was throttled waits with the others, and none is read again.
    assert [size for size in keys_read(scene) if size > 1] == [42]
    assert anyio.current_time() > scene.began_s


@virtual_time
async def test_rounds_are_bounded_for_what_may_be_a_request_s_own_fault() -> None:
    scene = Scene(seats=0)
    items = scene.stored(1)
    scene.wire.entry_faults[WRITE] = repeat("InternalServerError")

    outcomes = await scene.decide(scene.candidates(items))

    assert scene.wire.asked[LOAD] == MAX_ROUNDS
    assert [u.candidate.request_id for u in outcomes.undecided] == [items[0].request_id]
    assert {u.retry for u in outcomes.undecided} == {Retry.AFTER_BACKOFF}


@virtual_time
async def test_statements_that_are_throttled_wait_and_are_not_blamed() -> None:
    scene = Scene(seats=0)
    items = scene.stored(1)
    scene.wire.entry_faults[WRITE] = iter(["ThrottlingError"] * 3 * MAX_ROUNDS)

    outcomes = await scene.decide(scene.candidates(items))

    assert len(outcomes.decided) == 1
    assert scene.wire.asked[LOAD] > MAX_ROUNDS


@virtual_time
async def test_one_request_that_somebody_else_writes_leaves_the_others_their_seats() -> None:
    scene = Scene()
    items = scene.stored(3)
    scene.wire.faults[SEATS] = iter([cancelled("None", "None", "TransactionConflict", "None")])

    outcomes = await scene.decide(scene.candidates(items))

    assert set(results(outcomes).values()) == {("SUCCEEDED", True)}
    seats = [len(call.parameters["TransactItems"]) - 1 for call in scene.wire.calls_of(SEATS)]
    assert seats == [3, 2, 1]
    assert cancellations(scene, "request_conflict") == 1


@virtual_time
async def test_a_statement_that_failed_is_decided_again_and_the_others_are_not() -> None:
    scene = Scene(seats=0)
    items = scene.stored(5)
    scene.wire.entry_faults[WRITE] = iter(["ThrottlingError", None] * 2 + ["ThrottlingError"])

    outcomes = await scene.decide(scene.candidates(items))

    assert len(outcomes.decided) == 5
    assert scene.aws.statuses == {"REJECTED": 5}
    assert len(scene.aws.decisions) == 5


@virtual_time
async def test_statements_that_took_effect_unanswered_are_found_by_reading() -> None:
    scene = Scene(seats=0)
    items = scene.stored(3)
    scene.wire.faults[WRITE] = iter([Kind.UNANSWERED])

    outcomes = await scene.decide(scene.candidates(items))

    assert set(results(outcomes).values()) == {("REJECTED", True)}
    assert scene.wire.asked[WRITE] == 1


@virtual_time
async def test_one_event_s_trouble_does_not_hold_up_another_event() -> None:
    scene = Scene()
    scene.aws.create("e2", 5)
    others = Requests("e2")
    quiet = others.request()
    (busy,) = scene.stored(1)
    scene.aws.store(quiet)
    # Both transactions run concurrently; the first to be asked for is e1's.
    scene.wire.faults[SEATS] = iter([CONFLICT])

    outcomes = await scene.decide([*scene.candidates([busy]), others.candidate(quiet)])

    assert set(results(outcomes).values()) == {("SUCCEEDED", True)}
    assert scene.aws.decisions[0] == (quiet.request_id, Status.SUCCEEDED)


@virtual_time
async def test_one_event_s_transactions_of_a_worker_never_overlap() -> None:
    scene = Scene(seats=50)
    batches = [scene.candidates(scene.stored(3)) for _ in range(4)]
    scene.wire.each_way_s[SEATS] = 1.0

    async with anyio.create_task_group() as tasks:
        for batch in batches:
            tasks.start_soon(scene.decide, batch)

    assert scene.wire.most_under_way[SEATS] == 1
    assert scene.aws.seats_left("e1") == 38


@virtual_time
async def test_nobody_sells_for_a_batch_that_was_given_up() -> None:
    scene = Scene(seats=50)
    first, given_up, last = (scene.candidates(scene.stored(3)) for _ in range(3))
    scene.wire.each_way_s[SEATS] = 1.0

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.decide, first)
        await anyio.sleep(0.1)
        with anyio.move_on_after(0.5):
            await scene.decide(given_up)
        await scene.decide(last)

    assert scene.aws.statuses == {"SUCCEEDED": 6, "QUEUED": 3}


@virtual_time
async def test_deliveries_of_one_request_are_decided_together() -> None:
    scene = Scene()
    (item,) = scene.stored(1)
    (once,) = scene.candidates([item])
    twice = replace(once, deliveries=(*once.deliveries, scene.requests.delivery(item, attempt=2)))

    outcomes = await scene.decide([twice])

    (decided,) = outcomes.decided
    assert decided.deliveries == twice.deliveries
    assert scene.aws.seats_left("e1") == 9


@virtual_time
async def test_a_second_message_on_the_same_request_takes_no_second_seat() -> None:
    scene = Scene()
    (item,) = scene.stored(1)
    (first,) = scene.candidates([item])
    second = replace(first, message=replace(first.message, queued_at_ms=NOW_MS))

    outcomes = await scene.decide([first, second])

    assert [d.item.status for d in outcomes.decided] == [Status.SUCCEEDED, Status.SUCCEEDED]
    assert [d.by_this_worker for d in outcomes.decided] == [True, False]
    assert outcomes.decided[0].item == outcomes.decided[1].item
    assert scene.aws.seats_left("e1") == 9


@virtual_time
async def test_a_second_message_on_a_request_is_not_blamed_for_the_first_one_s_waiting() -> None:
    scene = Scene(seats=5)
    (item,) = scene.stored(1)
    first, second = scene.candidates([item]) + scene.candidates([item])
    scene.wire.faults[SEATS] = iter([cancelled("None", "ThrottlingError")] * (MAX_ROUNDS + 3))

    found = await scene.decide([first, second])

    assert found.undecided == ()
    assert len(found.decided) == 2
    assert len(scene.wire.calls_of(SEATS)) == MAX_ROUNDS + 4


@virtual_time
async def test_a_message_without_a_request_is_defective_for_each_delivery() -> None:
    scene = Scene()
    unknown = scene.requests.request()
    (candidate,) = scene.candidates([unknown])
    both = replace(candidate, deliveries=(*candidate.deliveries, scene.requests.delivery(unknown)))

    outcomes = await scene.decide([both])

    assert [d.delivery for d in outcomes.defective] == list(both.deliveries)
    assert {d.defect.reason.value for d in outcomes.defective} == {"REQUEST_NOT_FOUND"}
    assert scene.wire.asked == {LOAD: 1}


@virtual_time
async def test_what_waits_for_an_operator_is_put_off_without_trying() -> None:
    scene = Scene()
    items = scene.stored(1)
    scene.aws.cloud.table.seed(statements.event_key("e1", keys.CAPACITY_SORT_KEY))

    outcomes = await scene.decide(scene.candidates(items))

    (undecided,) = outcomes.undecided
    assert undecided.reason == "attribute 'capacityTotal' is missing"
    assert scene.wire.asked == {LOAD: 1}


@virtual_time
async def test_a_try_from_the_dlq_that_fails_is_failed_for_good() -> None:
    scene = Scene()
    fresh, dead = scene.stored(2)
    batch = [*scene.candidates([fresh]), *scene.candidates([dead], from_dlq=True, attempt=6)]
    scene.wire.faults[SEATS] = repeat(INVALID)

    outcomes = await scene.decide(batch)

    assert [u.candidate.request_id for u in outcomes.undecided] == [fresh.request_id]
    (decided,) = outcomes.decided
    assert decided.item == scene.aws.requests[dead.request_id]
    assert decided.item.status is Status.FAILED_FINAL
    assert decided.item.result_code == "FAILED_WORKER"
    assert decided.item.failure_class == "RETRYABLE"
    assert decided.item.error_code == "RETRIES_EXHAUSTED"
    assert decided.item.error_message is not None
    assert "ValidationException" in decided.item.error_message
    assert (decided.item.is_dlq, decided.item.attempt) == (True, 6)
    assert scene.aws.seats_left("e1") == 10


@virtual_time
async def test_last_words_that_cannot_be_written_are_put_off() -> None:
    scene = Scene()
    (dead,) = scene.stored(1)
    scene.wire.faults = {SEATS: repeat(INVALID), WRITE: iter([THROTTLED])}

    outcomes = await scene.decide(scene.candidates([dead], from_dlq=True))

    assert not outcomes.decided
    assert [u.candidate.request_id for u in outcomes.undecided] == [dead.request_id]
    assert scene.aws.statuses == {"QUEUED": 1}


@virtual_time
async def test_last_words_are_not_for_what_another_worker_has_decided() -> None:
    scene = Scene()
    (dead,) = scene.stored(1)
    scene.wire.each_way_s[LOAD] = 0.1
    scene.wire.faults[SEATS] = repeat(INVALID)
    other = Committer(parts_of(table=scene.aws.straight, worker_id="w2"))

    async def decide_elsewhere() -> None:
        await anyio.sleep(0.25)
        await total(other.attempt(scene.candidates([dead]), NOW_MS))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(decide_elsewhere)
        outcomes = await scene.decide(scene.candidates([dead], from_dlq=True))

    assert [u.candidate.request_id for u in outcomes.undecided] == [dead.request_id]
    assert scene.aws.statuses == {"SUCCEEDED": 1}


@virtual_time
@pytest.mark.parametrize("operation", [LOAD, SEATS, WRITE])
async def test_an_error_that_only_an_operator_can_resolve_ends_it(operation: str) -> None:
    scene = Scene(seats=0 if operation == WRITE else 1)
    items = scene.stored(1)
    scene.wire.faults[operation] = iter([DENIED])

    with pytest.raises(Fatal):
        await scene.decide(scene.candidates(items))


@virtual_time
async def test_one_statement_without_permission_ends_it_too() -> None:
    scene = Scene(seats=0)
    items = scene.stored(1)
    scene.wire.entry_faults[WRITE] = iter(["AccessDenied"])

    with pytest.raises(Fatal):
        await scene.decide(scene.candidates(items))


@virtual_time
async def test_a_refusal_of_the_whole_call_is_not_taken_for_a_decision() -> None:
    scene = Scene()
    items = scene.stored(1)
    scene.wire.faults[SEATS] = iter([INVALID])

    outcomes = await scene.decide(scene.candidates(items))

    assert [u.retry for u in outcomes.undecided] == [Retry.NEVER]
    assert scene.aws.statuses == {"QUEUED": 1}
