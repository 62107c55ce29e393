"""Properties of the planner over any batch, whatever the table says (domain §4, §6)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from aws.queue import Delivery
from aws.table import EventState, Loaded
from schema import events
from schema.items import Capacity, EventConfig, RequestItem
from schema.message import ParticipationMessage
from schema.states import EventType, ResultCode, Status, may_become
from tests.worker.parts import seated
from worker import decide
from worker.decide import Candidate, Plan, Reading, SeatPlan, Step

# Few and small, so that requests compete, and ids and times coincide.
EVENT_IDS = ["e1", "e1", "e1", "e2"]
KINDS = [EventType.FIRST_COME] * 6 + [EventType.LOTTERY, "AUCTION"]
STATUSES = [Status.QUEUED, Status.QUEUED, Status.QUEUED, Status.RECEIVED, *Status]
times_ms = st.integers(1, 9)


@dataclass(frozen=True, slots=True)
class Case:
    """A batch, what was loaded for it, and the clock."""

    batch: list[Candidate]
    loaded: Loaded
    reading: Reading


@st.composite
def stored_requests(draw: st.DrawFn, number: int) -> RequestItem:
    """A request in any status; a decided one has all that its event needs."""
    status = draw(st.sampled_from(STATUSES))
    queued_at = draw(times_ms)
    item = RequestItem(
        request_id=f"r{9 - number}",
        event_id=draw(st.sampled_from(EVENT_IDS)),
        user_id=f"u{number}",
        event_type=draw(st.sampled_from(KINDS)),
        status=status,
        requested_at_ms=draw(st.none() | times_ms),
        queued_at_ms=queued_at if status is not Status.RECEIVED else draw(st.none() | times_ms),
        dlq_at_ms=draw(st.sampled_from([None, None, None, 5])),
    )
    if status.is_final:
        return replace(
            item,
            result_code=ResultCode.SUCCESS.value,
            started_at_ms=queued_at + 1,
            finished_at_ms=queued_at + 2,
        )
    return item


@st.composite
def event_states(draw: st.DrawFn, event_id: str) -> EventState:
    """An event in any state, one that nobody can read included."""
    if draw(st.integers(0, 9)) == 0:
        return EventState(defect="capacityTotal is missing")
    config = EventConfig(event_id=event_id, event_type=EventType.FIRST_COME)
    capacity = Capacity(event_id=event_id, total=9, remaining=draw(st.integers(-1, 5)))
    return EventState(
        draw(st.sampled_from([config, config, None])),
        draw(st.sampled_from([capacity, capacity, capacity, None])),
    )


@st.composite
def messages(draw: st.DrawFn, requests: list[RequestItem]) -> list[ParticipationMessage]:
    """A message for each request, in any order; some twice, some forged, some of no request."""
    honest = [
        ParticipationMessage(item.request_id, item.event_id, item.user_id) for item in requests
    ]
    others = st.builds(
        replace,
        st.sampled_from([*honest, ParticipationMessage("unknown", "e1", "u1")]),
        event_id=st.sampled_from(EVENT_IDS),
        queued_at_ms=st.none() | times_ms,
    )
    repeated = st.sampled_from(honest)
    return draw(st.permutations(honest + draw(st.lists(repeated | others, max_size=4))))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A batch as the worker may meet it: repeated, forged, unknown and decided requests."""
    requests = [draw(stored_requests(number)) for number in range(draw(st.integers(1, 7)))]
    decoded = [
        (
            Delivery(
                f"m{number}",
                f"h{number}",
                message.encode(),
                attempt=1 + number % 3,
                sent_at_ms=draw(times_ms),
                attributes=draw(st.sampled_from([{}, {}, {}, {"redrivenAt": "1"}])),
                from_dlq=draw(st.sampled_from([False, False, False, True])),
            ),
            message,
        )
        for number, message in enumerate(draw(messages(requests)))
    ]
    unreadable = {"unknown": "why"} if draw(st.booleans()) else {}
    started_at = draw(times_ms)
    return Case(
        decide.candidates(decoded),
        Loaded(
            {item.request_id: item for item in requests},
            unreadable,
            {event_id: draw(event_states(event_id)) for event_id in ("e1", "e2")},
        ),
        Reading(started_at, started_at + draw(st.integers(-3, 9)), "w1"),
    )


def planned(case: Case) -> Plan:
    return decide.plan(case.batch, case.loaded, case.reading)


def seats_of(case: Case, plan: Plan) -> dict[str, SeatPlan]:
    """What becomes of those who seek a seat."""
    return seated(plan, case.loaded, case.reading)


def steps(case: Case, plan: Plan) -> Iterator[Step]:
    """All steps that follow from a plan."""
    yield from plan.writes
    for seats in seats_of(case, plan).values():
        yield from (*seats.winners, *seats.losers)


