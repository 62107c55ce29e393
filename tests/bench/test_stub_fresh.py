"""What the stand-in keeps ready to answer fast must never be older than the last write."""

from typing import Any

import pytest

from aws.errors import Rejected
from bench.stub_process import Stub
from schema import keys
from simulation.aws.cloud import TABLE_NAME
from tests.bench.conftest import Clients

KEY = {"PK": {"S": "REQ#1"}, "SK": {"S": "META"}}
UPDATE = 'UPDATE "AsyncEventTable" SET "note"=? WHERE "PK"=? AND "SK"=?'
INSERT = "INSERT INTO \"AsyncEventTable\" VALUE {'PK':?, 'SK':?, 'note':?}"
SET_NOTE = {
    "TableName": TABLE_NAME,
    "Key": KEY,
    "UpdateExpression": "SET note = :note",
}


def note(text: str) -> dict[str, Any]:
    return {":note": {"S": text}}


async def read(clients: Clients) -> str | None:
    """The note, by GetItem and by BatchGetItem, which must agree."""
    one = await clients.dynamodb.call("GetItem", TableName=TABLE_NAME, Key=KEY)
    many = await clients.dynamodb.call("BatchGetItem", RequestItems={TABLE_NAME: {"Keys": [KEY]}})
    found = many["Responses"][TABLE_NAME]
    assert found == ([one["Item"]] if "Item" in one else [])
    return found[0]["note"]["S"] if found else None


