"""`pipeline.yaml` says what `schema/` and g1 say, and its policies allow what the code calls."""

import re
from dataclasses import fields
from typing import Any

import pytest

from analytics import statements
from config.settings import WorkerSettings
from local import templates
from operations import table_checks
from operations.table_checks import PROTECTION
from schema import names
from schema.events import DeliveryInfo, Failure, Meta, ParticipationProcessed, Timestamps
from tests.infra.operations import called_operations

PIPELINE = templates.load("pipeline.yaml")
RESOURCES: dict[str, Any] = PIPELINE["Resources"]

ACTIONS: dict[str, set[str]] = {
    "ReceiveMessage": {"sqs:ReceiveMessage"},
    "SendMessageBatch": {"sqs:SendMessage"},
    "DeleteMessageBatch": {"sqs:DeleteMessage"},
    "ChangeMessageVisibilityBatch": {"sqs:ChangeMessageVisibility"},
    "GetQueueAttributes": {"sqs:GetQueueAttributes"},
    "BatchGetItem": {"dynamodb:BatchGetItem"},
    "BatchExecuteStatement": {"dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"},
    "TransactWriteItems": {"dynamodb:PutItem", "dynamodb:UpdateItem"},
    "UpdateItem": {"dynamodb:UpdateItem"},
    "Query": {"dynamodb:Query"},
    "DescribeTable": {"dynamodb:DescribeTable"},
    "PutEvents": {"events:PutEvents"},
    "DescribeEventBus": {"events:DescribeEventBus"},
    "ListObjectsV2": {"s3:ListBucket"},
    "GetObject": {"s3:GetObject"},
    "StartQueryExecution": {"athena:StartQueryExecution"},
    "StopQueryExecution": {"athena:StopQueryExecution"},
    "GetQueryExecution": {"athena:GetQueryExecution"},
    "GetQueryResults": {"athena:GetQueryResults"},
    "DescribeAlarms": {"cloudwatch:DescribeAlarms"},
    "DescribeCapacityReservation": {"elasticloadbalancing:DescribeCapacityReservation"},
    "DescribeRule": {"events:DescribeRule"},
    "DescribeScalableTargets": {"application-autoscaling:DescribeScalableTargets"},
    "DescribeScheduledActions": {"application-autoscaling:DescribeScheduledActions"},
    "DescribeServices": {"ecs:DescribeServices"},
    "DescribeStackEvents": {"cloudformation:DescribeStackEvents"},
    "DescribeStacks": {"cloudformation:DescribeStacks"},
    "DescribeTaskDefinition": {"ecs:DescribeTaskDefinition"},
    "GetMetricData": {"cloudwatch:GetMetricData"},
    "ListAWSDefaultServiceQuotas": {"servicequotas:ListAWSDefaultServiceQuotas"},
    "ListServiceQuotas": {"servicequotas:ListServiceQuotas"},
    "ListStackResources": {"cloudformation:ListStackResources"},
    "ModifyCapacityReservation": {"elasticloadbalancing:ModifyCapacityReservation"},
    "UpdateStack": {"cloudformation:UpdateStack"},
}
ON_BEHALF_OF_QUERIES = re.compile(r"glue:.*|s3:.*|athena:GetWorkGroup")
"""What Athena does with the caller's permissions."""


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def actions(policy: str) -> set[str]:
    found: set[str] = set()
    for statement in properties(policy)["PolicyDocument"]["Statement"]:
        action = statement["Action"]
        found |= {action} if isinstance(action, str) else set(action)
    return found


def test_the_rule_is_the_one_of_the_specification() -> None:
    rule = properties("WorkerToFirehoseRule")
    assert rule["Name"] == names.RULE_NAME == PIPELINE["Outputs"]["RuleName"]["Value"]
    assert rule["EventPattern"] == {
        "source": [names.WORKER_SOURCE],
        "detail-type": [names.PARTICIPATION_PROCESSED, names.REQUEST_FAILED],
    }


def test_the_stream_writes_where_the_lake_is_read() -> None:
    destination = properties("DeliveryStream")["ExtendedS3DestinationConfiguration"]
    assert destination["Prefix"] == names.LAKE_PREFIX
    assert destination["ErrorOutputPrefix"] == names.LAKE_ERROR_PREFIX
    for table in ("ParticipationLogs", "ParticipationLogsProjected"):
        location = properties(table)["TableInput"]["StorageDescriptor"]["Location"]
        assert location == {"Fn::Sub": f"s3://${{LakeBucket}}/{names.LAKE_ROOT}"}


