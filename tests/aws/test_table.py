"""The table adapter: what it requests, and how it reads partial answers."""

from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from aws.client import CallObserver
from aws.errors import Fatal, Rejected, Throttle, Transient
from aws.metrics import CallMetrics
from aws.statements import Mark
from aws.table import SeatsCancelled, Table, is_condition_failed, is_duplicate
from config.quotas import Limits
from schema.items import Capacity, Change, EventConfig, RequestItem
from schema.states import Status
from simulation.aws.account import Account
from simulation.aws.cloud import TABLE_NAME, Cloud
from simulation.client import ModelClient, direct
from tests.aws.model import Aws
from tests.aws.scripted import ScriptedClient
from tests.simulation.aws.hand_clock import HandClock
from tests.virtual_time import virtual_time

QUEUED = RequestItem(
    request_id="r1",
    event_id="e1",
    user_id="u1",
    event_type="FIRST_COME",
    status=Status.QUEUED,
    queued_at_ms=1_704_290_000_000,
)
SEATED = Change(
    QUEUED,
    replace(
        QUEUED,
        status=Status.SUCCEEDED,
        result_code="SUCCESS",
        started_at_ms=1_704_290_000_100,
        finished_at_ms=1_704_290_000_250,
        attempt=1,
        is_dlq=False,
        worker_id="w1",
    ),
)
CONFIG = EventConfig(event_id="e1", event_type="FIRST_COME")
CAPACITY = Capacity(event_id="e1", total=10, remaining=3)


LEFT = {"T": {"Keys": [{"PK": {"S": "REQ#r1"}, "SK": {"S": "META"}}], "ConsistentRead": True}}
UNPROCESSED = {"Responses": {}, "UnprocessedKeys": LEFT}
THROTTLED = Transient("dynamodb", "BatchGetItem", "ThrottlingException", "slow down")


def answering(
    *answers: dict[str, Any] | Exception, seed: int = 0, observer: CallObserver | None = None
) -> tuple[ScriptedClient, Table]:
    client = ScriptedClient(list(answers))
    return client, Table(client, "T", Random(seed), observer)


def found(*items: object) -> dict[str, Any]:
    return {"Responses": {"T": list(items)}, "UnprocessedKeys": {}}


async def test_requests_and_events_are_read_together_and_strongly_consistently() -> None:
    client, table = answering(found(QUEUED.to_item(), CONFIG.to_item(), CAPACITY.to_item()))

    loaded = await table.load(["r1", "r2"], ["e1", "e2"])

    assert loaded.requests == {"r1": QUEUED}
    assert loaded.events["e1"].config == CONFIG
    assert loaded.events["e1"].capacity == CAPACITY
    assert not loaded.events["e2"].exists
    asked = client.parameters["RequestItems"]["T"]
    assert asked["ConsistentRead"] is True
    assert asked["Keys"] == [
        {"PK": {"S": "REQ#r1"}, "SK": {"S": "META"}},
        {"PK": {"S": "REQ#r2"}, "SK": {"S": "META"}},
        {"PK": {"S": "EVENT#e1"}, "SK": {"S": "CONFIG"}},
        {"PK": {"S": "EVENT#e1"}, "SK": {"S": "CAPACITY"}},
        {"PK": {"S": "EVENT#e2"}, "SK": {"S": "CONFIG"}},
        {"PK": {"S": "EVENT#e2"}, "SK": {"S": "CAPACITY"}},
    ]


async def test_a_key_is_asked_for_once_however_often_it_is_named() -> None:
    client, table = answering(found())

    await table.load(["r1", "r1"], ["e1", "e1"])

    assert len(client.parameters["RequestItems"]["T"]["Keys"]) == 3


async def test_more_than_a_hundred_keys_take_more_calls() -> None:
    client, table = answering(found())

    await table.load([f"r{n}" for n in range(199)], ["e1"])

    sizes = [len(p["RequestItems"]["T"]["Keys"]) for _, p in client.calls]
    assert sizes == [100, 100, 1]


async def test_nothing_wanted_makes_no_call() -> None:
    client, table = answering(found())

    await table.load([])

    assert client.calls == []


