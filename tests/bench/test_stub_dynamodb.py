"""The stand-in's DynamoDB, called by the real SDK."""

from typing import Any

import pytest

from aws.errors import Fatal, Rejected
from bench.stub_process import Stub
from schema import keys
from simulation.aws.cloud import TABLE_NAME
from tests.bench.conftest import Clients

CAPACITY = {"PK": {"S": keys.event_pk("event-0")}, "SK": {"S": "CAPACITY"}}
INSERT = "INSERT INTO \"AsyncEventTable\" VALUE {'PK':?, 'SK':?, 'status':?}"
DECIDE = (
    'UPDATE "AsyncEventTable" SET "status"=? SET "finishedAt"=? '
    'WHERE "PK"=? AND "SK"=? AND "status" IN (?,?)'
)


def request_key(number: int) -> dict[str, Any]:
    request_id = keys.request_id("event-0", f"user-{number:07d}")
    return {"PK": {"S": keys.request_pk(request_id)}, "SK": {"S": "META"}}


async def get(clients: Clients, key: dict[str, Any]) -> dict[str, Any]:
    answer = await clients.dynamodb.call("GetItem", TableName=TABLE_NAME, Key=key)
    item: dict[str, Any] = answer["Item"]
    return item


def take_seats(count: int) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": TABLE_NAME,
            "Key": CAPACITY,
            "UpdateExpression": "SET capacityRemaining = capacityRemaining - :n, updatedAt = :now",
            "ConditionExpression": "capacityRemaining >= :n",
            "ExpressionAttributeValues": {":n": {"N": str(count)}, ":now": {"N": "1"}},
        }
    }


