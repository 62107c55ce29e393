"""What each kind of read and write costs, as DynamoDB counts it."""

from dataclasses import replace

import pytest

from config.quotas import NO_LIMITS
from schema.states import Status
from simulation.aws.account import Account
from simulation.aws.cloud import TABLE_NAME, Cloud
from simulation.aws.dynamodb.sizes import item_bytes
from simulation.aws.observer import Observer
from tests.simulation.aws.dynamodb_support import (
    CAPACITY_KEY,
    Aws,
    Refused,
    decided,
    insert,
    mark,
    queued,
    request,
    seats,
    update,
)
from tests.simulation.aws.hand_clock import HandClock

KEY = {"PK": {"S": "p"}, "SK": {"S": "s"}}


def item(size_bytes: int, **index_keys: str) -> dict[str, str]:
    """An item of exactly that size."""
    keys = {"PK": "p", "SK": "s", **index_keys}
    return keys | {"x": "." * (size_bytes - 1 - sum(len(k) + len(v) for k, v in keys.items()))}


def test_an_item_s_size_is_that_of_its_names_and_values() -> None:
    assert item_bytes({"ab": {"S": "cde"}}) == 2 + 3
    assert item_bytes({"ab": {"S": "ä€"}}) == 2 + 5
    assert item_bytes({"ab": {"BOOL": True}, "c": {"NULL": True}}) == 3 + 2


@pytest.mark.parametrize(
    ("digits", "size_bytes"),
    [("0", 1), ("7", 2), ("-7", 2), ("123", 3), ("1200", 2), ("0.05", 2), ("1.25", 3)],
)
def test_a_number_s_size_is_half_its_significant_digits_and_one(
    digits: str, size_bytes: int
) -> None:
    assert item_bytes({"n": {"N": digits}}) == 1 + size_bytes


@pytest.mark.parametrize(("size_bytes", "units"), [(1_024, 1), (1_025, 2), (3_000, 3)])
def test_a_write_costs_a_unit_for_each_kilobyte(size_bytes: int, units: int) -> None:
    aws = Aws()

    assert aws.units(lambda: aws.put(**item(size_bytes))) == [(units, 0), (0, 0), (0, 0)]


def test_a_write_that_finds_nothing_and_leaves_nothing_costs_a_unit() -> None:
    aws = Aws()

    delete = aws.units(lambda: aws.call("DeleteItem", TableName=TABLE_NAME, Key=KEY))
    decide = aws.units(lambda: aws.batch(update(decided(queued(request(1))))))

    assert delete == decide == [(1, 0), (0, 0), (0, 0)]


def test_the_larger_of_the_item_before_and_after_counts() -> None:
    aws = Aws()
    aws.put(**item(3_000))

    assert aws.units(lambda: aws.put(**item(100)))[0] == (3, 0)


def test_an_index_costs_what_it_holds() -> None:
    aws = Aws()
    first = item(1_500, GSI1PK="a", GSI1SK="1")
    other = item(1_500, GSI1PK="b", GSI1SK="1")

    put = aws.units(lambda: aws.put(**first))
    same = aws.units(lambda: aws.put(**first))
    moved = aws.units(lambda: aws.put(**other))
    resorted = aws.units(lambda: aws.put(**other | {"GSI1SK": "2"}))
    changed = aws.units(lambda: aws.put(**other | {"GSI1SK": "2", "x": "short"}))
    deleted = aws.units(lambda: aws.call("DeleteItem", TableName=TABLE_NAME, Key=KEY))

    of_index = [used[1] for used in (put, same, moved, resorted, changed, deleted)]
    assert of_index == [(2, 0), (0, 0), (4, 0), (4, 0), (2, 0), (1, 0)]
    assert [used[2] for used in (put, moved)] == [(0, 0), (0, 0)]


def test_a_condition_that_is_not_true_costs_the_table_and_no_index() -> None:
    aws = Aws()
    aws.put(**item(1_500, GSI1PK="a", GSI1SK="1"))

    def fail() -> None:
        with pytest.raises(Refused, match="ConditionalCheckFailedException"):
            aws.call(
                "UpdateItem",
                TableName=TABLE_NAME,
                Key=KEY,
                UpdateExpression="SET x = :new",
                ConditionExpression="x = :other",
                ExpressionAttributeValues={":new": {"S": "n"}, ":other": {"S": "o"}},
            )

    assert aws.units(fail) == [(2, 0), (0, 0), (0, 0)]