def test_the_table_has_the_contracts_key_indexes_and_expiry() -> None:
    table = properties("RequestTable")
    assert _key(table) == [names.PARTITION_KEY, names.SORT_KEY]
    indexes = {index["IndexName"]: index for index in table["GlobalSecondaryIndexes"]}
    assert {name: _key(index) for name, index in indexes.items()} == {
        names.USER_INDEX: [names.USER_INDEX_PARTITION_KEY, names.USER_INDEX_SORT_KEY],
        names.WINNERS_INDEX: [names.WINNERS_INDEX_PARTITION_KEY, names.WINNERS_INDEX_SORT_KEY],
    }
    assert {index["Projection"]["ProjectionType"] for index in indexes.values()} == {"ALL"}
    assert table["TimeToLiveSpecification"] == {
        "AttributeName": names.TTL_ATTRIBUTE,
        "Enabled": True,
    }
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_the_defaults_are_the_programs_defaults() -> None:
    settings = WorkerSettings.model_fields
    parameters = PIPELINE["Parameters"]
    assert parameters["TableName"]["Default"] == settings["table_name"].default
    assert parameters["EventBusName"]["Default"] == settings["event_bus_name"].default
    assert (
        parameters["VisibilityTimeoutSeconds"]["Default"]
        == settings["visibility_timeout_s"].default
    )


@pytest.mark.parametrize(
    ("resource", "statement_name"),
    [
        ("ParticipationLogs", "create_table"),
        ("ParticipationLogsProjected", "create_projected_table"),
    ],
)
def test_the_lakes_tables_are_those_that_the_ddl_makes(resource: str, statement_name: str) -> None:
    sql = statements.load(statement_name).sql
    table = properties(resource)["TableInput"]
    assert f"EXISTS {table['Name']} (" in sql
    columns, partitions = _ddl(sql)
    storage = table["StorageDescriptor"]
    assert _columns(storage["Columns"]) == columns
    assert _columns(table["PartitionKeys"]) == partitions
    serde = storage["SerdeInfo"]
    assert f"SERDE '{serde['SerializationLibrary']}'" in sql
    assert serde["Parameters"] == {"ignore.malformed.json": "true"}
    stated = dict(re.findall(r"'((?:projection|storage)\.[a-z.]+)'='([^']*)'", sql))
    made = {k: v for k, v in table["Parameters"].items() if k in stated or "." in k}
    made = {k: v["Fn::Sub"] if isinstance(v, dict) else v for k, v in made.items()}
    assert {
        key: value.replace("${LakeBucket}", statements.BUCKET_PLACE).replace("${!", "${")
        for key, value in made.items()
    } == stated


def test_the_lakes_columns_are_the_events_fields() -> None:
    # Glue and the SerDe know lower-case names only.
    columns = _columns(
        properties("ParticipationLogs")["TableInput"]["StorageDescriptor"]["Columns"]
    )
    assert list(columns) == [field.name.lower() for field in fields(ParticipationProcessed)]
    for column, part in {
        "timestamps": Timestamps,
        "delivery": DeliveryInfo,
        "failure": Failure,
        "meta": Meta,
    }.items():
        inner = columns[column].removeprefix("struct<").removesuffix(">").split(",")
        assert [field.split(":")[0] for field in inner] == [f.name.lower() for f in fields(part)]


def test_a_dead_letter_outlives_the_queue_that_it_came_from() -> None:
    # SQS counts a dead letter's age from its first enqueueing.
    retention = [
        properties(queue)["MessageRetentionPeriod"] for queue in ("RequestQueue", "RequestDlq")
    ]
    assert retention[0] < retention[1]


def test_everything_the_lake_is_written_to_expires() -> None:
    rules = properties("LakeBucket")["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"] for rule in rules if "ExpirationInDays" in rule}
    results = properties("WorkGroup")["WorkGroupConfiguration"]["ResultConfiguration"]
    assert results["OutputLocation"] == {"Fn::Sub": "s3://${LakeBucket}/athena-results/"}
    assert expiring == {names.LAKE_ROOT, "athena-results/"}


@pytest.mark.parametrize(
    "data",
    ["RequestTable", "LakeBucket", "RequestQueue", "RequestDlq", "RuleDlq", "LostEventsQueue"],
)
def test_deleting_the_stack_deletes_no_data(data: str) -> None:
    assert RESOURCES[data]["DeletionPolicy"] == "Retain"
    assert RESOURCES[data]["UpdateReplacePolicy"] == "Retain"


