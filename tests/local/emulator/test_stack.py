"""`pipeline.yaml` as the embedded AWS made it: described back by each service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
import pytest

from aws.client import Connection
from aws.queue import OutgoingMessage, Queue
from aws.sdk import open_client
from local.emulator import stack as stacks
from local.emulator.stack import StackOutputs
from local.errors import LocalError
from local.firehose.settings import firehose_targets, stream_settings
from schema import names


class Services:
    """Calls any service, with one client of each."""

    def __init__(self, connection: Connection, clients: AsyncExitStack) -> None:
        self._connection = connection
        self._clients = clients

    async def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        client = await self._clients.enter_async_context(open_client(service, self._connection))
        return await client.call(operation, **parameters)


@pytest.fixture
async def services(connection: Connection) -> AsyncIterator[Services]:
    async with AsyncExitStack() as clients:
        yield Services(connection, clients)


async def test_a_request_is_delivered_twenty_times_before_it_is_a_dead_letter(
    connection: Connection, stack: StackOutputs
) -> None:
    async with open_client("sqs", connection) as sqs:
        queue, dlq = Queue(sqs, stack.queue_url), Queue(sqs, stack.dlq_url)
        described = await queue.describe()
        assert described.max_receive_count == 20
        assert described.dlq_arn == (await dlq.describe()).arn
        assert described.visibility_timeout_s == 60
        await queue.send([OutgoingMessage("a request")])
        for attempt in range(1, 21):
            assert [d.attempt for d in await queue.receive(10, 0, 0)] == [attempt]
        assert await queue.receive(10, 0, 0) == []
        assert [d.body for d in await dlq.receive(10, 0, 30)] == ["a request"]


async def test_the_table_has_the_keys_and_both_indexes_of_the_contract(
    services: Services, stack: StackOutputs
) -> None:
    response = await services.call("dynamodb", "DescribeTable", TableName=stack.table_name)
    table = response["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert _key(table) == (names.PARTITION_KEY, names.SORT_KEY)
    assert {index["IndexName"]: _key(index) for index in table["GlobalSecondaryIndexes"]} == {
        names.USER_INDEX: (names.USER_INDEX_PARTITION_KEY, names.USER_INDEX_SORT_KEY),
        names.WINNERS_INDEX: (names.WINNERS_INDEX_PARTITION_KEY, names.WINNERS_INDEX_SORT_KEY),
    }
    assert {index["Projection"]["ProjectionType"] for index in table["GlobalSecondaryIndexes"]} == {
        "ALL"
    }
    assert {a["AttributeType"] for a in table["AttributeDefinitions"]} == {"S"}


async def test_the_rule_matches_the_workers_events_and_sends_their_detail_to_the_stream(
    services: Services, connection: Connection, stack: StackOutputs
) -> None:
    bus, rule_name = stack.event_bus_name, names.RULE_NAME
    rule = await services.call("events", "DescribeRule", EventBusName=bus, Name=rule_name)
    assert rule["State"] == "ENABLED"
    # g1 §8.3
    assert orjson.loads(rule["EventPattern"]) == {
        "source": ["kr.ac.dongduk.worker"],
        "detail-type": ["ParticipationProcessed", "RequestFailed"],
    }
    response = await services.call("events", "ListTargetsByRule", EventBusName=bus, Rule=rule_name)
    (target,) = response["Targets"]
    assert target["InputPath"] == "$.detail"
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    async with open_client("sqs", connection) as sqs:
        rule_dlq = await Queue(sqs, stack.rule_dlq_url).describe()
    assert target["DeadLetterConfig"]["Arn"] == rule_dlq.arn
    async with open_client("events", connection) as events:
        (found,) = await firehose_targets(events, bus)
    assert (found.stream_name, found.rule_name) == (stack.stream_name, rule_name)
    assert found.payload == {"InputPath": "$.detail"}


async def test_eventbridge_may_send_to_the_rules_dead_letter_queue(
    services: Services, stack: StackOutputs
) -> None:
    response = await services.call(
        "sqs", "GetQueueAttributes", QueueUrl=stack.rule_dlq_url, AttributeNames=["All"]
    )
    attributes = response["Attributes"]
    (statement,) = orjson.loads(attributes["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"] == attributes["QueueArn"]
    source = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert source.endswith(f":rule/{stack.event_bus_name}/{names.RULE_NAME}")


async def test_the_stream_writes_the_lakes_folders_line_by_line(
    connection: Connection, stack: StackOutputs
) -> None:
    async with open_client("firehose", connection) as firehose:
        stream = await stream_settings(firehose, stack.stream_name)
    # g1 §8.2
    assert stream.bucket_name == stack.bucket_name
    assert stream.prefix == "events/dt=!{timestamp:yyyy-MM-dd}/hour=!{timestamp:HH}/"
    assert stream.error_prefix == "events/error/"
    assert (stream.buffer_interval_s, stream.buffer_bytes) == (60, 1024 * 1024)
    assert stream.delimiter == b"\n"


async def test_the_bucket_is_private_and_encrypted(services: Services, stack: StackOutputs) -> None:
    access = await services.call("s3", "GetPublicAccessBlock", Bucket=stack.bucket_name)
    assert set(access["PublicAccessBlockConfiguration"].values()) == {True}
    encryption = await services.call("s3", "GetBucketEncryption", Bucket=stack.bucket_name)
    (rule,) = encryption["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


async def test_the_lakes_tables_and_workgroup_are_there(
    services: Services, stack: StackOutputs
) -> None:
    response = await services.call("glue", "GetTables", DatabaseName=stack.database)
    tables = {table["Name"]: table for table in response["TableList"]}
    assert set(tables) == {"participation_logs", "participation_logs_projected"}
    for table in tables.values():
        assert table["StorageDescriptor"]["Location"] == f"s3://{stack.bucket_name}/events/"
    assert (
        tables["participation_logs_projected"]["Parameters"]["storage.location.template"]
        == f"s3://{stack.bucket_name}/events/dt=${{dt}}/hour=${{hour}}/"
    )
    response = await services.call("athena", "GetWorkGroup", WorkGroup=stack.work_group)
    configuration = response["WorkGroup"]["Configuration"]
    assert configuration["ResultConfiguration"]["OutputLocation"] == (
        f"s3://{stack.bucket_name}/athena-results/"
    )
    assert int(configuration["BytesScannedCutoffPerQuery"]) == 10 * 1024**3


async def test_parameters_reach_the_resources(connection: Connection, stack: StackOutputs) -> None:
    parameters = {
        **stacks.own_names(f"{stack.work_group}-2"),
        "MaxReceiveCount": "2",
        "FirehoseBufferSeconds": "5",
    }
    other = await stacks.deploy_pipeline(connection, f"{stack.work_group}-2", parameters)
    async with open_client("sqs", connection) as sqs:
        assert (await Queue(sqs, other.queue_url).describe()).max_receive_count == 2
    async with open_client("firehose", connection) as firehose:
        assert (await stream_settings(firehose, other.stream_name)).buffer_interval_s == 5


async def test_two_stacks_with_their_own_names_share_no_resource(
    connection: Connection, stack: StackOutputs
) -> None:
    name = f"{stack.work_group}-2"
    other = await stacks.deploy_pipeline(connection, name, stacks.own_names(name))
    for field in StackOutputs.__dataclass_fields__:
        is_shared = getattr(stack, field) == getattr(other, field)
        assert is_shared == (field == "rule_name"), field


async def test_without_parameters_the_names_are_the_programs_defaults(
    connection: Connection,
) -> None:
    # The emulator keeps accounts apart; these names can be given once in each.
    account_id = f"{uuid4().int % 10**12:012d}"
    account = replace(connection, access_key_id=account_id)
    outputs = await stacks.deploy_pipeline(account)
    assert account_id in outputs.queue_url
    assert outputs.table_name == "AsyncEventTable"
    assert outputs.event_bus_name == "default"
    assert outputs.database == "participation"


async def test_what_cannot_be_made_is_named_in_one_sentence(
    connection: Connection, stack: StackOutputs
) -> None:
    taken = {**stacks.own_names(f"{stack.work_group}-2"), "DatabaseName": stack.database}
    with pytest.raises(LocalError, match="Database: ") as caught:
        await stacks.deploy_pipeline(connection, f"{stack.work_group}-2", taken)
    assert "\n" not in str(caught.value)


async def test_a_parameter_that_the_template_forbids_is_refused(connection: Connection) -> None:
    with pytest.raises(LocalError, match="TableName"):
        await stacks.deploy_pipeline(connection, "refused", {"TableName": "no spaces"})


def _key(of: dict[str, Any]) -> tuple[str, ...]:
    assert [part["KeyType"] for part in of["KeySchema"]] == ["HASH", "RANGE"]
    return tuple(part["AttributeName"] for part in of["KeySchema"])
