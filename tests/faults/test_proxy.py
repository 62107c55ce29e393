"""Each kind of fault as the real client sees it, and what became of the call at the emulator."""

from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import anyio
import pytest
from anyio import create_task_group

from aws.client import ClientOptions, Connection
from aws.errors import AwsError, Rejected, Transient
from aws.sdk import open_client
from tests.faults.actions import (
    SERVER_ERROR,
    THROTTLE,
    Action,
    Answer,
    CancelTransaction,
    Cut,
    Delay,
    DropAnswer,
    FailEntries,
    Fault,
    Hang,
    OneOf,
    Refuse,
)
from tests.faults.conftest import READ_TIMEOUT_S, Clients, World
from tests.faults.proxy import FaultProxy


async def _send(clients: Clients, world: World, body: str = "body") -> None:
    await clients.sqs.call("SendMessage", QueueUrl=world.queue_url, MessageBody=body)


def _put(world: World, key: str) -> dict[str, Any]:
    return {"Put": {"TableName": world.table, "Item": {"PK": {"S": key}}}}


async def _transact(clients: Clients, world: World, *keys: str) -> None:
    items = [_put(world, key) for key in keys]
    await clients.dynamodb.call("TransactWriteItems", TransactItems=items)


async def test_without_faults_every_service_answers_as_it_does_directly(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    await _transact(clients, world, "a", "b")
    await _send(clients, world)
    entry = {"Source": "s", "DetailType": "d", "Detail": '{"n":1}', "EventBusName": world.bus}
    put = await clients.events.call("PutEvents", Entries=[entry])

    assert put["FailedEntryCount"] == 0
    assert await world.keys() == ["a", "b"]
    assert await world.bodies() == ["body"]
    assert await world.bodies(world.tap_url) == ['{"n": 1}']
    assert [(call.service, call.operation, call.outcome) for call in proxy.calls] == [
        ("DynamoDB_20120810", "TransactWriteItems", "answered"),
        ("AmazonSQS", "SendMessage", "answered"),
        ("AWSEvents", "PutEvents", "answered"),
    ]
    assert proxy.calls[1].request["MessageBody"] == "body"
    assert proxy.calls[2].response["Entries"] == put["Entries"]


async def test_the_host_in_a_queue_url_does_not_lead_past_the_proxy(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    assert not world.queue_url.startswith(proxy.endpoint_url)
    await _send(clients, world)
    assert proxy.count("SendMessage", "answered") == 1


async def test_objects_pass_unchanged(connection: Connection, proxy: FaultProxy) -> None:
    body = bytes(range(256)) * 1000
    through = replace(connection, endpoint_url=proxy.endpoint_url)
    async with open_client("s3", through) as s3:
        region = {"LocationConstraint": through.region}
        await s3.call("CreateBucket", Bucket="faults-objects", CreateBucketConfiguration=region)
        await s3.call("PutObject", Bucket="faults-objects", Key="a/b", Body=body)
        head = await s3.call("HeadObject", Bucket="faults-objects", Key="a/b")
        got = await s3.call("GetObject", Bucket="faults-objects", Key="a/b")
        assert await got["Body"].read() == body
        assert head["ContentLength"] == len(body)
    assert {call.service for call in proxy.calls} == {"s3"}
    assert [call.operation for call in proxy.calls] == ["PUT", "PUT", "HEAD", "GET"]


@dataclass(frozen=True, slots=True)
class Case:
    """A fault, the error that the client raises, and whether the call takes effect."""

    action: Action
    kind: type[AwsError]
    code: str
    takes_effect: bool = False


CASES = [
    # The SDK's name for a reset, whether or not the call has taken effect before it.
    Case(Refuse(), Transient, "EndpointConnectionError"),
    Case(DropAnswer(), Transient, "EndpointConnectionError", takes_effect=True),
    Case(Hang(), Transient, "ReadTimeoutError"),
    Case(DropAnswer(hang=True), Transient, "ReadTimeoutError", takes_effect=True),
    Case(Delay(after_s=READ_TIMEOUT_S * 1.5), Transient, "ReadTimeoutError", takes_effect=True),
    Case(Cut(), Transient, "ConnectionClosedError", takes_effect=True),
    Case(Answer(400, "ValidationException"), Rejected, "ValidationException"),
    Case(SERVER_ERROR, Transient, "InternalServerError"),
    Case(THROTTLE, Transient, "ThrottlingException"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case.action))
@pytest.mark.parametrize("operation", ["SendMessage", "TransactWriteItems"])
async def test_a_fault_is_seen_as_the_right_error_and_has_the_right_effect(
    proxy: FaultProxy,
    clients: Clients,
    impatient: Clients,
    world: World,
    operation: str,
    case: Case,
) -> None:
    call = _send if operation == "SendMessage" else _transact

    with proxy.add(Fault(operation, case.action)) as injection:
        with pytest.raises(case.kind) as caught:
            await call(impatient if case.code == "ReadTimeoutError" else clients, world, "struck")
        assert caught.value.code == case.code
        assert injection.hits == 1
    await call(clients, world, "spared")

    effects = await (world.bodies() if operation == "SendMessage" else world.keys())
    assert effects == ["spared", "struck"] if case.takes_effect else ["spared"]
    struck, spared = proxy.calls
    assert struck.took_effect is case.takes_effect
    assert struck.fault is injection.fault
    assert spared.fault is None


async def test_a_call_late_on_its_way_takes_effect_after_its_client_has_given_up(
    proxy: FaultProxy, impatient: Clients, world: World
) -> None:
    proxy.add(Fault("TransactWriteItems", Delay(before_s=READ_TIMEOUT_S * 1.5)))
    with pytest.raises(Transient):
        await _transact(impatient, world, "late")
    assert await world.keys() == []

    call = await proxy.reached("TransactWriteItems", "forwarded")

    assert await world.keys() == ["late"]
    assert call.took_effect


async def test_a_short_delay_is_no_error(proxy: FaultProxy, clients: Clients, world: World) -> None:
    proxy.add(Fault("SendMessage", Delay(before_s=0.1, after_s=0.1)))
    began = monotonic()
    await _send(clients, world)
    assert monotonic() - began >= 0.2
    assert await world.bodies() == ["body"]


async def test_a_cancelled_transaction_gives_its_reasons_in_order_and_writes_nothing(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    proxy.add(Fault("TransactWriteItems", CancelTransaction({1: "TransactionConflict"}), times=1))
    with pytest.raises(Rejected) as caught:
        await _transact(clients, world, "a", "b", "c")

    assert caught.value.code == "TransactionCanceledException"
    reasons = caught.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "TransactionConflict", "None"]
    assert await world.keys() == []
    await _transact(clients, world, "a")
    assert await world.keys() == ["a"]


def _messages(world: World, count: int) -> dict[str, Any]:
    entries = [{"Id": f"id{n}", "MessageBody": str(n)} for n in range(count)]
    return {"QueueUrl": world.queue_url, "Entries": entries}


async def test_chosen_messages_are_not_sent(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    proxy.add(Fault("SendMessageBatch", FailEntries([1, 3], code="Busy", sender_fault=True)))
    response = await clients.sqs.call("SendMessageBatch", **_messages(world, 5))

    assert [entry["Id"] for entry in response["Successful"]] == ["id0", "id2", "id4"]
    assert [(e["Id"], e["Code"], e["SenderFault"]) for e in response["Failed"]] == [
        ("id1", "Busy", True),
        ("id3", "Busy", True),
    ]
    assert await world.bodies() == ["0", "2", "4"]


async def test_a_batch_that_fails_whole_is_answered_200_with_nothing_done(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    proxy.add(Fault("SendMessageBatch", FailEntries(share=1.0)))
    response = await clients.sqs.call("SendMessageBatch", **_messages(world, 3))

    assert response["Successful"] == []
    assert [e["Code"] for e in response["Failed"]] == ["InternalError"] * 3
    assert await world.bodies() == []
    assert proxy.count("SendMessageBatch", "forwarded") == 0


async def test_an_entry_can_fail_though_it_took_effect(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    proxy.add(Fault("SendMessageBatch", FailEntries([0], took_effect=True)))
    response = await clients.sqs.call("SendMessageBatch", **_messages(world, 2))

    assert [entry["Id"] for entry in response["Successful"]] == ["id1"]
    assert [entry["Id"] for entry in response["Failed"]] == ["id0"]
    assert await world.bodies() == ["0", "1"]


@pytest.mark.parametrize("operation", ["DeleteMessageBatch", "ChangeMessageVisibilityBatch"])
async def test_chosen_deliveries_are_neither_deleted_nor_made_visible(
    proxy: FaultProxy, clients: Clients, world: World, operation: str
) -> None:
    await clients.sqs.call("SendMessageBatch", **_messages(world, 3))
    received = await clients.sqs.call(
        "ReceiveMessage", QueueUrl=world.queue_url, MaxNumberOfMessages=10, VisibilityTimeout=60
    )
    handles = [message["ReceiptHandle"] for message in received["Messages"]]
    change = {} if operation == "DeleteMessageBatch" else {"VisibilityTimeout": 0}
    entries = [{"Id": str(n), "ReceiptHandle": h, **change} for n, h in enumerate(handles)]

    proxy.add(Fault(operation, FailEntries(where=lambda e: e["ReceiptHandle"] == handles[1])))
    response = await clients.sqs.call(operation, QueueUrl=world.queue_url, Entries=entries)

    assert [entry["Id"] for entry in response["Failed"]] == ["1"]
    failed = received["Messages"][1]["Body"]
    others = sorted({"0", "1", "2"} - {failed})
    assert await world.bodies() == ([] if operation == "DeleteMessageBatch" else others)
    await world.direct.sqs.call(
        "ChangeMessageVisibility",
        QueueUrl=world.queue_url,
        ReceiptHandle=handles[1],
        VisibilityTimeout=0,
    )
    assert await world.bodies() == [failed]


async def test_chosen_events_are_not_put_and_answers_keep_their_positions(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    entries = [
        {"Source": "s", "DetailType": "d", "Detail": str(n), "EventBusName": world.bus}
        for n in range(10)
    ]
    failing = FailEntries([0, 4, 9], code="ThrottlingException")
    proxy.add(Fault("PutEvents", failing))
    response = await clients.events.call("PutEvents", Entries=entries)

    assert response["FailedEntryCount"] == 3
    codes = [entry.get("ErrorCode") for entry in response["Entries"]]
    assert codes == ["ThrottlingException" if n in (0, 4, 9) else None for n in range(10)]
    assert all("EventId" in response["Entries"][n] for n in (1, 2, 3, 5, 6, 7, 8))
    assert await world.bodies(world.tap_url) == ["1", "2", "3", "5", "6", "7", "8"]


async def test_chosen_statements_are_not_executed_and_real_failures_stay_in_place(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    await world.put("taken")
    proxy.add(Fault("BatchExecuteStatement", FailEntries([0, 2], code="ThrottlingError")))
    keys = ["a", "taken", "c", "d"]
    statement = f"INSERT INTO \"{world.table}\" VALUE {{'PK':?}}"
    response = await clients.dynamodb.call(
        "BatchExecuteStatement",
        Statements=[{"Statement": statement, "Parameters": [{"S": key}]} for key in keys],
    )

    codes = [answer.get("Error", {}).get("Code") for answer in response["Responses"]]
    assert codes == ["ThrottlingError", "DuplicateItem", "ThrottlingError", None]
    assert await world.keys() == ["d", "taken"]


@pytest.mark.parametrize("positions", [[0, 2], [0, 1, 2]])
async def test_chosen_keys_come_back_unprocessed_and_can_be_asked_again(
    proxy: FaultProxy, clients: Clients, world: World, positions: list[int]
) -> None:
    await world.put("a", "b", "c")
    asked = {world.table: {"Keys": [{"PK": {"S": k}} for k in "abc"], "ConsistentRead": True}}
    proxy.add(Fault("BatchGetItem", FailEntries(positions), times=1))
    first = await clients.dynamodb.call("BatchGetItem", RequestItems=asked)
    second = await clients.dynamodb.call("BatchGetItem", RequestItems=first["UnprocessedKeys"])

    def keys(response: dict[str, Any]) -> list[str]:
        return sorted(item["PK"]["S"] for item in response["Responses"][world.table])

    unprocessed = first["UnprocessedKeys"][world.table]
    assert unprocessed["ConsistentRead"] is True
    assert [key["PK"]["S"] for key in unprocessed["Keys"]] == ["abc"[at] for at in positions]
    assert keys(first) == [k for at, k in enumerate("abc") if at not in positions]
    assert keys(second) == ["abc"[at] for at in positions]
    assert second["UnprocessedKeys"] == {}


async def test_a_fault_strikes_as_often_as_it_may_and_only_where_its_condition_holds(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    fault = Fault("SendMessage", THROTTLE, times=2, where=lambda r: r["MessageBody"] != "spared")
    injection = proxy.add(fault)
    outcomes = []
    for body in ["spared", "a", "b", "c"]:
        try:
            await _send(clients, world, body)
            outcomes.append("sent")
        except Transient:
            outcomes.append("throttled")

    assert outcomes == ["sent", "throttled", "throttled", "sent"]
    assert injection.hits == 2
    assert await world.bodies() == ["c", "spared"]


async def test_the_same_seed_strikes_the_same_calls(connection: Connection, world: World) -> None:
    assert connection.endpoint_url is not None
    mixed = OneOf([THROTTLE, SERVER_ERROR, CancelTransaction(), FailEntries([0])])
    runs = []
    for seed in (7, 7, 8):
        fault = Fault("*", mixed, probability=0.5)
        async with FaultProxy(connection.endpoint_url, faults=[fault], seed=seed) as proxy:
            through = replace(connection, endpoint_url=proxy.endpoint_url)
            codes = []
            async with open_client("sqs", through) as sqs:
                for _ in range(40):
                    try:
                        await sqs.call("ReceiveMessage", QueueUrl=world.queue_url)
                        codes.append("")
                    except Transient as error:
                        codes.append(error.code)
            runs.append(codes)

    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {"", "ThrottlingException", "InternalServerError"}


async def test_a_call_held_on_arrival_takes_effect_only_when_released(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    async with create_task_group() as tasks:
        with proxy.hold("DynamoDB_20120810.TransactWriteItems") as gate:
            tasks.start_soon(_transact, clients, world, "held")
            call = await gate.reached()
            assert await world.keys() == []
            assert gate.held == [call]
            assert call.outcome == "open"
    assert call.outcome == "answered"
    assert await world.keys() == ["held"]


async def test_a_call_held_after_its_effect_is_answered_only_when_released(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    async with create_task_group() as tasks:
        with proxy.hold("TransactWriteItems", "forwarded") as gate:
            tasks.start_soon(_transact, clients, world, "held")
            call = await gate.reached()
            assert await world.keys() == ["held"]
            assert call.outcome == "open"
    assert call.outcome == "answered"


async def test_held_calls_can_go_on_in_any_order(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    async with create_task_group() as tasks:
        with proxy.hold("SendMessage", where=lambda r: r["MessageBody"] != "free") as gate:
            tasks.start_soon(_send, clients, world, "first")
            first = await gate.reached()
            tasks.start_soon(_send, clients, world, "second")
            second = await gate.reached(2)
            await _send(clients, world, "free")

            gate.release(second)
            assert await proxy.reached("SendMessage", "answered", count=2) is not first
            assert gate.held == [first]
            assert await world.bodies() == ["free", "second"]
    assert await world.bodies() == ["first"]


async def test_a_discarded_call_is_reset_without_effect(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    gate = proxy.hold("TransactWriteItems")

    async def fails() -> None:
        with pytest.raises(Transient):
            await _transact(clients, world, "held")

    async with create_task_group() as tasks:
        tasks.start_soon(fails)
        await gate.reached()
        gate.discard()
    assert await world.keys() == []
    await _transact(clients, world, "next")
    assert await world.keys() == ["next"]


async def test_waiting_for_a_call_that_never_comes_says_so(proxy: FaultProxy) -> None:
    with pytest.raises(TimeoutError, match="has not seen 1 AWSEvents"):
        await proxy.reached("AWSEvents.PutEvents", timeout_s=0.05)
    with pytest.raises(TimeoutError, match="2 PutEvents at the gate"):
        await proxy.hold("PutEvents").reached(2, timeout_s=0.05)


async def test_a_proxy_can_end_while_calls_hang_and_stand_at_gates(
    connection: Connection, world: World
) -> None:
    assert connection.endpoint_url is not None

    async def fails(through: Connection, operation: str, **parameters: Any) -> None:
        async with open_client("sqs", through, ClientOptions(read_timeout_s=30)) as sqs:
            with pytest.raises(Transient):
                await sqs.call(operation, QueueUrl=world.queue_url, **parameters)

    with anyio.fail_after(5):
        async with create_task_group() as tasks:
            faults = [Fault("GetQueueAttributes", Hang())]
            async with FaultProxy(connection.endpoint_url, faults=faults) as proxy:
                through = replace(connection, endpoint_url=proxy.endpoint_url)
                proxy.hold("PurgeQueue")
                tasks.start_soon(lambda: fails(through, "GetQueueAttributes"))
                tasks.start_soon(lambda: fails(through, "ReceiveMessage", WaitTimeSeconds=20))
                tasks.start_soon(lambda: fails(through, "PurgeQueue"))
                for operation in ("GetQueueAttributes", "ReceiveMessage", "PurgeQueue"):
                    await proxy.reached(operation)


async def test_an_emulator_that_is_gone_is_a_reset(
    connection: Connection, unused_tcp_port: int
) -> None:
    async with FaultProxy(f"http://127.0.0.1:{unused_tcp_port}") as proxy:
        through = replace(connection, endpoint_url=proxy.endpoint_url)
        async with open_client("sqs", through) as sqs:
            with pytest.raises(Transient):
                await sqs.call("ListQueues")
        assert [call.outcome for call in proxy.calls] == ["unreachable"]


async def test_under_a_mixture_of_faults_the_record_shows_which_calls_took_effect(
    proxy: FaultProxy, clients: Clients, world: World
) -> None:
    mixed = OneOf([Refuse(), Cut(), DropAnswer(), THROTTLE, SERVER_ERROR, Delay(0.01, 0.01)])
    proxy.add(Fault("*", mixed, probability=0.5))
    succeeded: set[str] = set()

    async def send(body: str) -> None:
        try:
            await _send(clients, world, body)
        except Transient:
            return
        succeeded.add(body)

    async with create_task_group() as tasks:
        for n in range(200):
            tasks.start_soon(send, str(n))

    executed = {call.request["MessageBody"] for call in proxy.calls if call.took_effect}
    answered = {call.request["MessageBody"] for call in proxy.calls if call.outcome == "answered"}
    assert len(proxy.calls) == 200
    assert await world.bodies() == sorted(executed)
    assert succeeded == executed & answered
    assert succeeded < executed < {str(n) for n in range(200)}