@given(cases())
def test_every_delivery_is_in_one_candidate_and_every_candidate_in_one_place(case: Case) -> None:
    plan = planned(case)

    receipts = [d.receipt_handle for c in case.batch for d in c.deliveries]
    assert len(receipts) == len(set(receipts))
    assert all(candidate.deliveries for candidate in case.batch)
    placed = [
        *(id(step.candidate) for step in steps(case, plan)),
        *(id(candidate) for candidate, _ in (*plan.decided, *plan.defects, *plan.blocked)),
        *(id(candidate) for candidate in (*plan.deferred, *plan.young)),
    ]
    assert sorted(placed) == sorted(id(candidate) for candidate in case.batch)


@given(cases())
def test_seats_never_exceed_what_is_left_and_go_in_order_behind_one_transaction(
    case: Case,
) -> None:
    plan = planned(case)

    sold_out = {s.change.after.event_id for s in plan.writes if _is_sold_out(s)}
    assert not sold_out & plan.seekers.keys()
    for event_id, seats in seats_of(case, plan).items():
        capacity = case.loaded.events[event_id].capacity
        assert capacity is not None
        assert 1 <= len(seats.winners) <= capacity.remaining
        assert {step.change.after.status for step in seats.winners} == {Status.SUCCEEDED}
        assert {step.change.after.status for step in seats.losers} <= {Status.REJECTED}
        afters = [step.change.after for step in (*seats.winners, *seats.losers)]
        assert {(a.event_id, a.event_type) for a in afters} == {(event_id, EventType.FIRST_COME)}
        order = [(a.queued_at_ms, a.request_id) for a in afters]
        assert order == sorted(order)


@given(cases())
def test_no_seat_is_kept_back_while_somebody_is_rejected(case: Case) -> None:
    plan = planned(case)

    for step in steps(case, plan):
        if step.change.after.status is Status.REJECTED:
            event_id = step.change.after.event_id
            capacity = case.loaded.events[event_id].capacity
            assert capacity is not None
            seats = seats_of(case, plan).get(event_id)
            assert len(seats.winners if seats else ()) == max(0, capacity.remaining)


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_a_batch_does_not_matter_to_who_wins(case: Case, random: Random) -> None:
    """As far as each request has one message in it; of several, the first one counts."""
    alone = {c.request_id: c for c in reversed(case.batch)}
    batch = list(alone.values())
    shuffled = batch[:]
    random.shuffle(shuffled)

    one = decide.plan(batch, case.loaded, case.reading)
    other = decide.plan(shuffled, case.loaded, case.reading)

    assert seats_of(case, one) == seats_of(case, other)
    assert {s.candidate.request_id: s for s in one.writes} == {
        s.candidate.request_id: s for s in other.writes
    }


@given(cases())
def test_no_step_is_one_that_may_not_be_made_or_made_twice(case: Case) -> None:
    plan = planned(case)

    changed = [step.change.before.request_id for step in steps(case, plan)]
    assert len(changed) == len(set(changed))
    for step in steps(case, plan):
        assert step.change.before == case.loaded.requests[step.candidate.request_id]
        assert may_become(step.change.before.status, step.change.after.status)
        assert step.change.after.status.is_final
    final = {name for name, item in case.loaded.requests.items() if item.status.is_final}
    assert {candidate.request_id for candidate, _ in plan.decided} == {
        candidate.request_id for candidate in case.batch if candidate.request_id in final
    }
    for candidate, item in plan.decided:
        assert item == case.loaded.requests[candidate.request_id]


@given(cases())
def test_every_decision_inherits_queued_at_and_keeps_its_times_in_order(case: Case) -> None:
    for step in steps(case, planned(case)):
        after = step.change.after
        before, sent_at = step.change.before, step.candidate.deliveries[0].sent_at_ms
        in_body, stored_at = step.candidate.message.queued_at_ms, before.requested_at_ms
        queued_at = sent_at
        if before.queued_at_ms is not None:
            queued_at = before.queued_at_ms
        elif in_body is not None and stored_at is not None and stored_at <= in_body <= sent_at:
            queued_at = in_body
        assert after.queued_at_ms == queued_at
        assert after.started_at_ms == max(case.reading.started_at_ms, queued_at)
        assert after.finished_at_ms == max(case.reading.now_ms, after.started_at_ms)


@given(cases())
def test_every_decision_records_its_way_and_its_failure_and_has_an_event(case: Case) -> None:
    for step in steps(case, planned(case)):
        after = step.change.after
        first = step.candidate.deliveries[0]
        assert after.attempt == first.attempt
        assert after.is_dlq is (
            first.from_dlq
            or "redrivenAt" in first.attributes
            or step.change.before.dlq_at_ms is not None
        )
        failure = (after.failure_class, after.error_code, after.error_message)
        if after.status is Status.FAILED_FINAL:
            assert all(failure)
        else:
            assert failure == (None, None, None)
        assert events.encode(events.participation_processed(after, env="dev"))


def _is_sold_out(step: Step) -> bool:
    return step.change.after.status is Status.REJECTED