@virtual_time
async def test_only_unprocessed_keys_are_asked_for_again_and_what_came_is_kept() -> None:
    aws = Aws()
    aws.create("e1", 10)
    aws.store(QUEUED, replace(QUEUED, request_id="r2"))
    aws.wire.entry_faults["BatchGetItem"] = iter(["throttled", None, "throttled", None, "again"])

    loaded = await aws.table.load(["r1", "r2"], ["e1"])

    assert loaded.requests == {"r1": QUEUED, "r2": replace(QUEUED, request_id="r2")}
    assert loaded.events["e1"].exists
    asked = [
        [key["PK"]["S"] + key["SK"]["S"] for key in keys]
        for call in aws.wire.calls
        if (keys := call.parameters["RequestItems"][aws.table.name]["Keys"])
    ]
    left = ["REQ#r1META", "EVENT#e1CONFIG"]
    everything = ["REQ#r1META", "REQ#r2META", "EVENT#e1CONFIG", "EVENT#e1CAPACITY"]
    assert asked == [everything, left, left[:1]]
    assert all(
        call.parameters["RequestItems"][aws.table.name]["ConsistentRead"] for call in aws.wire.calls
    )


@virtual_time
async def test_reads_again_wait_between_nothing_and_twice_as_long_each_time() -> None:
    waits: list[list[float]] = [[], [], [], []]
    for seed in range(200):
        client, table = answering(UNPROCESSED, seed=seed)
        with pytest.raises(Transient, match="after 5 tries"):
            await table.load(["r1"])
        for wait, (begin, end) in zip(waits, pairwise(client.times_s), strict=True):
            wait.append(end - begin)

    for wait, most_s in zip(waits, (0.1, 0.2, 0.4, 0.8), strict=True):
        assert 0 <= min(wait) < most_s / 20
        assert most_s * 0.95 < max(wait) <= most_s


@virtual_time
async def test_keys_left_unprocessed_to_the_end_are_never_taken_for_absent() -> None:
    client, table = answering(UNPROCESSED)

    with pytest.raises(Transient, match="still unprocessed") as caught:
        await table.load(["r1"])

    assert caught.value.is_throttle
    assert len(client.calls) == 5


@virtual_time
async def test_a_throttle_of_the_keys_that_are_left_counts_as_unprocessed() -> None:
    client, table = answering(
        {"Responses": {"T": [CONFIG.to_item()]}, "UnprocessedKeys": LEFT},
        THROTTLED,
        found(QUEUED.to_item()),
    )

    loaded = await table.load(["r1"], ["e1"])

    assert loaded.requests == {"r1": QUEUED}
    assert loaded.events["e1"].config == CONFIG
    assert [p["RequestItems"] for _, p in client.calls[1:]] == [LEFT, LEFT]


async def test_a_throttle_of_the_whole_read_is_for_the_caller() -> None:
    client, table = answering(THROTTLED)

    with pytest.raises(Transient) as caught:
        await table.load(["r1"])

    assert caught.value is THROTTLED
    assert len(client.calls) == 1


@virtual_time
async def test_another_error_of_a_read_again_is_for_the_caller() -> None:
    broken = Transient("dynamodb", "BatchGetItem", "InternalServerError", "oops")
    client, table = answering(UNPROCESSED, broken)

    with pytest.raises(Transient) as caught:
        await table.load(["r1"])

    assert caught.value is broken
    assert len(client.calls) == 2


@virtual_time
async def test_throttles_within_successful_calls_are_counted() -> None:
    """BatchGetItem and BatchExecuteStatement succeed as calls: no client sees these."""
    registry = CollectorRegistry()
    message = "Throughput exceeds the current capacity for one or more global secondary indexes."
    _, table = answering(
        UNPROCESSED,
        found(QUEUED.to_item()),
        {
            "Responses": [
                {"Error": {"Code": "ThrottlingError", "Message": message}},
                {},
                {"Error": {"Code": "ConditionalCheckFailed", "Message": "failed"}},
            ]
        },
        observer=CallMetrics(registry),
    )

    await table.load(["r1"])
    first, second, _ = await table.write([SEATED, SEATED, SEATED])

    assert "(ThrottlingError of index)" in str(first)
    assert second is None
    assert {
        (*sample.labels.values(), sample.value)
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "aws_throttles_total"
    } == {
        ("dynamodb", "BatchGetItem", "UnprocessedKeys", "table/T", 1.0),
        ("dynamodb", "BatchExecuteStatement", "ThrottlingError", "index", 1.0),
    }