def succeed(number: int) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": TABLE_NAME,
            "Key": request_key(number),
            "UpdateExpression": "SET #status = :after REMOVE errorCode",
            "ConditionExpression": "#status = :before",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {":after": {"S": "SUCCEEDED"}, ":before": {"S": "QUEUED"}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


async def test_a_batch_get_finds_what_was_seeded(clients: Clients, stub: Stub) -> None:
    stub.seed_requests(3, [7])
    answer = await clients.dynamodb.call(
        "BatchGetItem",
        RequestItems={
            TABLE_NAME: {
                "Keys": [request_key(0), request_key(99), CAPACITY],
                "ConsistentRead": True,
            }
        },
    )
    request, capacity = answer["Responses"][TABLE_NAME]
    assert request["status"] == {"S": "QUEUED"}
    assert capacity["capacityRemaining"] == {"N": "7"}
    assert answer["UnprocessedKeys"] == {}


async def test_a_transaction_takes_seats_and_decides_requests(clients: Clients, stub: Stub) -> None:
    stub.seed_requests(2, [7])
    await clients.dynamodb.call(
        "TransactWriteItems", TransactItems=[take_seats(2), succeed(0), succeed(1)]
    )
    assert (await get(clients, CAPACITY))["capacityRemaining"] == {"N": "5"}
    assert (await get(clients, request_key(1)))["status"] == {"S": "SUCCEEDED"}


async def test_a_cancelled_transaction_writes_nothing_and_names_each_reason(
    clients: Clients, stub: Stub
) -> None:
    stub.seed_requests(2, [1])
    with pytest.raises(Rejected, match="TransactionCanceledException") as caught:
        await clients.dynamodb.call("TransactWriteItems", TransactItems=[take_seats(2), succeed(0)])
    reasons = caught.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["ConditionalCheckFailed", "None"]
    assert (await get(clients, CAPACITY))["capacityRemaining"] == {"N": "1"}
    assert (await get(clients, request_key(0)))["status"] == {"S": "QUEUED"}


async def test_a_cancelled_transaction_returns_the_old_item_where_asked(
    clients: Clients, stub: Stub
) -> None:
    stub.seed_requests(1, [5])
    await clients.dynamodb.call("TransactWriteItems", TransactItems=[succeed(0)])
    with pytest.raises(Rejected) as caught:
        await clients.dynamodb.call("TransactWriteItems", TransactItems=[take_seats(1), succeed(0)])
    assert caught.value.response["CancellationReasons"][1]["Item"]["status"] == {"S": "SUCCEEDED"}


async def test_the_same_token_writes_once(clients: Clients, stub: Stub) -> None:
    stub.seed_requests(1, [5])
    for _ in range(2):
        await clients.dynamodb.call(
            "TransactWriteItems", TransactItems=[take_seats(1)], ClientRequestToken="once"
        )
    assert (await get(clients, CAPACITY))["capacityRemaining"] == {"N": "4"}


async def test_an_insert_of_a_key_that_exists_fails_alone(clients: Clients, stub: Stub) -> None:
    values = [{"S": "REQ#1"}, {"S": "META"}, {"S": "RECEIVED"}]
    other = [{"S": "REQ#2"}, *values[1:]]
    answer = await clients.dynamodb.call(
        "BatchExecuteStatement",
        Statements=[
            {"Statement": INSERT, "Parameters": values},
            {"Statement": INSERT, "Parameters": values},
            {"Statement": INSERT, "Parameters": other},
        ],
    )
    codes = [entry.get("Error", {}).get("Code") for entry in answer["Responses"]]
    assert codes == [None, "DuplicateItem", None]
    assert stub.stats()["statuses"] == {"RECEIVED": 2}


async def test_a_statement_whose_condition_is_not_true_fails_alone(
    clients: Clients, stub: Stub
) -> None:
    stub.seed_requests(2, [0])

    def decide(number: int, status: str) -> dict[str, Any]:
        key = request_key(number)
        return {
            "Statement": DECIDE,
            "Parameters": [
                {"S": "REJECTED"},
                {"N": "5"},
                key["PK"],
                key["SK"],
                {"S": status},
                {"S": "PROCESSING"},
            ],
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    answer = await clients.dynamodb.call(
        "BatchExecuteStatement",
        Statements=[decide(0, "QUEUED"), decide(1, "RECEIVED"), decide(7, "QUEUED")],
    )
    done, failed, absent = answer["Responses"]
    assert "Error" not in done
    assert failed["Error"]["Code"] == "ConditionalCheckFailed"
    assert failed["Error"]["Item"]["status"] == {"S": "QUEUED"}
    assert absent["Error"]["Code"] == "ConditionalCheckFailed"
    assert (await get(clients, request_key(0)))["finishedAt"] == {"N": "5"}


async def test_single_writes_keep_their_conditions(clients: Clients, stub: Stub) -> None:
    stub.seed_requests(1, [1])
    update = take_seats(1)["Update"]
    answer = await clients.dynamodb.call("UpdateItem", **update, ReturnValues="UPDATED_NEW")
    assert answer["Attributes"]["capacityRemaining"] == {"N": "0"}
    with pytest.raises(Rejected, match="ConditionalCheckFailedException"):
        await clients.dynamodb.call("UpdateItem", **update)
    with pytest.raises(Rejected, match="ConditionalCheckFailedException"):
        await clients.dynamodb.call(
            "PutItem",
            TableName=TABLE_NAME,
            Item=CAPACITY,
            ConditionExpression="attribute_not_exists(PK)",
        )
    assert (await get(clients, CAPACITY))["capacityRemaining"] == {"N": "0"}


async def test_a_query_walks_one_users_rows_newest_first(clients: Clients, stub: Stub) -> None:
    for number in range(5):
        await clients.dynamodb.call(
            "PutItem",
            TableName=TABLE_NAME,
            Item={
                "PK": {"S": f"REQ#{number}"},
                "SK": {"S": "META"},
                "GSI1PK": {"S": "USER#kim" if number else "USER#lee"},
                "GSI1SK": {"S": keys.index_sk(number, str(number))},
            },
        )
    query = {
        "TableName": TABLE_NAME,
        "IndexName": "GSI1",
        "KeyConditionExpression": "#pk = :user AND begins_with(GSI1SK, :prefix)",
        "ExpressionAttributeNames": {"#pk": "GSI1PK"},
        "ExpressionAttributeValues": {":user": {"S": "USER#kim"}, ":prefix": {"S": "QAT#"}},
        "ScanIndexForward": False,
        "Limit": 3,
    }
    first = await clients.dynamodb.call("Query", **query)
    rest = await clients.dynamodb.call(
        "Query", **query, ExclusiveStartKey=first["LastEvaluatedKey"]
    )
    assert [item["PK"]["S"] for item in first["Items"]] == ["REQ#4", "REQ#3", "REQ#2"]
    assert [item["PK"]["S"] for item in rest["Items"]] == ["REQ#1"]
    assert "LastEvaluatedKey" not in rest


async def test_limits_and_unknown_names_are_refused(clients: Clients, stub: Stub) -> None:
    statement = {"Statement": INSERT, "Parameters": [{"S": "a"}, {"S": "b"}, {"S": "c"}]}
    with pytest.raises(Rejected, match="ValidationException"):
        await clients.dynamodb.call("BatchExecuteStatement", Statements=[statement] * 26)
    with pytest.raises(Rejected, match="ValidationException"):
        await clients.dynamodb.call("TransactWriteItems", TransactItems=[succeed(0), succeed(0)])
    with pytest.raises(Rejected, match="ValidationException"):
        await clients.dynamodb.call(
            "UpdateItem", TableName=TABLE_NAME, Key=CAPACITY, UpdateExpression="SET ?!"
        )
    with pytest.raises(Rejected, match="UnknownOperationException"):
        await clients.dynamodb.call("ListTables")
    with pytest.raises(Fatal, match="ResourceNotFoundException"):
        await clients.dynamodb.call("DescribeTable", TableName="AnotherTable")
    table = await clients.dynamodb.call("DescribeTable", TableName=TABLE_NAME)
    assert [i["IndexName"] for i in table["Table"]["GlobalSecondaryIndexes"]] == ["GSI1", "GSI2"]