def test_a_read_costs_a_unit_for_four_kilobytes_and_half_of_it_where_it_may_be_old() -> None:
    aws = Aws()
    aws.put(**item(5_000))
    absent = {"PK": {"S": "p"}, "SK": {"S": "none"}}

    assert aws.units(lambda: aws.get(KEY)) == [(0, 2), (0, 0), (0, 0)]
    assert aws.units(lambda: aws.get(KEY, consistent=False))[0] == (0, 1)
    assert aws.units(lambda: aws.get(absent))[0] == (0, 1)
    assert aws.units(lambda: aws.get(absent, consistent=False))[0] == (0, 0.5)


def test_a_batch_of_reads_costs_each_item_by_itself() -> None:
    aws = Aws()
    aws.put(**item(100))
    asked = {"Keys": [KEY, CAPACITY_KEY], "ConsistentRead": True}

    used = aws.units(lambda: aws.call("BatchGetItem", RequestItems={TABLE_NAME: asked}))

    assert used[0] == (0, 2)


def test_a_query_costs_the_sum_of_what_it_reads() -> None:
    aws = Aws()
    for number in range(10):
        aws.put(**item(1_000, GSI1PK="a", GSI1SK=str(number)) | {"SK": f"{number:01}"})

    def query() -> None:
        aws.call(
            "Query",
            TableName=TABLE_NAME,
            IndexName="GSI1",
            KeyConditionExpression="GSI1PK = :a",
            ExpressionAttributeValues={":a": {"S": "a"}},
        )

    # 10,000 bytes are three times 4 KB, at half a unit each.
    assert aws.units(query) == [(0, 0), (0, 1.5), (0, 0)]


def test_a_loser_costs_five_write_units_and_a_winner_7_04() -> None:
    aws = Aws()
    aws.seed_capacity(100)
    clicks = [request(number) for number in range(100)]
    losers, winners = [queued(click) for click in clicks[:50]], list(map(queued, clicks[50:]))

    def arrive(items: list[int]) -> None:
        for number in items:
            aws.batch(insert(clicks[number]))
            aws.batch(mark(clicks[number]))

    def lose() -> None:
        arrive(list(range(50)))
        for loser in losers:
            assert aws.batch(update(decided(loser, Status.REJECTED))) == [None]

    def win() -> None:
        arrive(list(range(50, 100)))
        aws.call("TransactWriteItems", TransactItems=seats(*winners))

    assert sum(writes for writes, _ in aws.units(lose)) / 50 == 5
    assert sum(writes for writes, _ in aws.units(win)) / 50 == 7.04


def test_a_cancelled_transaction_costs_the_table_twice_and_no_index() -> None:
    aws = Aws()
    aws.seed_capacity(0)
    winner = queued(request(1))
    aws.batch(insert(winner))

    def fail() -> None:
        with pytest.raises(Refused, match="TransactionCanceledException"):
            aws.call("TransactWriteItems", TransactItems=seats(winner))

    assert aws.units(fail) == [(4, 0), (0, 0), (0, 0)]


def test_seeding_costs_nothing_and_is_not_observed() -> None:
    aws = Aws()

    assert aws.units(lambda: aws.seed_capacity(3)) == [(0, 0)] * 3
    assert aws.watch.writes == []


def test_an_observer_of_writes_is_enough_to_count_and_no_limit_is_kept() -> None:
    aws = Aws(NO_LIMITS)

    for _ in range(5_000):
        aws.put(**item(100))

    assert aws.table.usage[""].write_units == 5_000


def test_without_limits_and_observer_nothing_is_counted() -> None:
    assert Cloud(Account(HandClock())).table.usage == {}


def test_an_observer_sees_both_states_which_never_change_later() -> None:
    aws = Aws()
    first = request(1)
    aws.batch(insert(first))
    aws.batch(mark(first))
    aws.batch(update(decided(queued(first))))
    aws.call("DeleteItem", TableName=TABLE_NAME, Key={"PK": {"S": "REQ#r1"}, "SK": {"S": "META"}})

    last = decided(queued(first)).after
    states = [first.to_item(), queued(first).to_item(), last.to_item()]
    assert aws.watch.writes == list(zip([None, *states], [*states, None], strict=True))


def test_an_observer_that_ignores_writes_costs_the_table_nothing() -> None:
    cloud = Cloud(Account(HandClock(), observer=Observer()))

    assert cloud.table.usage == {}


def test_limits_are_the_account_s_when_the_table_is_made() -> None:
    account = Account(HandClock())
    cloud = Cloud(account)
    account.limits = replace(NO_LIMITS, table_write_units=1)
    cloud.clear()

    assert cloud.table.usage != {}
