"""What DynamoDB would refuse of the table, found before a deployment or a teardown begins."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aws.client import Client
from operations.stacks import StackError
from schema import names

PROTECTION: Final = "TableDeletionProtection"

_WRITES: Final = "WriteUnitsPerSecond"
READS: Final = "ReadUnitsPerSecond"
WARM: Final[Mapping[str, tuple[str | None, str]]] = {
    "TableWarmWriteUnits": (None, _WRITES),
    "TableWarmReadUnits": (None, READS),
    "Gsi1WarmWriteUnits": (names.USER_INDEX, _WRITES),
    "Gsi2WarmWriteUnits": (names.WINNERS_INDEX, _WRITES),
}
"""Parameters of `pipeline.yaml`: the index that each warms, None for the table, and for what."""


async def refuse_lowering(dynamodb: Client, table_name: str, given: Mapping[str, str]) -> None:
    """Raise StackError where a parameter is below what the table or its index is warm for already.

    AWS raises warm throughput with the traffic, never lowers it, and refuses an update that asks
    for less (AWS: "Understanding DynamoDB warm throughput"). 0 asks for nothing.
    """
    wanted = {name: int(given[name]) for name in WARM if given.get(name, "").isdecimal()}
    if not any(wanted.values()):
        return
    table = (await dynamodb.call("DescribeTable", TableName=table_name))["Table"]
    lower = list(_lower(table, wanted))
    if lower:
        raise StackError(
            f"warm throughput of table {table_name} never comes down: {'; '.join(lower)}. "
            "Give that or more, or leave it out"
        )


def _lower(table: Mapping[str, Any], wanted: Mapping[str, int]) -> Iterator[str]:
    parts = {None: table, **{i["IndexName"]: i for i in table.get("GlobalSecondaryIndexes", ())}}
    for name, units in wanted.items():
        index, kind = WARM[name]
        has = parts.get(index, {}).get("WarmThroughput", {}).get(kind, 0)
        if 0 < units < has:
            yield f"{name}={units}, but it has {has}"


async def refuse_protected(dynamodb: Client, table_name: str, stack: str) -> None:
    """Raise StackError where the table is protected against deletion."""
    table = (await dynamodb.call("DescribeTable", TableName=table_name))["Table"]
    if table.get("DeletionProtectionEnabled"):
        raise StackError(
            f"table {table_name} is protected against deletion; to delete it, first run "
            f"`participation deploy --stack {stack} --set {PROTECTION}=false`"
        )
