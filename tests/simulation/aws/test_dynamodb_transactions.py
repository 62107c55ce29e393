"""Transactions that overlap with others, and those that are repeated with their token."""

from typing import Any

import pytest

from schema.states import Status
from simulation.aws.cloud import TABLE_NAME
from simulation.aws.dynamodb.storage import key_of
from tests.simulation.aws.dynamodb_support import (
    CAPACITY_KEY,
    Aws,
    Refused,
    decided,
    insert,
    queued,
    reasons,
    request,
    seats,
    update,
)


def aws_with_seats(transaction_s: float | None = 0.02) -> Aws:
    aws = Aws(transaction_s=transaction_s)
    aws.seed_capacity(10)
    for number in range(3):
        aws.table.seed(queued(request(number)).to_item())
    return aws


def winner(number: int) -> list[dict[str, Any]]:
    return seats(queued(request(number)))


def test_of_overlapping_transactions_the_second_is_cancelled() -> None:
    aws = aws_with_seats()
    first = aws.begin("TransactWriteItems", TransactItems=winner(0))

    with pytest.raises(Refused, match="TransactionCanceledException") as caught:
        aws.call("TransactWriteItems", TransactItems=winner(1))
    aws.clock.advance(0.02)

    assert reasons(caught.value.document) == ["TransactionConflict", "None"]
    assert aws.watch.in_the_way == [key_of(CAPACITY_KEY)]
    assert first == [(200, {})]
    assert aws.seats_left() == 9


def test_transactions_one_after_the_other_do_not_conflict() -> None:
    aws = aws_with_seats()
    answers = []
    for number in range(3):
        answers.append(aws.begin("TransactWriteItems", TransactItems=winner(number)))
        aws.clock.advance(0.02)

    assert answers == [[(200, {})]] * 3
    assert aws.seats_left() == 7


def test_a_cancelled_transaction_holds_nothing() -> None:
    aws = aws_with_seats()
    aws.begin("TransactWriteItems", TransactItems=winner(0))
    with pytest.raises(Refused):
        aws.call("TransactWriteItems", TransactItems=winner(1))

    assert aws.batch(update(decided(queued(request(1)), Status.REJECTED))) == [None]


def test_without_a_duration_transactions_never_overlap() -> None:
    aws = aws_with_seats(transaction_s=None)

    for number in range(3):
        aws.call("TransactWriteItems", TransactItems=winner(number))

    assert aws.seats_left() == 7


def test_a_plain_write_of_a_held_item_is_refused_and_reads_go_on() -> None:
    aws = aws_with_seats()
    aws.begin("TransactWriteItems", TransactItems=winner(0))

    with pytest.raises(Refused, match="TransactionConflictException"):
        aws.call("DeleteItem", TableName=TABLE_NAME, Key=CAPACITY_KEY)
    assert aws.batch(
        update(decided(queued(request(0)), Status.REJECTED)),
        update(decided(queued(request(1)), Status.REJECTED)),
        insert(request(0)),
    ) == ["TransactionConflict", None, "TransactionConflict"]
    assert aws.seats_left() == 10
    aws.clock.advance(0.02)
    aws.call("DeleteItem", TableName=TABLE_NAME, Key=CAPACITY_KEY)


@pytest.mark.parametrize("transaction_s", [None, 0.02])
def test_a_commit_whose_answer_was_lost_takes_effect_once(transaction_s: float | None) -> None:
    aws = aws_with_seats(transaction_s)
    for _ in range(2):
        answers = aws.begin("TransactWriteItems", TransactItems=winner(0), ClientRequestToken="t")
        aws.clock.advance(0.02)

    assert answers == [(200, {})]
    assert aws.seats_left() == 9


def test_a_repetition_while_the_first_is_under_way_is_refused() -> None:
    aws = aws_with_seats()
    aws.begin("TransactWriteItems", TransactItems=winner(0), ClientRequestToken="t")

    with pytest.raises(Refused, match="TransactionInProgressException"):
        aws.call("TransactWriteItems", TransactItems=winner(0), ClientRequestToken="t")
    aws.clock.advance(0.02)

    assert aws.call("TransactWriteItems", TransactItems=winner(0), ClientRequestToken="t") == {}
    assert aws.seats_left() == 9


def test_a_token_with_another_payload_is_refused() -> None:
    aws = aws_with_seats(transaction_s=None)
    aws.call("TransactWriteItems", TransactItems=winner(0), ClientRequestToken="t")

    with pytest.raises(Refused, match="IdempotentParameterMismatchException"):
        aws.call(
            "TransactWriteItems",
            TransactItems=seats(queued(request(0)), at_ms=8),
            ClientRequestToken="t",
        )


def test_a_token_is_forgotten_after_ten_minutes() -> None:
    aws = aws_with_seats(transaction_s=None)
    take = seats()[0]
    take["Update"]["ExpressionAttributeValues"][":seats"] = {"N": "1"}

    for wait_s, left in ((0, 9), (599, 9), (1, 8)):
        aws.clock.advance(wait_s)
        aws.call("TransactWriteItems", TransactItems=[take], ClientRequestToken="t")
        assert aws.seats_left() == left


def test_a_cancelled_transaction_can_be_tried_again_with_its_token() -> None:
    aws = aws_with_seats()
    aws.begin("TransactWriteItems", TransactItems=winner(0))
    with pytest.raises(Refused, match="TransactionCanceledException"):
        aws.call("TransactWriteItems", TransactItems=winner(1), ClientRequestToken="t")
    aws.clock.advance(0.02)

    second = aws.begin("TransactWriteItems", TransactItems=winner(1), ClientRequestToken="t")
    aws.clock.advance(0.02)

    assert second == [(200, {})]
    assert aws.seats_left() == 8


def test_effects_are_observed_when_the_transaction_commits() -> None:
    aws = aws_with_seats()
    aws.begin("TransactWriteItems", TransactItems=winner(0))
    assert aws.watch.writes == []

    aws.clock.advance(0.02)

    capacity, decision = aws.watch.writes
    assert [state and state["capacityRemaining"] for state in capacity] == [{"N": "10"}, {"N": "9"}]
    assert decision[1] == decided(queued(request(0))).after.to_item()


def test_a_commit_is_its_caller_s_whoever_called_meanwhile() -> None:
    aws = aws_with_seats()
    aws.account.caller = "worker-1"
    aws.begin("TransactWriteItems", TransactItems=winner(0))
    aws.account.caller = "worker-2"
    aws.get(CAPACITY_KEY)

    aws.clock.advance(0.02)

    assert aws.account.caller == "worker-1"
    assert len(aws.watch.writes) == 2