@pytest.mark.parametrize(
    ("limits", "part", "reason"),
    [
        (Limits(table_write_units=2), "table", "TableWriteKeyRangeThroughputExceeded"),
        (Limits(index_write_units=1), "index", "IndexWriteKeyRangeThroughputExceeded"),
    ],
)
async def test_each_form_of_a_throttle_says_what_is_at_its_limit(
    limits: Limits, part: str, reason: str
) -> None:
    client = ModelClient("dynamodb", direct(Cloud(Account(HandClock(), limits))))
    table = Table(client, TABLE_NAME, Random(0))
    others = [replace(QUEUED, request_id=f"r{number}") for number in range(4)]
    item = others[3].to_item()

    *_, statement = await table.insert(others)
    with pytest.raises(Rejected) as cancelled:
        await client.call(
            "TransactWriteItems", TransactItems=[{"Put": {"TableName": TABLE_NAME, "Item": item}}]
        )
    with pytest.raises(Transient) as alone:
        await client.call("PutItem", TableName=TABLE_NAME, Item=item)

    assert isinstance(statement, Transient)
    assert statement.throttles == cancelled.value.throttles == (Throttle("ThrottlingError", part),)
    resource = f"table/{TABLE_NAME}" + ("/index/GSI1" if part == "index" else "")
    assert alone.value.throttles == (Throttle(reason, resource),)


async def test_an_answer_without_items_is_not_taken_for_absent_ones() -> None:
    _, table = answering({})

    with pytest.raises(Transient, match="NoAnswer"):
        await table.load(["r1"])


async def test_an_item_that_breaks_the_contract_is_not_taken_for_an_absent_one() -> None:
    _, table = answering(found(QUEUED.to_item() | {"queuedAt": {"S": "soon"}}))

    loaded = await table.load(["r1", "r2"])

    assert loaded.requests == {}
    assert loaded.unreadable == {"r1": "attribute 'queuedAt' is not a whole number: {'S': 'soon'}"}


async def test_an_event_item_that_breaks_the_contract_is_a_defect_of_the_event() -> None:
    broken = CAPACITY.to_item() | {"capacityRemaining": {"S": "many"}}
    _, table = answering(found(CONFIG.to_item(), broken))

    state = (await table.load([], ["e1"])).events["e1"]

    assert state.defect is not None
    assert "capacityRemaining" in state.defect


async def test_seats_are_taken_by_one_decrement_and_an_update_for_each_winner() -> None:
    client, table = answering({})
    other = replace(QUEUED, request_id="r2")
    changes = [SEATED, Change(other, replace(other, status=Status.SUCCEEDED))]

    await table.take_seats("e1", changes, 1_704_290_000_250, "token")

    parameters = client.parameters
    assert parameters["ClientRequestToken"] == "token"
    seats, *updates = (action["Update"] for action in parameters["TransactItems"])
    assert seats == {
        "TableName": "T",
        "Key": {"PK": {"S": "EVENT#e1"}, "SK": {"S": "CAPACITY"}},
        "UpdateExpression": ("SET capacityRemaining = capacityRemaining - :seats, updatedAt = :at"),
        "ConditionExpression": "capacityRemaining >= :seats",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        "ExpressionAttributeValues": {":seats": {"N": "2"}, ":at": {"N": "1704290000250"}},
    }
    assert [update["Key"]["PK"] for update in updates] == [{"S": "REQ#r1"}, {"S": "REQ#r2"}]
    for update in updates:
        assert update["ConditionExpression"] == "#status = :read"
        assert update["ExpressionAttributeNames"]["#status"] == "status"
        assert update["ExpressionAttributeValues"][":read"] == {"S": "QUEUED"}


@pytest.mark.parametrize(
    ("mark", "update", "values"),
    [
        (
            Mark(name="me", seller="me"),
            ", seller = :seller REMOVE line_me",
            {":seller": {"S": "me"}},
        ),
        (
            Mark(name="me", seller="other", place="5 1"),
            ", seller = :seller, line_me = :place",
            {":seller": {"S": "other"}, ":place": {"S": "5 1"}},
        ),
        (
            Mark(name="me", seller=None, gone=("a", "b")),
            " REMOVE line_a, line_b, seller, line_me",
            {},
        ),
    ],
)
async def test_with_the_seats_the_turn_is_kept_or_passed_on(
    mark: Mark, update: str, values: dict[str, Any]
) -> None:
    client, table = answering({})

    await table.take_seats("e1", [SEATED], 7, "token", mark)

    seats = client.parameters["TransactItems"][0]["Update"]
    expected = f"SET capacityRemaining = capacityRemaining - :seats, updatedAt = :at{update}"
    assert seats["UpdateExpression"] == expected
    assert seats["ExpressionAttributeValues"] == {
        ":seats": {"N": "1"},
        ":at": {"N": "7"},
        **values,
    }