async def update(clients: Clients, text: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await clients.dynamodb.call(
        "UpdateItem", **SET_NOTE, ExpressionAttributeValues=note(text), **more
    )
    return answer


async def execute(clients: Clients, *statements: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await clients.dynamodb.call("BatchExecuteStatement", Statements=[*statements])
    responses: list[dict[str, Any]] = answer["Responses"]
    return responses


def statement(text: str, condition: str = "") -> dict[str, Any]:
    wanted = [{"S": condition}] if condition else []
    return {
        "Statement": UPDATE + (' AND "note"=?' if condition else ""),
        "Parameters": [{"S": text}, KEY["PK"], KEY["SK"], *wanted],
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


async def test_a_read_sees_the_write_before_it_whatever_its_kind(
    clients: Clients, stub: Stub
) -> None:
    assert await read(clients) is None
    await update(clients, "made by an update")
    assert await read(clients) == "made by an update"
    await update(clients, "updated")
    assert await read(clients) == "updated"
    await execute(clients, statement("stated"))
    assert await read(clients) == "stated"
    action = {"Update": {**SET_NOTE, "ExpressionAttributeValues": note("transacted")}}
    await clients.dynamodb.call("TransactWriteItems", TransactItems=[action])
    assert await read(clients) == "transacted"
    item = {**KEY, "note": {"S": "put"}}
    await clients.dynamodb.call("PutItem", TableName=TABLE_NAME, Item=item)
    assert await read(clients) == "put"
    await clients.dynamodb.call("DeleteItem", TableName=TABLE_NAME, Key=KEY)
    assert await read(clients) is None
    inserted = {"Statement": INSERT, "Parameters": [KEY["PK"], KEY["SK"], {"S": "inserted"}]}
    await execute(clients, inserted)
    assert await read(clients) == "inserted"


async def test_an_update_returns_the_item_as_it_was_and_as_it_is(
    clients: Clients, stub: Stub
) -> None:
    await update(clients, "first")
    old = await update(clients, "second", ReturnValues="ALL_OLD")
    assert old["Attributes"]["note"] == {"S": "first"}
    old = await update(clients, "third", ReturnValues="UPDATED_OLD")
    assert old["Attributes"] == {"note": {"S": "second"}}
    new = await update(clients, "fourth", ReturnValues="ALL_NEW")
    assert new["Attributes"] == {**KEY, "note": {"S": "fourth"}}


async def test_a_failed_statement_returns_the_item_as_it_was_then(
    clients: Clients, stub: Stub
) -> None:
    await update(clients, "before")
    failed, done = await execute(clients, statement("no", condition="other"), statement("after"))
    assert failed["Error"]["Item"]["note"] == {"S": "before"}
    assert "Error" not in done
    assert await read(clients) == "after"


async def test_the_same_text_with_other_names_is_another_update(
    clients: Clients, stub: Stub
) -> None:
    for name in ("note", "remark", "note"):
        await clients.dynamodb.call(
            "UpdateItem",
            **SET_NOTE | {"UpdateExpression": "SET #name = :note"},
            ConditionExpression="attribute_not_exists(#name) OR #name = :note",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues=note(name),
        )
    answer = await clients.dynamodb.call("GetItem", TableName=TABLE_NAME, Key=KEY)
    assert answer["Item"] == {**KEY, "note": {"S": "note"}, "remark": {"S": "remark"}}


async def test_an_update_of_an_index_key_moves_the_item(clients: Clients, stub: Stub) -> None:
    async def users(user: str) -> int:
        answer = await clients.dynamodb.call(
            "Query",
            TableName=TABLE_NAME,
            IndexName="GSI1",
            KeyConditionExpression="GSI1PK = :user",
            ExpressionAttributeValues={":user": {"S": user}},
        )
        count: int = answer["Count"]
        return count

    index_keys = {"GSI1PK": {"S": "USER#kim"}, "GSI1SK": {"S": "1"}}
    await clients.dynamodb.call("PutItem", TableName=TABLE_NAME, Item={**KEY, **index_keys})
    await clients.dynamodb.call(
        "UpdateItem",
        **SET_NOTE | {"UpdateExpression": "SET GSI1PK = :user"},
        ExpressionAttributeValues={":user": {"S": "USER#lee"}},
    )
    assert await users("USER#kim") == 0
    assert await users("USER#lee") == 1


async def test_a_statement_needs_its_whole_key_and_all_its_parameters(
    clients: Clients, stub: Stub
) -> None:
    with pytest.raises(Rejected, match="ValidationException"):
        await execute(clients, statement("x") | {"Parameters": [{"S": "x"}, KEY["PK"]]})
    keyless = {"Statement": UPDATE.partition(" AND")[0], "Parameters": [{"S": "x"}, KEY["PK"]]}
    with pytest.raises(Rejected, match="ValidationException"):
        await execute(clients, keyless)
    # A second equality of a key attribute is a condition, and this one cannot be true.
    twice = statement("x")
    twice["Statement"] += ' AND "PK"=?'
    twice["Parameters"].append({"S": "REQ#2"})
    await update(clients, "kept")
    (failed,) = await execute(clients, twice)
    assert failed["Error"]["Code"] == "ConditionalCheckFailed"
    assert await read(clients) == "kept"


async def test_single_writes_keep_their_conditions(clients: Clients, stub: Stub) -> None:
    stub.seed_requests(1, [1])
    capacity = {"PK": {"S": keys.event_pk("event-0")}, "SK": {"S": "CAPACITY"}}
    update = {
        "TableName": TABLE_NAME,
        "Key": capacity,
        "UpdateExpression": "SET capacityRemaining = capacityRemaining - :n",
        "ConditionExpression": "capacityRemaining >= :n",
        "ExpressionAttributeValues": {":n": {"N": "1"}},
    }
    answer = await clients.dynamodb.call("UpdateItem", **update, ReturnValues="UPDATED_NEW")
    assert answer["Attributes"]["capacityRemaining"] == {"N": "0"}
    with pytest.raises(Rejected, match="ConditionalCheckFailedException"):
        await clients.dynamodb.call("UpdateItem", **update)
    with pytest.raises(Rejected, match="ConditionalCheckFailedException"):
        await clients.dynamodb.call(
            "PutItem",
            TableName=TABLE_NAME,
            Item=capacity,
            ConditionExpression="attribute_not_exists(PK)",
        )
    stored = await clients.dynamodb.call("GetItem", TableName=TABLE_NAME, Key=capacity)
    assert stored["Item"]["capacityRemaining"] == {"N": "0"}
