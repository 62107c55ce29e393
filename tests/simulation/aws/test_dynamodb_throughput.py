"""Which limit throttles what, and in which form each operation reports it."""

from dataclasses import replace
from typing import Any

import pytest

from config.quotas import NO_LIMITS, Limits
from simulation.aws.cloud import TABLE_NAME
from tests.simulation.aws.dynamodb_support import (
    CAPACITY_KEY,
    Aws,
    Refused,
    insert,
    queued,
    reasons,
    request,
    seats,
)

ARN = f"arn:aws:dynamodb:us-east-1:000000000000:table/{TABLE_NAME}"
AWS_S = Limits.of("us-east-1")


def put_many(aws: Aws, count: int, partition: str | None = None, **rest: str) -> int:
    """Put items, each in a partition of its own unless one is named; returns how many went well."""
    done = 0
    for number in range(count):
        item = {"PK": partition or f"p{number}", "SK": str(number), **rest}
        done += aws.is_put(**item)
    return done


def test_one_partition_key_takes_a_thousand_units_a_second_whatever_the_table_bears() -> None:
    aws = Aws(AWS_S)

    assert put_many(aws, 1_500, "hot") == 1_000
    assert put_many(aws, 100) == 100
    assert set(aws.watch.throttles) == {("partition_write_units", ARN)}
    aws.clock.advance(0.1)
    assert put_many(aws, 200, "hot") == 100


def test_no_rest_is_saved_for_a_hot_partition() -> None:
    aws = Aws(AWS_S)

    aws.clock.advance(300)

    assert put_many(aws, 3_000, "hot") == 1_000


def test_what_a_partition_has_given_is_not_forgotten_when_a_second_ends() -> None:
    aws = Aws(AWS_S)
    put_many(aws, 1, "hot")
    aws.clock.advance(0.95)
    put_many(aws, 500, "hot")
    aws.clock.advance(0.05)

    assert put_many(aws, 1_000, "hot") == 550


def test_one_partition_key_is_read_three_thousand_times_a_second() -> None:
    aws = Aws(AWS_S)

    for _ in range(3_000):
        aws.get(CAPACITY_KEY)
    with pytest.raises(Refused, match="ThrottlingException") as caught:
        aws.get(CAPACITY_KEY)

    assert aws.table.usage[""].read_units == 3_000
    assert caught.value.document["throttlingReasons"] == [
        {"reason": "TableReadKeyRangeThroughputExceeded", "resource": ARN}
    ]


def test_an_index_that_cannot_keep_up_throttles_the_table_s_writes() -> None:
    aws = Aws(AWS_S)

    done = put_many(aws, 1_200, GSI2PK="EVENT#e1", GSI2SK="1")

    assert done == 1_000
    assert set(aws.watch.throttles) == {("partition_write_units", f"{ARN}/index/GSI2")}
    assert aws.table.usage[""].write_units == aws.table.usage["GSI2"].write_units == 1_000
    assert put_many(aws, 100, "another") == 100
    with pytest.raises(Refused) as caught:
        aws.put(PK="p", SK="s", GSI2PK="EVENT#e1", GSI2SK="2")
    assert caught.value.document["throttlingReasons"] == [
        {"reason": "IndexWriteKeyRangeThroughputExceeded", "resource": f"{ARN}/index/GSI2"}
    ]


def test_a_cold_index_throttles_a_warm_table() -> None:
    aws = Aws(replace(AWS_S, table_write_units=40_000))

    for number in range(4_500):
        aws.is_put(PK=f"p{number}", SK="s", GSI1PK=f"u{number}", GSI1SK="1")

    assert aws.table.usage[""].write_units == 4_000
    assert set(aws.watch.throttles) == {("index_write_units", f"{ARN}/index/GSI1")}


def test_a_cold_table_bears_4000_writes_a_second_and_a_warm_one_more() -> None:
    cold, warm = Aws(AWS_S), Aws(replace(AWS_S, table_write_units=10_000))

    assert put_many(cold, 10_000) == 4_000
    assert put_many(warm, 10_000) == 10_000
    assert set(cold.watch.throttles) == {("table_write_units", ARN)}


def test_a_table_bears_twice_its_peak_half_an_hour_later_and_no_sooner() -> None:
    aws = Aws(AWS_S)

    def bears() -> int:
        table = aws.call("DescribeTable", TableName=TABLE_NAME)["Table"]
        units: int = table["WarmThroughput"]["WriteUnitsPerSecond"]
        return units

    put_many(aws, 3_000)
    aws.clock.advance(1_000)
    assert put_many(aws, 10_000) == 4_000
    aws.clock.advance(799)
    assert put_many(aws, 10_000) == 4_000
    assert bears() == 4_000
    aws.clock.advance(2)
    assert put_many(aws, 10_000) == 8_000
    assert bears() == 8_000


