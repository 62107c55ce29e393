"""The plan: who gets a seat, who does not, and what is written of each."""

from dataclasses import fields, replace
from typing import Any

import pytest

from aws.table import EventState, Loaded
from schema.items import Capacity, EventConfig, RequestItem
from schema.message import DefectReason, ParticipationMessage
from schema.states import EventType, Status
from tests.aws.model import NOW_MS
from tests.worker.parts import Requests, seated
from worker import decide
from worker.decide import Candidate, Plan, Reading, Step

READING = Reading(started_at_ms=NOW_MS, now_ms=NOW_MS + 150, worker_id="w1")


def event(seats: int | None = 10, kind: str = EventType.FIRST_COME) -> EventState:
    return EventState(
        EventConfig(event_id="e1", event_type=kind),
        None if seats is None else Capacity(event_id="e1", total=100, remaining=seats),
    )


def loaded(items: list[RequestItem], state: EventState | None = None) -> Loaded:
    return Loaded(
        requests={item.request_id: item for item in items},
        events={"e1": state if state is not None else event()},
    )


def plan(batch: list[Candidate], items: list[RequestItem], state: EventState | None = None) -> Plan:
    return decide.plan(batch, loaded(items, state), READING)


def only(plan: Plan) -> Step:
    """The one step of a plan; its seeker, if it has one, gets a seat."""
    seats = seated(plan, loaded([]), READING).values()
    (step,) = [*plan.writes, *(step for each in seats for step in each.winners)]
    return step


def one(item: RequestItem, state: EventState | None = None, **delivery: Any) -> Step:
    return only(plan([Requests().candidate(item, **delivery)], [item], state))


def test_seats_go_by_queued_at_and_then_by_request_id() -> None:
    requests = Requests()
    items = [
        requests.request(request_id=name, queued_at_ms=queued_at)
        for name, queued_at in [("c", 10), ("a", 20), ("d", 10), ("b", 5)]
    ]

    made = plan([requests.candidate(item) for item in items], items, event(seats=3))

    seats = seated(made, loaded(items, event(seats=3)), READING)["e1"]
    assert [step.candidate.request_id for step in seats.winners] == ["b", "c", "d"]
    assert [step.candidate.request_id for step in seats.losers] == ["a"]
    assert made.writes == ()


def test_without_a_winner_losers_wait_for_nobody() -> None:
    made = plan([Requests().candidate(item := Requests().request())], [item], event(seats=0))

    assert made.seekers == {}
    assert only(made).change.after.result_code == "REJECTED_CAPACITY"


@pytest.mark.parametrize("seats", [0, -3])
def test_no_seat_left_is_rejected_for_capacity(seats: int) -> None:
    after = one(Requests().request(), event(seats)).change.after

    assert (after.status, after.result_code) == (Status.REJECTED, "REJECTED_CAPACITY")
    assert (after.failure_class, after.error_code, after.error_message) == (None, None, None)


@pytest.mark.parametrize("seats", [None, 0, 5])
def test_a_lottery_s_entry_is_recorded_whatever_the_seats(seats: int | None) -> None:
    item = Requests().request(event_type=EventType.LOTTERY)

    made = plan([Requests().candidate(item)], [item], event(seats, EventType.LOTTERY))

    assert made.seekers == {}
    after = only(made).change.after
    assert (after.status, after.result_code) == (Status.SUCCEEDED, "SUCCESS")


@pytest.mark.parametrize(
    ("item", "state", "result_code", "error_code"),
    [
        (Requests().request(), EventState(), "FAILED_EVENT_NOT_FOUND", "EVENT_NOT_FOUND"),
        (Requests().request(), event(None), "FAILED_EVENT_NOT_FOUND", "CAPACITY_NOT_FOUND"),
        (
            Requests().request(event_type="AUCTION"),
            event(),
            "FAILED_VALIDATION",
            "EVENT_TYPE_UNKNOWN",
        ),
    ],
)
def test_what_no_retry_can_help_fails_for_good(
    item: RequestItem, state: EventState, result_code: str, error_code: str
) -> None:
    after = one(item, state).change.after

    assert (after.status, after.result_code) == (Status.FAILED_FINAL, result_code)
    assert (after.failure_class, after.error_code) == ("NON_RETRYABLE", error_code)
    assert after.error_message