def test_the_table_cannot_be_deleted_unless_an_operator_says_so() -> None:
    assert properties("RequestTable")["DeletionProtectionEnabled"] == {
        "Fn::If": ["ProtectsTable", True, False]
    }
    assert PIPELINE["Conditions"]["ProtectsTable"] == {"Fn::Equals": [{"Ref": PROTECTION}, "true"]}
    assert PIPELINE["Parameters"][PROTECTION]["Default"] == "true"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"TableWarmWriteUnits": 40_000},
        {"TableWarmReadUnits": 24_000},
        {"TableWarmWriteUnits": 80_000, "TableWarmReadUnits": 24_000},
        {"Gsi1WarmWriteUnits": 40_000, "Gsi2WarmWriteUnits": 20_000},
    ],
    ids=lambda given: "+".join(given) or "nothing",
)
def test_table_and_indexes_are_warm_for_what_is_asked_and_nothing_else(
    given: dict[str, int],
) -> None:
    table = properties("RequestTable")
    warm = {"Table": table, **{i["IndexName"].title(): i for i in table["GlobalSecondaryIndexes"]}}
    found = {
        f"{name}Warm{units.removesuffix('UnitsPerSecond')}Units": amount
        for name, part in warm.items()
        for units, amount in (_resolved(part["WarmThroughput"], given) or {}).items()
    }
    assert found == given


def test_every_parameter_of_warm_throughput_is_checked_before_an_update() -> None:
    assert {name for name in PIPELINE["Parameters"] if "Warm" in name} == table_checks.WARM.keys()


@pytest.mark.parametrize("name", PIPELINE["Parameters"])
def test_every_parameter_says_what_it_is_and_what_it_may_be(name: str) -> None:
    parameter = PIPELINE["Parameters"][name]
    assert parameter["Description"].endswith((".", ")."))
    assert parameter.keys() & {"AllowedPattern", "AllowedValues", "MinValue"}
    if "AllowedPattern" in parameter:
        assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"])
        assert parameter["ConstraintDescription"]


def test_every_call_of_the_programs_is_allowed_to_somebody() -> None:
    operations = called_operations("aws", "worker", "ingest", "analytics")
    assert operations - ACTIONS.keys() == set()
    needed = set[str]().union(*(ACTIONS[operation] for operation in operations))
    allowed = actions("WorkerPolicy") | actions("IngestPolicy") | actions("OperatorPolicy")
    assert needed - allowed == set()
    # tests/infra/test_operator_policy.py knows what the operators' commands call besides.
    superfluous = (actions("WorkerPolicy") | actions("IngestPolicy")) - needed
    assert superfluous == set()


def test_nobody_may_scan_or_do_everything() -> None:
    for policy in ("WorkerPolicy", "IngestPolicy", "OperatorPolicy"):
        assert not [a for a in actions(policy) if "*" in a or a.endswith(":Scan")]
    for policy in ("WorkerPolicy", "IngestPolicy"):
        for statement in properties(policy)["PolicyDocument"]["Statement"]:
            assert statement["Resource"] != "*"


def test_ingest_reads_one_users_index_and_the_worker_no_index_at_all() -> None:
    assert "dynamodb:Query" not in actions("WorkerPolicy")
    (query,) = [
        statement
        for statement in properties("IngestPolicy")["PolicyDocument"]["Statement"]
        if statement["Action"] == "dynamodb:Query"
    ]
    assert query["Resource"] == {"Fn::Sub": f"${{RequestTable.Arn}}/index/{names.USER_INDEX}"}


def _key(of: dict[str, Any]) -> list[str]:
    assert [part["KeyType"] for part in of["KeySchema"]] == ["HASH", "RANGE"]
    return [part["AttributeName"] for part in of["KeySchema"]]


def _resolved(value: Any, given: dict[str, int]) -> Any:
    """What a WarmThroughput is with these parameters, the others being 0."""
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        condition, then, otherwise = value["Fn::If"]
        (equals,) = PIPELINE["Conditions"][condition]["Fn::Not"]
        parameter, zero = equals["Fn::Equals"]
        is_true = given.get(parameter["Ref"], 0) != zero
        return _resolved(then if is_true else otherwise, given)
    if "Ref" in value:
        return given.get(value["Ref"])
    return {key: _resolved(part, given) for key, part in value.items()}


def _columns(columns: list[dict[str, str]]) -> dict[str, str]:
    return {column["Name"]: column["Type"] for column in columns}


def _ddl(sql: str) -> tuple[dict[str, str], dict[str, str]]:
    """Read a CREATE TABLE's columns and partition columns, all in lower case."""
    match = re.search(
        r"EXISTS \w+ \((.*)\)\s*PARTITIONED BY \((.*?)\)\s*ROW FORMAT", sql, re.DOTALL
    )
    assert match is not None
    columns, partitions = match.groups()

    def read(text: str) -> dict[str, str]:
        found = re.findall(r"(\w+) (struct<[^>]*>|\w+)", text)
        return {name.lower(): re.sub(r"\s", "", kind).lower() for name, kind in found}

    return read(columns), read(partitions)