def test_a_burst_from_rest_is_no_peak() -> None:
    aws = Aws(AWS_S)
    put_many(aws, 4_000)
    aws.clock.advance(0.5)
    assert put_many(aws, 4_000) == 2_000

    aws.clock.advance(1_800)

    assert put_many(aws, 20_000) == 8_000


def test_a_table_that_is_little_used_bears_as_much_as_before() -> None:
    aws = Aws(AWS_S)

    for _ in range(3):
        put_many(aws, 10)
        aws.clock.advance(1_900)

    assert put_many(aws, 5_000) == 4_000


def test_a_throttled_statement_fails_alone() -> None:
    aws = Aws(Limits(table_write_units=2))

    assert aws.batch(*(insert(request(n)) for n in range(4))) == [
        None,
        None,
        "ThrottlingError",
        "ThrottlingError",
    ]
    assert len(aws.table.store.records) == 2


def test_a_throttled_action_cancels_its_transaction_and_nothing_is_written() -> None:
    aws = Aws(Limits(partition_write_units=3))
    aws.seed_capacity(5)
    winner = queued(request(1))
    aws.table.seed(winner.to_item())
    aws.put(PK="REQ#r1", SK="other")
    aws.put(PK="REQ#r1", SK="other")

    with pytest.raises(Refused, match="TransactionCanceledException") as caught:
        aws.call("TransactWriteItems", TransactItems=seats(winner))

    assert reasons(caught.value.document) == ["None", "ThrottlingError"]
    assert aws.seats_left() == 5


def test_an_index_throttles_a_transaction_too() -> None:
    aws = Aws(Limits(index_write_units=1))
    aws.seed_capacity(5)
    winner = queued(request(1))
    aws.table.seed(winner.to_item())
    aws.put(PK="p", SK="s", GSI1PK="u1", GSI1SK="1")

    with pytest.raises(Refused, match="TransactionCanceledException") as caught:
        aws.call("TransactWriteItems", TransactItems=seats(winner))

    assert reasons(caught.value.document) == ["None", "ThrottlingError"]
    assert aws.seats_left() == 5


def keys(count: int) -> list[dict[str, Any]]:
    return [{"PK": {"S": f"p{number}"}, "SK": {"S": "s"}} for number in range(count)]


def test_throttled_keys_are_left_unprocessed_and_can_be_asked_for_as_they_come_back() -> None:
    aws = Aws(Limits(table_read_units=3))
    for key in keys(5):
        aws.table.seed(key)
    asked = {TABLE_NAME: {"Keys": keys(5), "ConsistentRead": True}}

    first = aws.call("BatchGetItem", RequestItems=asked)
    aws.clock.advance(1)
    rest = aws.call("BatchGetItem", RequestItems=first["UnprocessedKeys"])

    assert first["UnprocessedKeys"] == {TABLE_NAME: {"Keys": keys(5)[3:], "ConsistentRead": True}}
    assert first["Responses"][TABLE_NAME] + rest["Responses"][TABLE_NAME] == keys(5)
    assert rest["UnprocessedKeys"] == {}


def test_a_batch_of_which_every_key_is_throttled_fails_as_a_whole() -> None:
    aws = Aws(Limits(table_read_units=3))
    asked = {TABLE_NAME: {"Keys": keys(3), "ConsistentRead": True}}
    aws.call("BatchGetItem", RequestItems=asked)

    with pytest.raises(Refused, match="ProvisionedThroughputExceededException") as caught:
        aws.call("BatchGetItem", RequestItems=asked)

    reason = {"reason": "TableReadKeyRangeThroughputExceeded", "resource": ARN}
    assert caught.value.document["ThrottlingReasons"] == [reason] * 3


def test_a_query_is_throttled_by_its_index() -> None:
    aws = Aws(Limits(index_read_units=1))
    query = {
        "TableName": TABLE_NAME,
        "IndexName": "GSI1",
        "KeyConditionExpression": "GSI1PK = :a",
        "ExpressionAttributeValues": {":a": {"S": "a"}},
    }

    for _ in range(2):
        aws.call("Query", **query)
    with pytest.raises(Refused, match="ThrottlingException"):
        aws.call("Query", **query)

    assert aws.table.usage["GSI1"].read_units == 1
    assert aws.watch.throttles == [("index_read_units", f"{ARN}/index/GSI1")]


def test_without_limits_nothing_is_throttled() -> None:
    aws = Aws(NO_LIMITS)

    assert put_many(aws, 6_000, "hot") == 6_000
    assert aws.watch.throttles == []