@pytest.mark.parametrize("field", ["event_id", "user_id"])
def test_a_message_whose_ids_are_not_the_request_s_fails_it(field: str) -> None:
    item = Requests().request()
    candidate = Requests().candidate(item)
    forged = replace(candidate, message=replace(candidate.message, **{field: "other"}))  # type: ignore[arg-type]

    made = plan([forged], [item])

    after = only(made).change.after
    assert made.seekers == {}
    assert (after.result_code, after.error_code) == ("FAILED_VALIDATION", "ID_MISMATCH")


def test_an_error_message_has_256_characters_at_most() -> None:
    after = one(Requests().request(event_type="x" * 1_000)).change.after

    assert after.error_message is not None
    assert len(after.error_message) == 256


def test_a_request_still_received_gets_queued_at_and_its_index_keys_with_the_decision() -> None:
    item = Requests().request(queued_at_ms=None, status=Status.RECEIVED)
    waited = replace(Requests().candidate(item), has_waited=True)

    assigned = only(plan([waited], [item])).change.assignments()

    assert assigned["queuedAt"] == {"N": str(NOW_MS - 900)}
    assert assigned["GSI1SK"] == {"S": f"QAT#{NOW_MS - 900}#REQ#{item.request_id}"}
    assert {"GSI1PK", "GSI2PK", "GSI2SK"} < assigned.keys()


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        (event(), {}),
        (event(seats=0), {}),
        (event(kind=EventType.LOTTERY), {"event_type": EventType.LOTTERY}),
    ],
)
def test_a_young_request_is_put_aside(state: EventState, changes: dict[str, Any]) -> None:
    requests = Requests()
    young = requests.request(queued_at_ms=None, status=Status.RECEIVED, **changes)
    other = requests.request(**changes)
    batch = [requests.candidate(young), requests.candidate(other)]

    made = plan(batch, [young, other], state)

    assert made.young == (batch[0],)
    assert only(made).candidate == batch[1]


def test_times_are_those_of_the_clock_where_it_is_right() -> None:
    after = one(Requests().request()).change.after

    assert (after.started_at_ms, after.finished_at_ms) == (NOW_MS, NOW_MS + 150)


@pytest.mark.parametrize("ahead_ms", [1, 100, 1_000_000])
def test_a_clock_that_lags_gives_no_negative_delay(ahead_ms: int) -> None:
    after = one(Requests().request(queued_at_ms=NOW_MS + ahead_ms)).change.after

    assert after.started_at_ms == NOW_MS + ahead_ms
    assert after.finished_at_ms == max(NOW_MS + 150, NOW_MS + ahead_ms)


def test_the_attempt_is_the_first_delivery_s() -> None:
    requests = Requests()
    item = requests.request()
    candidate = requests.candidate(item, attempt=3)
    twice = replace(
        candidate, deliveries=(*candidate.deliveries, requests.delivery(item, attempt=4))
    )

    after = only(plan([twice], [item])).change.after

    assert (after.attempt, after.worker_id) == (3, "w1")


@pytest.mark.parametrize(
    ("delivery", "stamp", "is_dlq"),
    [
        ({}, None, False),
        ({"attempt": 5}, None, False),
        ({"attributes": {"other": "1"}}, None, False),
        ({"from_dlq": True}, None, True),
        ({"attributes": {"redrivenAt": "1"}}, None, True),
        ({}, NOW_MS, True),
    ],
)
def test_is_dlq_means_consumed_from_the_dlq_or_redriven(
    delivery: dict[str, Any], stamp: int | None, *, is_dlq: bool
) -> None:
    item = Requests().request(dlq_at_ms=stamp)

    assert one(item, **delivery).change.after.is_dlq is is_dlq


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.REJECTED, Status.FAILED_FINAL])
def test_a_decided_request_is_left_as_it_is(status: Status) -> None:
    item = Requests().request(status=status, dlq_at_ms=NOW_MS)
    candidate = Requests().candidate(item, from_dlq=True, attempt=9)

    made = plan([candidate], [item])

    assert made == Plan(decided=((candidate, item),))


