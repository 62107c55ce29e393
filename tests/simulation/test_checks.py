"""Each rule of the checks, broken by a few effects made by hand; and effects that break none."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from config.quotas import Limits
from schema import events, keys, names
from schema.items import Capacity, RequestItem
from schema.message import ParticipationMessage
from schema.states import Status
from simulation.aws.sqs.messages import Message
from simulation.checks.checks import Checks
from simulation.checks.messages import OPERATOR
from simulation.scenario import (
    Defect,
    EventPlan,
    Fault,
    Kind,
    Load,
    Noise,
    Outage,
    Scenario,
    Service,
)
from simulation.settings import DEAD_LETTER_QUEUE, LOST_EVENTS_QUEUE, QUEUE, worker_settings
from simulation.trace import Trace

EVENT: Final = "event-1"
SENT_MS: Final = 1_000
WORKER: Final = "worker-1.1"
OTHER: Final = "worker-2.1"
LEASE_S: Final = 10


def request(user: str = "u1", **changes: Any) -> RequestItem:
    """A request as ingest inserts it."""
    item = RequestItem(
        request_id=keys.request_id(EVENT, user),
        event_id=EVENT,
        user_id=user,
        event_type="FIRST_COME",
        status=Status.RECEIVED,
        requested_at_ms=SENT_MS,
        ttl_s=9_999,
    )
    return replace(item, **changes)


def queued(user: str = "u1", **changes: Any) -> RequestItem:
    return request(user, **{"status": Status.QUEUED, "queued_at_ms": SENT_MS, **changes})


def decided(user: str = "u1", *, wins: bool = True, **changes: Any) -> RequestItem:
    """A request as a worker decides it."""
    values = {
        "status": Status.SUCCEEDED if wins else Status.REJECTED,
        "result_code": "SUCCESS" if wins else "REJECTED_CAPACITY",
        "started_at_ms": SENT_MS + 10,
        "finished_at_ms": SENT_MS + 20,
        "attempt": 1,
        "is_dlq": False,
        "worker_id": WORKER,
    }
    return queued(user, **{**values, **changes})


def without(item: RequestItem, attribute: str) -> Mapping[str, Any]:
    """A stored request that lacks an attribute."""
    return {name: value for name, value in item.to_item().items() if name != attribute}


class Hand:
    """Makes effects by hand, by one caller after the other, on a clock that stands still."""

    def __init__(self, *faults: Fault, **given: Any) -> None:
        scenario = Scenario(
            name="test",
            seed=1,
            events=(EventPlan(event_id=EVENT, seats=2),),
            load=Load(rate=1, seconds=1),
            faults=faults,
            limits=given.pop("limits", Limits()),
            duplicate_delivery=given.pop("duplicate_delivery", 0.0),
        )
        values = {"visibility_timeout_s": LEASE_S, "retry_backoff_max_s": 3.0, "processors": 1}
        self.now_s = 0.0
        self.caller = "ingest-1.1"
        self.well = {WORKER, OTHER, "ingest-1.1"}
        self.lost = given.pop("lost", 0)
        self.kept = given.pop("kept", 0)
        self.checks = Checks(
            scenario,
            worker_settings({**values, **given}, "us-east-1", "any"),
            Trace(lambda: self.now_s),
            queue=QUEUE,
            caller=lambda: self.caller,
            is_well=self.well.__contains__,
            lost=lambda: self.lost,
            kept=lambda: self.kept,
            now_s=lambda: self.now_s,
        )
        self._numbers = iter(range(1, 1_000))
        self._stored: dict[str, Mapping[str, Any]] = {}

    @property
    def rule(self) -> str | None:
        """The rule that was broken first."""
        violation = self.checks.verdict.violation
        return None if violation is None else violation.rule

    def seats(self, left: int, total: int = 2) -> None:
        item = Capacity(event_id=EVENT, total=total, remaining=left).to_item()
        self.checks.wrote(None, item)

    def write(self, item: RequestItem, by: str = WORKER, filed: str | None = None) -> None:
        self.caller = by
        before, after = self._stored.get(item.request_id), item.to_item()
        if filed is not None:
            index = names.WINNERS_INDEX_SORT_KEY if filed.startswith("FIN#") else None
            after = {**after, index or names.USER_INDEX_SORT_KEY: {"S": filed}}
        self._stored[item.request_id] = after
        self.checks.wrote(before, after)

    def send(
        self,
        user: str = "u1",
        queue: str = QUEUE,
        body: str | None = None,
        **attributes: str,
    ) -> Message:
        item = request(user)
        number = next(self._numbers)
        message = Message(
            number,
            f"message-{number}",
            body or ParticipationMessage(item.request_id, EVENT, user).encode(),
            "",
            {name: {"StringValue": value} for name, value in attributes.items()},
            str(SENT_MS),
        )
        self.checks.sent(queue, message)
        return message

    def receive(self, message: Message, by: str = WORKER, queue: str = QUEUE) -> None:
        self.caller = by
        message.receive_count += 1
        message.visible_at = self.now_s + LEASE_S
        self.checks.received(queue, message)

    def hide(self, message: Message, seconds: float, by: str = WORKER) -> None:
        self.caller = by
        message.visible_at = self.now_s + seconds
        self.checks.changed_visibility(QUEUE, message)

    def delete(self, message: Message, by: str = WORKER, queue: str = QUEUE) -> None:
        self.caller = by
        self.checks.deleted(queue, message)

    def fail_entry(self, operation: str, message: Message, by: str = WORKER) -> None:
        self.caller = by
        self.checks.entry_failed(operation, QUEUE, message)

    def publish(self, item: RequestItem, **changes: Any) -> None:
        said = replace(item, **changes)
        detail = events.encode(events.participation_processed(said, env="simulation"))
        self.checks.published(
            {"DetailType": names.PARTICIPATION_PROCESSED, "Detail": detail.decode()}
        )

    def begin(self, user: str = "u1") -> Message:
        """A request that is queued, and received by a worker."""
        self.write(request(user), "ingest-1.1")
        message = self.send(user)
        self.write(queued(user), "ingest-1.1")
        self.receive(message)
        return message

    def win(self, user: str = "u1") -> RequestItem:
        item = decided(user)
        self.write(item)
        return item


def test_a_request_from_its_click_to_its_acknowledgement_breaks_nothing() -> None:
    hand = Hand()
    hand.seats(2)
    message = hand.begin()
    hand.seats(1)
    item = hand.win()
    hand.publish(item)
    hand.delete(message)
    hand.checks.in_the_end({item.request_id})
    hand.checks.messages.drained(WORKER)
    assert hand.rule is None


def more_seats_than_there_are(hand: Hand) -> None:
    hand.seats(-1)


def seats_without_winners(hand: Hand) -> None:
    hand.seats(1)
    hand.checks.in_the_end(set())


def winners_without_seats(hand: Hand) -> None:
    hand.seats(2)
    hand.begin()
    hand.publish(hand.win())
    hand.checks.in_the_end(set())


def deleted_request(hand: Hand) -> None:
    hand.checks.wrote(request().to_item(), None)


def begins_queued(hand: Hand) -> None:
    hand.write(queued())


def back_to_received(hand: Hand) -> None:
    hand.begin()
    hand.write(request())


def changed_after_the_decision(hand: Hand) -> None:
    hand.begin()
    hand.win()
    hand.write(decided(attempt=2))


def two_requests_of_one_user(hand: Hand) -> None:
    hand.write(request())
    hand.write(request(request_id="another"))


def another_queued_at(hand: Hand) -> None:
    hand.begin()
    hand.write(queued(queued_at_ms=SENT_MS + 1))


def queued_at_of_no_message(hand: Hand) -> None:
    hand.write(request())
    hand.send()
    hand.write(decided(queued_at_ms=SENT_MS + 5))


def filed_before_it_is_queued(hand: Hand) -> None:
    hand.write(request(), filed="QAT#")


def filed_at_another_time(hand: Hand) -> None:
    hand.write(request())
    hand.write(queued(), filed="QAT#0000000000001")


def a_loser_among_the_winners(hand: Hand) -> None:
    hand.seats(0)
    hand.begin()
    hand.write(decided(wins=False), filed="FIN#0000000001020")


def queued_and_not_filed(hand: Hand) -> None:
    hand.write(request())
    hand.checks.wrote(request().to_item(), without(queued(), names.USER_INDEX_SORT_KEY))


def a_winner_not_among_the_winners(hand: Hand) -> None:
    hand.begin()
    hand.checks.wrote(queued().to_item(), without(decided(), names.WINNERS_INDEX_SORT_KEY))


def turned_away_from_free_seats(hand: Hand) -> None:
    hand.seats(1)
    hand.begin()
    hand.write(decided(wins=False))


def decided_without_times(hand: Hand) -> None:
    hand.begin()
    hand.write(decided(finished_at_ms=None))


def negative_delay(hand: Hand) -> None:
    hand.begin()
    hand.write(decided(started_at_ms=SENT_MS - 1))


def finished_before_started(hand: Hand) -> None:
    hand.begin()
    hand.write(decided(finished_at_ms=SENT_MS + 9))


def decided_without_a_message(hand: Hand) -> None:
    hand.write(request())
    hand.write(queued())
    hand.win()


def failed_without_a_dead_letter(hand: Hand) -> None:
    hand.begin()
    hand.write(
        decided(
            status=Status.FAILED_FINAL,
            result_code="FAILED_EVENT_NOT_FOUND",
            error_code="EVENT_NOT_FOUND",
        )
    )


def seats_out_of_order(hand: Hand) -> None:
    hand.seats(0)
    hand.begin("u1")
    hand.begin("u2")
    first, second = sorted(("u1", "u2"), key=lambda user: keys.request_id(EVENT, user))
    hand.write(decided(second))
    hand.write(decided(first, wins=False, finished_at_ms=SENT_MS + 30))


def seats_out_of_order_of_queueing(hand: Hand) -> None:
    """By the ids alone it would be right; the seat is taken after the loser is written."""
    hand.seats(0)
    by_id = sorted(("u1", "u2"), key=lambda user: keys.request_id(EVENT, user))
    for user, queued_at_ms in zip(by_id, (SENT_MS + 1, SENT_MS), strict=True):
        hand.write(request(user), "ingest-1.1")
        message = hand.send(user)
        hand.write(queued(user, queued_at_ms=queued_at_ms), "ingest-1.1")
        hand.receive(message)
    hand.write(decided(by_id[1], wins=False))
    hand.write(decided(by_id[0], queued_at_ms=SENT_MS + 1))


def no_dead_letter_that_says_it_was_one(hand: Hand) -> None:
    hand.begin()
    hand.write(decided(is_dlq=True))


def dead_letter_that_does_not_say_so(hand: Hand) -> None:
    hand.begin()
    message = hand.send(**{names.REDRIVEN_AT_ATTRIBUTE: "1"})
    hand.receive(message, OTHER)
    hand.write(decided(worker_id=OTHER), OTHER)


def received_while_another_works_on_it(hand: Hand) -> None:
    message = hand.begin()
    hand.receive(message, OTHER)


def moved_while_another_works_on_it(hand: Hand) -> None:
    hand.checks.moved(QUEUE, DEAD_LETTER_QUEUE, hand.begin())


def more_than_the_credits(hand: Hand) -> None:
    for number in range(3):
        hand.begin(f"u{number}")


def hidden_after_the_hand_back(hand: Hand) -> None:
    message = hand.begin()
    hand.hide(message, 0)
    hand.hide(message, LEASE_S)


def extended_after_the_hand_back(hand: Hand) -> None:
    message = hand.begin()
    hand.hide(message, 0)
    hand.checks.not_in_flight(QUEUE, message.receipt, LEASE_S)


def put_off_though_decided(hand: Hand) -> None:
    message = hand.begin()
    hand.win()
    hand.hide(message, 2)


def put_off_for_the_table(hand: Hand) -> None:
    hand.hide(hand.begin(), 2)


def deleted_though_undecided(hand: Hand) -> None:
    hand.delete(hand.begin())


def deleted_before_its_event(hand: Hand) -> None:
    message = hand.begin()
    hand.win()
    hand.delete(message)


def defective_and_deleted_without_a_copy(hand: Hand) -> None:
    message = hand.send(body="{not json")
    hand.receive(message)
    hand.delete(message)


def hidden_after_the_drain(hand: Hand) -> None:
    hand.begin()
    hand.checks.messages.drained(WORKER)


def received_after_the_drain(hand: Hand) -> None:
    hand.checks.messages.drained(WORKER)
    hand.begin()


def published_undecided(hand: Hand) -> None:
    hand.begin()
    hand.publish(decided())


def published_otherwise_than_stored(hand: Hand) -> None:
    hand.begin()
    hand.publish(hand.win(), attempt=2)


def neither_published_nor_lost(hand: Hand) -> None:
    hand.begin()
    hand.win()
    hand.checks.in_the_end(set())


def record_of_two_lines(hand: Hand) -> None:
    hand.checks.delivered(b'{"a":\n1}\n')


def refused_though_sent(hand: Hand) -> None:
    hand.begin()
    hand.checks.messages.refused("ingest-1.1", request().request_id, 0.0)


def accepted_and_never_decided(hand: Hand) -> None:
    hand.begin()
    hand.checks.in_the_end({request().request_id})


def accepted_and_never_stored(hand: Hand) -> None:
    hand.checks.in_the_end({"nobody"})


BROKEN: Final[Mapping[Callable[[Hand], None], str]] = {
    more_seats_than_there_are: "seats",
    seats_without_winners: "seats",
    winners_without_seats: "seats",
    deleted_request: "items",
    begins_queued: "steps",
    back_to_received: "steps",
    changed_after_the_decision: "final",
    two_requests_of_one_user: "duplicate",
    another_queued_at: "queuedAt",
    queued_at_of_no_message: "queuedAt",
    filed_before_it_is_queued: "index",
    filed_at_another_time: "index",
    a_loser_among_the_winners: "index",
    queued_and_not_filed: "index",
    a_winner_not_among_the_winners: "index",
    turned_away_from_free_seats: "losers",
    decided_without_times: "times",
    negative_delay: "times",
    finished_before_started: "times",
    decided_without_a_message: "unasked",
    failed_without_a_dead_letter: "gave up",
    seats_out_of_order: "order",
    seats_out_of_order_of_queueing: "order",
    no_dead_letter_that_says_it_was_one: "dlq",
    dead_letter_that_does_not_say_so: "dlq",
    received_while_another_works_on_it: "leases",
    moved_while_another_works_on_it: "leases",
    more_than_the_credits: "in flight",
    hidden_after_the_hand_back: "hand-back",
    extended_after_the_hand_back: "hand-back",
    put_off_though_decided: "handed back",
    put_off_for_the_table: "blame",
    deleted_though_undecided: "acknowledged",
    deleted_before_its_event: "unpublished",
    defective_and_deleted_without_a_copy: "quarantine",
    hidden_after_the_drain: "drain",
    received_after_the_drain: "drain",
    published_undecided: "evidence",
    published_otherwise_than_stored: "evidence",
    neither_published_nor_lost: "evidence",
    record_of_two_lines: "lake",
    refused_though_sent: "refused",
    accepted_and_never_decided: "forgotten",
    accepted_and_never_stored: "forgotten",
}


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda broken: broken.__name__)
def test_what_breaks_a_rule_is_found_by_that_rule(break_it: Callable[[Hand], None]) -> None:
    hand = Hand(max_in_flight=2)
    break_it(hand)
    assert hand.rule == BROKEN[break_it]


LOST_CALLS = Noise(service=Service.SQS, kind=Kind.LOST, probability=0.1)
FAILED_STATEMENTS = Noise(service=Service.DYNAMODB, kind=Kind.ENTRIES, probability=0.1)
FAILED_ENTRIES = Noise(service=Service.SQS, kind=Kind.ENTRIES, probability=0.1)
REJECTED_SEATS = Outage(service=Service.DYNAMODB, from_s=0, until_s=1, kind=Kind.REJECTED)
EXCUSED: tuple[tuple[Callable[[Hand], None], tuple[Fault, ...], dict[str, Any]], ...] = (
    (received_while_another_works_on_it, (LOST_CALLS,), {}),
    (received_while_another_works_on_it, (), {"visibility_timeout_s": 3}),
    (more_than_the_credits, (LOST_CALLS,), {}),
    (extended_after_the_hand_back, (LOST_CALLS,), {}),
    (hidden_after_the_drain, (Outage(service=Service.SQS, from_s=0, until_s=1),), {}),
    (received_after_the_drain, (LOST_CALLS,), {}),
    (deleted_before_its_event, (), {"lost": 1}),
    (put_off_though_decided, (Outage(service=Service.DYNAMODB, from_s=0, until_s=1),), {}),
    (put_off_though_decided, (), {"limits": Limits(table_write_units=1)}),
    (seats_out_of_order, (), {"processors": 2}),
    (seats_out_of_order, (Outage(service=Service.DYNAMODB, from_s=0, until_s=1),), {}),
    (put_off_for_the_table, (FAILED_STATEMENTS,), {}),
    (put_off_for_the_table, (REJECTED_SEATS,), {}),
    (put_off_for_the_table, (Defect(from_s=0, until_s=1),), {}),
    (dead_letter_that_does_not_say_so, (LOST_CALLS,), {}),
    (refused_though_sent, (LOST_CALLS,), {}),
)


@pytest.mark.parametrize(("break_it", "faults", "given"), EXCUSED)
def test_a_fault_excuses_what_it_explains(
    break_it: Callable[[Hand], None], faults: tuple[Fault, ...], given: dict[str, Any]
) -> None:
    hand = Hand(*faults, **{"max_in_flight": 2, **given})
    break_it(hand)
    assert hand.rule is None


def test_what_has_become_visible_by_itself_may_be_extended_in_vain_or_handed_back_twice() -> None:
    hand = Hand()
    first, second = hand.begin("u1"), hand.begin("u2")
    first.receipt, second.receipt = 1, 2
    hand.checks.not_in_flight(QUEUE, first.receipt, LEASE_S)
    hand.hide(second, 0)
    hand.checks.not_in_flight(QUEUE, second.receipt, 0)
    assert hand.rule is None


@pytest.mark.parametrize("delay_s", [0, LEASE_S])
def test_what_waits_for_its_table_may_be_kept_or_handed_back_immediately(delay_s: int) -> None:
    hand = Hand()
    hand.hide(hand.begin(), delay_s)
    assert hand.rule is None


def test_what_another_worker_has_decided_may_come_again() -> None:
    hand = Hand()
    message = hand.begin()
    hand.write(decided(worker_id=OTHER), OTHER)
    hand.hide(message, 2)
    assert hand.rule is None


@pytest.mark.parametrize("changes", [{"dlq_at_ms": SENT_MS}, {}])
def test_a_dead_letter_may_be_given_up_and_says_that_it_was_one(changes: dict[str, Any]) -> None:
    hand = Hand()
    hand.write(request(), "ingest-1.1")
    attributes = {} if changes else {names.REDRIVEN_AT_ATTRIBUTE: "1"}
    message = hand.send(**attributes)
    hand.write(queued(), "ingest-1.1")
    hand.receive(message)
    hand.write(
        decided(status=Status.FAILED_FINAL, result_code="FAILED_WORKER", is_dlq=True, **changes)
    )
    assert hand.rule is None


@pytest.mark.parametrize(
    "changes", [{"worker_id": OTHER}, {"is_dlq": True, "dlq_at_ms": 1}, {"started_at_ms": 1_011}]
)
def test_seats_of_different_batches_go_in_any_order(changes: dict[str, Any]) -> None:
    hand = Hand()
    hand.seats(0)
    hand.begin("u1")
    hand.begin("u2")
    first, second = sorted(("u1", "u2"), key=lambda user: keys.request_id(EVENT, user))
    hand.write(decided(second, **changes))
    hand.write(decided(first, wins=False))
    assert hand.rule is None


def test_who_was_in_the_way_of_a_transaction_may_be_passed_over() -> None:
    hand = Hand()
    first, _ = sorted(("u1", "u2"), key=lambda user: keys.request_id(EVENT, user))
    partition = keys.request_pk(keys.request_id(EVENT, first))
    hand.checks.was_in_the_way((partition, keys.REQUEST_SORT_KEY))
    seats_out_of_order(hand)
    assert hand.rule is None


def test_who_was_received_before_it_was_queued_may_be_passed_over() -> None:
    hand = Hand()
    hand.seats(0)
    first, second = sorted(("u1", "u2"), key=lambda user: keys.request_id(EVENT, user))
    hand.begin(second)
    hand.write(request(first), "ingest-1.1")
    hand.receive(hand.send(first))
    hand.write(queued(first), "ingest-1.1")
    hand.write(decided(second))
    hand.write(decided(first, wins=False))
    assert hand.rule is None


def test_corrected_times_do_not_show_which_requests_were_one_batch() -> None:
    hand = Hand()
    hand.seats(0)
    for user in ("u1", "u2"):
        hand.begin(user)
    first, second = sorted(("u1", "u2"), key=lambda user: keys.request_id(EVENT, user))
    hand.write(decided(second, started_at_ms=SENT_MS, finished_at_ms=SENT_MS))
    hand.write(decided(first, wins=False, started_at_ms=SENT_MS, finished_at_ms=SENT_MS))
    assert hand.rule is None


def test_a_click_that_is_refused_need_not_know_what_an_earlier_one_has_sent() -> None:
    hand = Hand()
    hand.begin()
    hand.now_s = 2.0
    hand.checks.messages.refused("ingest-1.1", request().request_id, 1.0)
    hand.checks.messages.refused("ingest-2.1", request().request_id, 0.0)
    assert hand.rule is None


def test_only_the_first_violation_counts_and_it_is_announced() -> None:
    hand = Hand()
    announced: list[str | None] = []
    hand.checks.verdict.announce = lambda: announced.append(hand.rule)
    hand.seats(-1)
    accepted_and_never_stored(hand)
    assert announced == ["seats"]


def test_a_process_that_is_not_well_may_lose_its_leases() -> None:
    hand = Hand()
    message = hand.begin()
    hand.well.remove(WORKER)
    hand.receive(message, OTHER)
    assert hand.rule is None


def test_a_message_that_is_handed_back_takes_no_place_and_may_be_received() -> None:
    hand = Hand(FAILED_STATEMENTS, max_in_flight=1)
    first = hand.begin("u1")
    hand.hide(first, 2)
    hand.begin("u2")
    hand.receive(first, OTHER)
    assert hand.rule is None


def test_a_quarantined_message_may_be_deleted_once_its_copy_is_sent() -> None:
    hand = Hand()
    message = hand.send(body="{not json")
    hand.receive(message)
    copied = {names.SOURCE_MESSAGE_ID_ATTRIBUTE: message.message_id}
    hand.send(queue=DEAD_LETTER_QUEUE, body=message.body, **copied)
    hand.delete(message)
    assert hand.rule is None
    assert hand.checks.messages.quarantined == 1


def test_an_operator_may_delete_what_it_has_redriven() -> None:
    hand = Hand()
    message = hand.begin()
    hand.well.remove(WORKER)
    hand.checks.moved(QUEUE, DEAD_LETTER_QUEUE, message)
    assert hand.checks.messages.dead_letters == {message.number}
    hand.receive(message, OPERATOR, DEAD_LETTER_QUEUE)
    hand.delete(message, OPERATOR, DEAD_LETTER_QUEUE)
    assert hand.rule is None
    assert hand.checks.messages.dead_letters == set()
    assert hand.checks.messages.dead_lettered == 1


def test_a_delete_that_fails_once_is_no_reason_to_let_a_lease_run_out() -> None:
    hand = Hand(FAILED_ENTRIES)
    message = hand.begin()
    hand.publish(hand.win())
    hand.fail_entry("DeleteMessageBatch", message)
    hand.receive(message, OTHER)
    assert hand.rule == "leases"


@pytest.mark.parametrize(
    "operations", [("DeleteMessageBatch",) * 4, ("ChangeMessageVisibilityBatch",)]
)
def test_what_sqs_fails_to_delete_or_to_hand_back_may_be_let_go(
    operations: tuple[str, ...],
) -> None:
    hand = Hand(FAILED_ENTRIES, max_in_flight=1)
    message = hand.begin("u1")
    for operation in operations:
        hand.fail_entry(operation, message)
    hand.begin("u2")
    hand.receive(message, OTHER)
    assert hand.rule is None


def test_an_event_that_is_counted_as_lost_is_no_missing_evidence() -> None:
    hand = Hand()
    hand.seats(1)
    hand.begin()
    hand.win()
    hand.lost = 1
    hand.checks.in_the_end(set())
    assert hand.rule is None


def test_an_event_that_is_counted_as_kept_must_be_published_in_the_end() -> None:
    hand = Hand()
    hand.seats(1)
    hand.begin()
    hand.win()
    hand.lost = hand.kept = 1
    hand.checks.in_the_end(set())
    assert hand.rule == "evidence"


def test_messages_of_lost_events_are_no_requests() -> None:
    hand = Hand()
    message = Message(99, "m99", "{}", "", None, "0")
    for effect in (
        hand.checks.sent,
        hand.checks.received,
        hand.checks.changed_visibility,
        hand.checks.deleted,
    ):
        effect(LOST_EVENTS_QUEUE, message)
    assert hand.rule is None
    assert hand.checks.messages.quarantined == 0


def test_limits_that_were_in_the_way_are_counted_with_their_first_time() -> None:
    hand = Hand()
    hand.now_s = 5.0
    hand.checks.throttled("put_events_per_s", "bus")
    hand.now_s = 6.0
    hand.checks.throttled("put_events_per_s", "bus")
    assert hand.checks.throttles == {"put_events_per_s of bus": 2}
    assert hand.checks.first_throttle_s == {"put_events_per_s of bus": 5.0}