@virtual_time
async def test_the_turn_and_the_line_are_taken_and_given_up_on_condition() -> None:
    aws = Aws()
    aws.create("e1", 3)
    table = aws.table

    taken = await table.take_turn("e1", "a", 7)
    second = await table.take_turn("e1", "b", 8)
    lined_up = await table.line_up("e1", "b", "5")
    await table.pass_turn("e1", 9, Mark(name="c", seller=None))
    await table.pass_turn("e1", 9, Mark(name="a", seller="b", place="6"))
    passed = await table.capacity("e1")
    await table.leave_line("e1", "a")
    await table.leave_line("e1", "a")
    left = await table.capacity("e1")

    assert taken == Capacity(event_id="e1", total=3, remaining=3, updated_at_ms=7, seller="a")
    assert second == taken
    assert lined_up == replace(taken, line={"b": "5"})
    assert passed == replace(taken, updated_at_ms=9, seller="b", line={"a": "6", "b": "5"})
    assert left == replace(passed, line={"b": "5"})


@virtual_time
async def test_a_turn_that_stands_still_is_taken_and_its_line_removed() -> None:
    aws = Aws()
    idle = Capacity(
        event_id="e1", total=3, remaining=3, updated_at_ms=7, seller="gone", line={"d": "5"}
    )
    aws.cloud.table.seed(dict(idle.to_item()))

    other = await aws.table.take_turn("e1", "a", 9, replace(idle, updated_at_ms=6))
    taken = await aws.table.take_turn("e1", "a", 9, idle)

    assert other == idle
    assert taken == Capacity(event_id="e1", total=3, remaining=3, updated_at_ms=9, seller="a")


@pytest.mark.parametrize(
    "reasons",
    [
        ["TransactionConflict", "None"],
        ["None", "ThrottlingError"],
        ["ConditionalCheckFailed", "None"],
    ],
)
async def test_a_cancelled_transaction_names_what_got_in_its_way(
    reasons: list[str],
) -> None:
    _, table = answering(
        Rejected(
            "dynamodb",
            "TransactWriteItems",
            "TransactionCanceledException",
            "cancelled",
            {"CancellationReasons": [{"Code": reason} for reason in reasons]},
        )
    )

    with pytest.raises(SeatsCancelled) as caught:
        await table.take_seats("e1", [SEATED], 1, "token")

    assert caught.value.reasons == tuple(reasons)
    assert caught.value.seats_left is None


async def test_a_transaction_with_an_item_that_dynamodb_refuses_is_not_tried_again() -> None:
    _, table = answering(
        Rejected(
            "dynamodb",
            "TransactWriteItems",
            "TransactionCanceledException",
            "cancelled",
            {"CancellationReasons": [{"Code": "None"}, {"Code": "ValidationError"}]},
        )
    )

    with pytest.raises(Rejected) as caught:
        await table.take_seats("e1", [SEATED], 1, "token")

    assert not isinstance(caught.value, SeatsCancelled)


async def test_a_transaction_refused_for_another_reason_is_not_a_cancellation() -> None:
    refused = Rejected("dynamodb", "TransactWriteItems", "ValidationException", "no")
    _, table = answering(refused)

    with pytest.raises(Rejected) as caught:
        await table.take_seats("e1", [SEATED], 1, "token")

    assert caught.value is refused


async def test_a_write_is_an_update_on_condition_of_the_status_read() -> None:
    client, table = answering({"Responses": [{}]})

    assert await table.write([SEATED]) == [None]
    assert client.calls == [
        (
            "BatchExecuteStatement",
            {
                "Statements": [
                    {
                        "Statement": (
                            'UPDATE "T" SET "status"=? SET "startedAt"=? SET "finishedAt"=? '
                            'SET "resultCode"=? SET "attempt"=? SET "isDlq"=? SET "workerId"=? '
                            'SET "GSI2PK"=? SET "GSI2SK"=? WHERE "PK"=? AND "SK"=? AND "status"=?'
                        ),
                        "Parameters": [
                            {"S": "SUCCEEDED"},
                            {"N": "1704290000100"},
                            {"N": "1704290000250"},
                            {"S": "SUCCESS"},
                            {"N": "1"},
                            {"BOOL": False},
                            {"S": "w1"},
                            {"S": "WON#e1#31"},
                            {"S": "FIN#1704290000250#REQ#r1"},
                            {"S": "REQ#r1"},
                            {"S": "META"},
                            {"S": "QUEUED"},
                        ],
                    }
                ]
            },
        )
    ]