@pytest.mark.parametrize("status", [Status.RECEIVED, Status.QUEUED, Status.PROCESSING])
def test_every_undecided_status_is_decided(status: Status) -> None:
    item = Requests().request(status=status)
    waited = replace(Requests().candidate(item), has_waited=True)
    step = only(plan([waited], [item]))

    assert step.change.before.status is status
    assert step.change.after.status is Status.SUCCEEDED


def test_a_message_without_a_request_is_a_defect() -> None:
    candidate = Requests().candidate(Requests().request())

    made = plan([candidate], [])

    ((found, defect),) = made.defects
    assert found is candidate
    assert defect.reason is DefectReason.REQUEST_NOT_FOUND
    assert (defect.request_id, defect.event_id) == (candidate.request_id, "e1")


def test_an_item_that_cannot_be_read_is_a_defect_that_says_why() -> None:
    candidate = Requests().candidate(Requests().request())
    loaded = Loaded(unreadable={candidate.request_id: "attribute 'status' is missing"})

    ((_, defect),) = decide.plan([candidate], loaded, READING).defects

    assert defect.reason is DefectReason.ITEM_UNREADABLE
    assert defect.detail == "attribute 'status' is missing"


def test_an_event_that_cannot_be_read_blocks_its_undecided_requests_alone() -> None:
    requests = Requests()
    waiting, done = requests.request(), requests.request(status=Status.SUCCEEDED)
    batch = [requests.candidate(waiting), requests.candidate(done)]

    made = plan(batch, [waiting, done], EventState(defect="capacityTotal is missing"))

    assert made.blocked == ((batch[0], "capacityTotal is missing"),)
    assert made.decided == ((batch[1], done),)
    assert (made.seekers, made.writes) == ({}, ())


def test_deliveries_of_the_same_message_are_one_candidate() -> None:
    requests = Requests()
    item, other = requests.request(), requests.request()
    message = ParticipationMessage(item.request_id, "e1", item.user_id)
    another = ParticipationMessage(other.request_id, "e1", other.user_id)
    first, second, third = (requests.delivery(i) for i in (item, other, item))

    found = decide.candidates([(first, message), (second, another), (third, message)])

    assert found == [Candidate(message, (first, third)), Candidate(another, (second,))]


def test_a_forged_message_does_not_speak_for_the_real_one() -> None:
    requests = Requests()
    item = requests.request()
    real = ParticipationMessage(item.request_id, "e1", item.user_id)
    forged = replace(real, user_id="somebody else")

    found = decide.candidates([(requests.delivery(item), m) for m in (real, forged)])

    assert [candidate.message for candidate in found] == [real, forged]


def test_a_second_message_on_a_request_waits_for_the_first_s_decision() -> None:
    requests = Requests()
    item = requests.request()
    first = requests.candidate(item)
    second = replace(first, message=replace(first.message, queued_at_ms=1))

    made = plan([first, second], [item])

    assert made.deferred == (second,)
    assert only(made).candidate is first


def test_every_event_type_has_a_rule() -> None:
    assert set(decide.RULES) == {kind.value for kind in EventType}


def test_the_last_word_names_the_retryable_failure() -> None:
    item = Requests().request()
    candidate = Requests().candidate(item, from_dlq=True, attempt=6)

    step = decide.failed_for_good(candidate, item, READING, "RETRIES_EXHAUSTED", "y" * 999)

    after = step.change.after
    assert (after.status, after.result_code) == (Status.FAILED_FINAL, "FAILED_WORKER")
    assert (after.failure_class, after.error_code) == ("RETRYABLE", "RETRIES_EXHAUSTED")
    assert after.error_message == "y" * 256
    assert after.is_dlq is True


def test_a_decision_keeps_every_field_that_it_does_not_decide() -> None:
    item = replace(
        Requests().request(), requested_at_ms=NOW_MS - 9, dlq_at_ms=NOW_MS - 5, ttl_s=1_800_000_000
    )
    decided = {
        *("status", "result_code", "queued_at_ms", "started_at_ms", "finished_at_ms", "attempt"),
        *("is_dlq", "failure_class", "error_code", "error_message", "worker_id"),
    }

    after = one(item).change.after

    kept = [field.name for field in fields(RequestItem) if field.name not in decided]
    assert {name: getattr(after, name) for name in kept} == {
        name: getattr(item, name) for name in kept
    }
    assert all(getattr(after, name) is not None for name in kept)
