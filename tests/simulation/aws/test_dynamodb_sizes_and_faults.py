"""Sizes that DynamoDB refuses or splits, and entries that fail by themselves."""

from typing import Any

import pytest

from simulation.aws.cloud import TABLE_NAME
from tests.simulation.aws.dynamodb_support import Aws, Refused, insert, reasons, request

KILOBYTE = 1_024


def big(number: int, kilobytes: int, **rest: str) -> dict[str, Any]:
    item = {"PK": f"p{number}", "SK": "s", "x": "." * (kilobytes * KILOBYTE), **rest}
    return {name: {"S": value} for name, value in item.items()}


def put(item: dict[str, Any]) -> dict[str, Any]:
    return {"Put": {"TableName": TABLE_NAME, "Item": item}}


def test_an_item_of_more_than_400_kilobytes_is_refused_in_each_kind_of_write() -> None:
    aws = Aws()
    statement = {
        "Statement": f"INSERT INTO \"{TABLE_NAME}\" VALUE {{'PK':?, 'SK':?, 'x':?}}",
        "Parameters": list(big(2, 400).values()),
    }

    with pytest.raises(Refused, match="ValidationException"):
        aws.call("PutItem", TableName=TABLE_NAME, Item=big(0, 400))
    assert aws.batch(statement, insert(request(1))) == ["ValidationError", None]
    with pytest.raises(Refused) as caught:
        aws.call("TransactWriteItems", TransactItems=[put(big(3, 1)), put(big(4, 400))])

    assert reasons(caught.value.document) == ["None", "ValidationError"]
    assert len(aws.table.store.records) == 1
    aws.call("PutItem", TableName=TABLE_NAME, Item=big(0, 399))


def test_a_transaction_of_more_than_four_megabytes_is_refused() -> None:
    aws = Aws()

    with pytest.raises(Refused, match="ValidationException"):
        aws.call("TransactWriteItems", TransactItems=[put(big(n, 399)) for n in range(11)])

    assert aws.table.store.records == {}
    aws.call("TransactWriteItems", TransactItems=[put(big(n, 399)) for n in range(10)])


def test_a_batch_of_reads_answers_with_sixteen_megabytes_and_leaves_the_rest() -> None:
    aws = Aws()
    for number in range(50):
        aws.table.seed(big(number, 390))
    keys = [{"PK": {"S": f"p{n}"}, "SK": {"S": "s"}} for n in range(50)]

    answer = aws.call("BatchGetItem", RequestItems={TABLE_NAME: {"Keys": keys}})

    assert len(answer["Responses"][TABLE_NAME]) == 16 * KILOBYTE // 391 + 1 == 42
    assert answer["UnprocessedKeys"][TABLE_NAME]["Keys"] == keys[42:]


def test_a_page_of_a_query_ends_after_a_megabyte() -> None:
    aws = Aws()
    for number in range(5):
        aws.table.seed(big(number, 390, GSI1PK="a", GSI1SK=str(number)))
    query = {
        "TableName": TABLE_NAME,
        "IndexName": "GSI1",
        "KeyConditionExpression": "GSI1PK = :a",
        "ExpressionAttributeValues": {":a": {"S": "a"}},
    }

    pages: list[list[str]] = []
    start: dict[str, Any] = {}
    while True:
        answer = aws.call("Query", **query, **start)
        pages.append([item["GSI1SK"]["S"] for item in answer["Items"]])
        if "LastEvaluatedKey" not in answer:
            break
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    assert pages == [["0", "1"], ["2", "3"], ["4"]]


def test_a_statement_that_fails_by_itself_has_no_effect() -> None:
    aws = Aws()
    codes = iter([None, "InternalServerError", None])
    aws.account.entry_fault = lambda _: next(codes)

    failed = aws.batch(*(insert(request(number)) for number in range(3)))

    assert failed == [None, "InternalServerError", None]
    assert [key for key, _ in aws.table.store.records] == ["REQ#r0", "REQ#r2"]


def test_a_key_that_fails_by_itself_is_left_unprocessed() -> None:
    aws = Aws()
    keys: list[dict[str, Any]] = [{"PK": {"S": f"p{n}"}, "SK": {"S": "s"}} for n in range(3)]
    for key in keys:
        aws.table.seed(key)
    codes = iter(["InternalServerError", None, "InternalServerError"])
    aws.account.entry_fault = lambda _: next(codes)

    answer = aws.call("BatchGetItem", RequestItems={TABLE_NAME: {"Keys": keys}})

    assert answer["Responses"][TABLE_NAME] == [keys[1]]
    assert answer["UnprocessedKeys"][TABLE_NAME]["Keys"] == [keys[0], keys[2]]


def test_faults_are_drawn_for_each_operation_by_its_name() -> None:
    aws = Aws()
    asked: list[str] = []

    def no_fault(operation: str) -> None:
        asked.append(operation)

    aws.account.entry_fault = no_fault
    aws.batch(insert(request(1)))
    aws.call(
        "BatchGetItem", RequestItems={TABLE_NAME: {"Keys": [{"PK": {"S": "p"}, "SK": {"S": "s"}}]}}
    )

    assert asked == ["BatchExecuteStatement", "BatchGetItem"]