async def test_each_statement_has_its_own_result() -> None:
    _, table = answering(
        {
            "Responses": [
                {},
                {"Error": {"Code": "ConditionalCheckFailed", "Message": "no"}},
                {"Error": {"Code": "ThrottlingError"}},
                {"Error": {"Code": "DuplicateItem"}},
                {"Error": {"Code": "AccessDenied"}},
            ]
        }
    )

    results = await table.write([SEATED] * 6)

    assert results[0] is None
    assert isinstance(results[1], Rejected)
    assert is_condition_failed(results[1])
    assert isinstance(results[2], Transient)
    assert isinstance(results[3], Rejected)
    assert is_duplicate(results[3])
    assert isinstance(results[4], Fatal)
    # The answer leaves the sixth statement out: whether it was done is unknown.
    assert isinstance(results[5], Transient)


async def test_an_insert_writes_the_whole_item() -> None:
    client, table = answering({"Responses": [{}]})

    await table.insert([QUEUED])

    (statement,) = client.parameters["Statements"]
    assert statement["Statement"].startswith("""INSERT INTO "T" VALUE {'PK':?, 'SK':?, """)
    assert statement["Statement"].count("?") == len(statement["Parameters"])
    assert statement["Parameters"] == list(QUEUED.to_item().values())


async def test_stamping_a_decided_request_is_no_error() -> None:
    condition = Rejected("dynamodb", "UpdateItem", "ConditionalCheckFailedException", "no")
    _, table = answering(condition)

    await table.stamp_dlq("r1", 1)


async def test_stamping_that_was_refused_otherwise_is_an_error() -> None:
    _, table = answering(Rejected("dynamodb", "UpdateItem", "ValidationException", "no"))

    with pytest.raises(Rejected):
        await table.stamp_dlq("r1", 1)


async def test_creating_an_event_that_exists_changes_nothing() -> None:
    cancelled = Rejected("dynamodb", "TransactWriteItems", "TransactionCanceledException", "no")
    client, table = answering(cancelled)

    assert await table.create_event(CONFIG, CAPACITY) is False
    puts = [action["Put"] for action in client.parameters["TransactItems"]][:2]
    assert {put["ConditionExpression"] for put in puts} == {"attribute_not_exists(PK)"}


async def test_a_user_s_requests_are_queried_newest_first() -> None:
    client, table = answering({"Items": [QUEUED.to_item()]})

    page = await table.user_requests("u1", 20)

    assert (page.requests, page.last) == ([QUEUED], None)
    assert client.calls == [
        (
            "Query",
            {
                "TableName": "T",
                "IndexName": "GSI1",
                "KeyConditionExpression": "GSI1PK = :user",
                "ExpressionAttributeValues": {":user": {"S": "USER#u1"}},
                "ScanIndexForward": False,
                "Limit": 20,
            },
        )
    ]


async def test_a_page_starts_after_the_last_request_seen() -> None:
    client, table = answering({"Items": [QUEUED.to_item()], "LastEvaluatedKey": {"PK": {"S": "x"}}})

    page = await table.user_requests("u1", 20, (1_704_290_000_005, "r9"))

    assert page.last == QUEUED
    assert client.parameters["ExclusiveStartKey"] == {
        "PK": {"S": "REQ#r9"},
        "SK": {"S": "META"},
        "GSI1PK": {"S": "USER#u1"},
        "GSI1SK": {"S": "QAT#1704290000005#REQ#r9"},
    }


@pytest.mark.parametrize(
    ("indexes", "missing"),
    [([], "GSI1, GSI2"), (["GSI1"], "GSI2"), (["GSI2", "Other"], "GSI1")],
)
async def test_a_missing_index_is_named(indexes: list[str], missing: str) -> None:
    described = {"Table": {"GlobalSecondaryIndexes": [{"IndexName": name} for name in indexes]}}
    _, table = answering(described)

    with pytest.raises(Fatal, match=f"table T has no index {missing}"):
        await table.check()


async def test_a_table_with_both_indexes_is_sound() -> None:
    described = {"Table": {"GlobalSecondaryIndexes": [{"IndexName": n} for n in ("GSI1", "GSI2")]}}
    client, table = answering(described)

    await table.check()

    assert client.operations == ["DescribeTable"]
