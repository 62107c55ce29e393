"""The adapters against the embedded AWS and against the model: both must answer as AWS does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random
from uuid import uuid4

import pytest

from aws.client import Client, Connection
from aws.errors import Fatal, Rejected
from aws.sdk import open_client
from aws.table import SeatsCancelled, Table, is_condition_failed, is_duplicate
from config.quotas import NO_LIMITS, Limits
from local.emulator.stack import StackOutputs
from schema.items import Capacity, Change, EventConfig, RequestItem
from schema.states import Status
from simulation.aws.account import Account
from simulation.aws.clock import MachineClock
from simulation.aws.cloud import TABLE_NAME, Cloud
from simulation.client import ModelClient, direct

RECEIVED = RequestItem(
    request_id="r1",
    event_id="e1",
    user_id="u1",
    event_type="FIRST_COME",
    status=Status.RECEIVED,
    requested_at_ms=1_704_289_999_990,
    ttl_s=1_712_066_000,
)
QUEUED = replace(RECEIVED, status=Status.QUEUED, queued_at_ms=1_704_290_000_000)
DECISION = {
    "result_code": "SUCCESS",
    "queued_at_ms": 1_704_290_000_000,
    "started_at_ms": 1_704_290_000_100,
    "finished_at_ms": 1_704_290_000_250,
    "attempt": 1,
    "is_dlq": False,
    "worker_id": "w1",
}
ALL_OLD = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


def request(user: str, status: Status = Status.QUEUED) -> RequestItem:
    return replace(QUEUED, request_id=f"r-{user}", user_id=user, status=status)


def seated(item: RequestItem) -> Change:
    return Change(item, replace(item, status=Status.SUCCEEDED, **DECISION))  # type: ignore[arg-type]


def rejected(item: RequestItem) -> Change:
    return Change(item, replace(item, status=Status.REJECTED, **DECISION))  # type: ignore[arg-type]


@pytest.fixture(params=["embedded", "model", "limited-model"])
async def dynamodb(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """The embedded AWS, or the model: without limits it takes another, faster way."""
    if request.param == "embedded":
        connection: Connection = request.getfixturevalue("connection")
        async with open_client("dynamodb", connection) as client:
            yield client
        return
    limits = NO_LIMITS if request.param == "model" else Limits.of("us-east-1")
    cloud = Cloud(Account(MachineClock(asyncio.get_running_loop()), limits))
    yield ModelClient("dynamodb", direct(cloud))


@pytest.fixture
async def table(dynamodb: Client) -> Table:
    """An empty table of its own: a tenth of the time that deploying the template takes."""
    if isinstance(dynamodb, ModelClient):
        return Table(dynamodb, TABLE_NAME, Random(0))
    name = f"table-{uuid4().hex}"
    keys = ("PK", "SK", *(f"{index}{key}" for index in ("GSI1", "GSI2") for key in ("PK", "SK")))
    await dynamodb.call(
        "CreateTable",
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=key_schema(""),
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": key_schema(index),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in ("GSI1", "GSI2")
        ],
    )
    return Table(dynamodb, name, Random(0))


def key_schema(prefix: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": f"{prefix}PK", "KeyType": "HASH"},
        {"AttributeName": f"{prefix}SK", "KeyType": "RANGE"},
    ]


async def with_event(table: Table, seats: int) -> None:
    assert await table.create_event(
        EventConfig(event_id="e1", event_type="FIRST_COME"),
        Capacity(event_id="e1", total=seats, remaining=seats),
    )


async def seats_left(table: Table) -> int:
    capacity = (await table.load([], ["e1"])).events["e1"].capacity
    assert capacity is not None
    return capacity.remaining


async def test_what_is_inserted_is_loaded(table: Table) -> None:
    requests = [request(f"u{n}") for n in range(25)]

    assert await table.insert(requests) == [None] * 25

    loaded = await table.load([item.request_id for item in requests])
    assert loaded.requests == {item.request_id: item for item in requests}


async def test_an_insert_over_an_existing_request_fails_alone_and_changes_nothing(
    table: Table,
) -> None:
    first = request("u1")
    await table.insert([first])

    taken, free = await table.insert([replace(first, event_type="LOTTERY"), request("u2")])

    assert taken is not None
    assert is_duplicate(taken)
    assert free is None
    assert (await table.load(["r-u1"])).requests["r-u1"] == first


async def test_a_step_is_stored_with_its_index_keys(table: Table, dynamodb: Client) -> None:
    await table.insert([RECEIVED])
    step = seated(RECEIVED)

    assert await table.write([step]) == [None]

    answer = await dynamodb.call(
        "GetItem", TableName=table.name, Key={"PK": {"S": "REQ#r1"}, "SK": {"S": "META"}}
    )
    assert answer["Item"] == step.after.to_item()


async def test_a_step_from_another_status_than_stored_fails_alone(table: Table) -> None:
    one, other = request("u1"), request("u2")
    await table.insert([one, other])
    await table.write([seated(one)])

    failed, done = await table.write([rejected(one), rejected(other)])

    assert failed is not None
    assert is_condition_failed(failed)
    assert done is None
    loaded = (await table.load(["r-u1", "r-u2"])).requests
    assert [loaded[name].status for name in ("r-u1", "r-u2")] == ["SUCCEEDED", "REJECTED"]


@pytest.mark.parametrize("by_transaction", [False, True])
async def test_what_an_older_try_left_behind_is_cleared(
    table: Table, *, by_transaction: bool
) -> None:
    await with_event(table, seats=1)
    older = replace(request("u1"), failure_class="RETRYABLE", error_code="OLD")
    await table.insert([older])
    decided = replace(seated(older).after, failure_class=None, error_code=None)

    if by_transaction:
        await table.take_seats("e1", [Change(older, decided)], 7, str(uuid4()))
    else:
        assert await table.write([Change(older, decided)]) == [None]

    assert (await table.load(["r-u1"])).requests["r-u1"] == decided


async def test_winners_and_their_seats_are_committed_together(table: Table) -> None:
    await with_event(table, seats=5)
    winners = [request("u1"), request("u2", Status.PROCESSING), request("u3")]
    await table.insert(winners)

    await table.take_seats("e1", [seated(item) for item in winners], 7, str(uuid4()))

    assert await seats_left(table) == 2
    loaded = (await table.load([item.request_id for item in winners])).requests
    assert loaded == {item.request_id: seated(item).after for item in winners}


async def test_99_winners_fit_in_one_transaction(table: Table) -> None:
    await with_event(table, seats=99)
    winners = [request(f"u{n}") for n in range(99)]
    for start in range(0, 99, 25):
        await table.insert(winners[start : start + 25])

    await table.take_seats("e1", [seated(item) for item in winners], 7, str(uuid4()))

    assert await seats_left(table) == 0


async def test_too_few_seats_cancel_the_whole_transaction(table: Table) -> None:
    await with_event(table, seats=1)
    winners = [request("u1"), request("u2")]
    await table.insert(winners)

    with pytest.raises(SeatsCancelled) as caught:
        await table.take_seats("e1", [seated(item) for item in winners], 7, str(uuid4()))

    assert caught.value.reasons == ("ConditionalCheckFailed", "None", "None")
    assert caught.value.seats_left == await seats_left(table) == 1
    loaded = (await table.load(["r-u1", "r-u2"])).requests
    assert {item.status for item in loaded.values()} == {Status.QUEUED}


async def test_a_winner_decided_meanwhile_cancels_the_whole_transaction(table: Table) -> None:
    await with_event(table, seats=5)
    winners = [request("u1"), request("u2")]
    await table.insert(winners)
    await table.write([rejected(winners[1])])

    with pytest.raises(SeatsCancelled) as caught:
        await table.take_seats("e1", [seated(item) for item in winners], 7, str(uuid4()))

    assert caught.value.reasons == ("None", "None", "ConditionalCheckFailed")
    assert await seats_left(table) == 5


async def test_the_same_token_takes_the_seats_once(table: Table) -> None:
    await with_event(table, seats=5)
    winner = request("u1")
    await table.insert([winner])
    token = str(uuid4())

    for _ in range(2):
        await table.take_seats("e1", [seated(winner)], 7, token)

    assert await seats_left(table) == 4


async def test_a_token_with_other_winners_is_refused(table: Table) -> None:
    await with_event(table, seats=5)
    await table.insert([request("u1"), request("u2")])
    token = str(uuid4())
    await table.take_seats("e1", [seated(request("u1"))], 7, token)

    with pytest.raises(Rejected, match="IdempotentParameterMismatch"):
        await table.take_seats("e1", [seated(request("u2"))], 7, token)


@pytest.mark.parametrize("status", list(Status))
async def test_the_dlq_stamp_is_for_undecided_requests(table: Table, status: Status) -> None:
    await table.insert([request("u1", status)])

    await table.stamp_dlq("r-u1", 1_704_290_000_500)

    stored = (await table.load(["r-u1"])).requests["r-u1"]
    assert stored.dlq_at_ms == (None if status.is_final else 1_704_290_000_500)


async def test_the_dlq_stamp_makes_no_request(table: Table) -> None:
    await table.stamp_dlq("r-none", 1)

    assert (await table.load(["r-none"])).requests == {}


async def test_an_event_is_created_once(table: Table) -> None:
    await with_event(table, seats=5)

    config = EventConfig(event_id="e1", event_type="LOTTERY")
    assert not await table.create_event(config, Capacity(event_id="e1", total=9, remaining=9))

    state = (await table.load([], ["e1"])).events["e1"]
    assert state.config is not None
    assert (state.config.event_type, await seats_left(table)) == ("FIRST_COME", 5)


async def test_a_received_request_is_in_no_listing(table: Table) -> None:
    await table.insert([RECEIVED, request("u2")])

    assert (await table.user_requests("u1", 10)).requests == []
    assert (await table.user_requests("u2", 10)).requests == [request("u2")]


async def test_winners_are_listed_in_the_order_of_their_decisions(table: Table) -> None:
    won = [
        replace(
            request(f"u{n}"), status=Status.SUCCEEDED, finished_at_ms=1_704_290_000_000 + n * 7 % 40
        )
        for n in range(20)
    ]
    lost = replace(won[0], request_id="r-lost", user_id="lost", status=Status.REJECTED)
    other = replace(won[0], request_id="r-other", user_id="other", event_id="e2")
    await table.insert([*won, lost, other])

    listed = [item async for item in table.winners("e1")]

    assert listed == sorted(won, key=lambda item: (item.finished_at_ms or 0, item.request_id))


async def test_winners_of_the_first_version_are_listed_too(table: Table, dynamodb: Client) -> None:
    won = replace(request("u1"), status=Status.SUCCEEDED, finished_at_ms=1_704_290_000_002)
    early = replace(request("u2"), status=Status.SUCCEEDED, finished_at_ms=1_704_290_000_001)
    await table.insert([won])
    for item in (early, request("u3")):
        former = {"GSI2PK": {"S": "EVENT#e1"}, "GSI2SK": {"S": f"QAT#{item.queued_at_ms}"}}
        await dynamodb.call("PutItem", TableName=table.name, Item=item.to_item() | former)

    assert [item async for item in table.winners("e1")] == [early, won]


async def test_a_user_s_pages_are_newest_first_and_join_without_gap(table: Table) -> None:
    requests = [
        replace(QUEUED, request_id=f"r{n}", queued_at_ms=1_704_290_000_000 + n // 2)
        for n in range(7)
    ]
    await table.insert(requests)

    seen: list[str] = []
    after = None
    while True:
        page = await table.user_requests("u1", 3, after)
        seen += [item.request_id for item in page.requests]
        if page.last is None:
            break
        assert page.last.queued_at_ms is not None
        after = (page.last.queued_at_ms, page.last.request_id)

    assert seen == ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]


async def test_a_table_with_its_indexes_is_sound_and_another_is_missed(
    table: Table, dynamodb: Client
) -> None:
    await table.check()

    with pytest.raises(Fatal):
        await Table(dynamodb, "no-such-table", Random(0)).check()


async def test_the_deployed_table_is_sound(stack: StackOutputs, connection: Connection) -> None:
    async with open_client("dynamodb", connection) as client:
        await Table(client, stack.table_name, Random(0)).check()


def get_keys(*names: str) -> list[dict[str, dict[str, str]]]:
    return [{"PK": {"S": name}, "SK": {"S": "s"}} for name in names]


def update_text(table: Table) -> str:
    return f'UPDATE "{table.name}" SET "x"=? WHERE "PK"=? AND "SK"=?'  # noqa: S608 - our own name


async def test_a_batch_of_reads_is_refused_where_it_names_a_key_twice_or_too_many(
    table: Table, dynamodb: Client
) -> None:
    for keys in (get_keys("p", "p"), get_keys(*(f"p{n}" for n in range(101)))):
        with pytest.raises(Rejected, match="ValidationException"):
            await dynamodb.call("BatchGetItem", RequestItems={table.name: {"Keys": keys}})


async def test_what_a_batch_of_reads_does_not_find_is_left_out(
    table: Table, dynamodb: Client
) -> None:
    await dynamodb.call("PutItem", TableName=table.name, Item=get_keys("p1")[0])

    answer = await dynamodb.call(
        "BatchGetItem", RequestItems={table.name: {"Keys": get_keys("p0", "p1")}}
    )

    assert answer["Responses"] == {table.name: get_keys("p1")}
    assert answer["UnprocessedKeys"] == {}


async def test_a_transaction_may_not_name_an_item_twice(table: Table, dynamodb: Client) -> None:
    put = {"Put": {"TableName": table.name, "Item": get_keys("p")[0]}}

    with pytest.raises(Rejected, match="ValidationException"):
        await dynamodb.call("TransactWriteItems", TransactItems=[put, put])

    assert await dynamodb.call("GetItem", TableName=table.name, Key=get_keys("p")[0]) == {}


async def test_more_than_a_call_may_hold_is_refused(table: Table, dynamodb: Client) -> None:
    puts = [
        {"Put": {"TableName": table.name, "Item": key}}
        for key in get_keys(*(f"p{n}" for n in range(101)))
    ]
    insert = {
        "Statement": f"INSERT INTO \"{table.name}\" VALUE {{'PK':?, 'SK':?}}",
        "Parameters": [{"S": "p"}, {"S": "s"}],
    }

    with pytest.raises(Rejected, match="ValidationException"):
        await dynamodb.call("TransactWriteItems", TransactItems=puts)
    with pytest.raises(Rejected, match="ValidationException"):
        await dynamodb.call("BatchExecuteStatement", Statements=[insert] * 26)


async def test_a_failed_condition_returns_the_item_where_it_is_asked_for(
    table: Table, dynamodb: Client
) -> None:
    key = get_keys("p")[0]
    stored = {**key, "x": {"S": "there"}}
    await dynamodb.call("PutItem", TableName=table.name, Item=stored)
    write = {
        "TableName": table.name,
        "Key": key,
        "UpdateExpression": "SET x = :new",
        "ConditionExpression": "x = :other",
        "ExpressionAttributeValues": {":new": {"S": "new"}, ":other": {"S": "other"}},
    }
    statement = {
        "Statement": f'{update_text(table)} AND "x"=?',
        "Parameters": [{"S": "new"}, {"S": "p"}, {"S": "s"}, {"S": "other"}],
    }
    for asked, item in ((dict[str, str](), None), (ALL_OLD, stored)):
        with pytest.raises(Rejected, match="ConditionalCheckFailedException") as single:
            await dynamodb.call("UpdateItem", **write, **asked)
        assert single.value.response.get("Item") == item
        with pytest.raises(Rejected, match="TransactionCanceledException") as transaction:
            await dynamodb.call("TransactWriteItems", TransactItems=[{"Update": write | asked}])
        (reason,) = transaction.value.response["CancellationReasons"]
        assert reason.get("Item") == item
        # API_BatchStatementError: in the error itself, and not beside it.
        answer = await dynamodb.call("BatchExecuteStatement", Statements=[statement | asked])
        assert answer["Responses"][0]["Error"].get("Item") == item


async def test_an_update_of_nothing_makes_an_item_and_a_statement_s_does_not(
    table: Table, dynamodb: Client
) -> None:
    one, other = get_keys("p1", "p2")
    await dynamodb.call(
        "UpdateItem",
        TableName=table.name,
        Key=one,
        UpdateExpression="SET x = :new",
        ExpressionAttributeValues={":new": {"S": "new"}},
    )
    answer = await dynamodb.call(
        "BatchExecuteStatement",
        Statements=[
            {
                "Statement": update_text(table),
                "Parameters": [{"S": "new"}, other["PK"], other["SK"]],
            }
        ],
    )

    stored = await dynamodb.call("GetItem", TableName=table.name, Key=one)
    assert stored["Item"] == {**one, "x": {"S": "new"}}
    assert answer["Responses"][0]["Error"]["Code"] == "ConditionalCheckFailed"
    assert await dynamodb.call("GetItem", TableName=table.name, Key=other) == {}


async def test_a_cancelled_transaction_does_not_use_up_its_token(table: Table) -> None:
    await with_event(table, seats=5)
    token = str(uuid4())
    with pytest.raises(SeatsCancelled):
        await table.take_seats("e1", [seated(request("u1"))], 7, token)
    await table.insert([request("u1")])

    await table.take_seats("e1", [seated(request("u1"))], 7, token)

    assert await seats_left(table) == 4


async def test_a_page_that_ends_at_its_limit_names_a_last_key(
    table: Table, dynamodb: Client
) -> None:
    await table.insert([request("u1")])
    query = {
        "TableName": table.name,
        "IndexName": "GSI1",
        "KeyConditionExpression": "GSI1PK = :user",
        "ExpressionAttributeValues": {":user": {"S": "USER#u1"}},
    }

    # API_Query, Limit: there need not be anything behind the last key.
    full = await dynamodb.call("Query", **query, Limit=1)
    short = await dynamodb.call("Query", **query, Limit=2)

    assert (full["Count"], "LastEvaluatedKey" in full) == (1, True)
    assert (short["Count"], "LastEvaluatedKey" in short) == (1, False)


async def test_a_page_goes_on_behind_a_request_that_is_not_there(table: Table) -> None:
    await table.insert(
        [replace(QUEUED, request_id=f"r{n}", queued_at_ms=1_704_290_000_000 + n) for n in (1, 3)]
    )

    page = await table.user_requests("u1", 10, (1_704_290_000_002, "r2"))

    assert [item.request_id for item in page.requests] == ["r1"]


async def test_an_index_is_not_read_consistently(table: Table, dynamodb: Client) -> None:
    with pytest.raises(Rejected, match="ValidationException"):
        await dynamodb.call(
            "Query",
            TableName=table.name,
            IndexName="GSI1",
            KeyConditionExpression="GSI1PK = :user",
            ExpressionAttributeValues={":user": {"S": "USER#u1"}},
            ConsistentRead=True,
        )
