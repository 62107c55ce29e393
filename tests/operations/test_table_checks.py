"""A deployment or a teardown that DynamoDB would refuse is refused before it begins."""

from typing import Any

import pytest

from operations.stacks import StackError
from operations.table_checks import refuse_lowering, refuse_protected
from schema import names


class Dynamodb:
    """Describes a table that traffic has warmed; no model or emulator knows warm throughput."""

    def __init__(self, table_name: str = "T") -> None:
        self.calls = 0
        self._table_name = table_name

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        assert (operation, parameters) == ("DescribeTable", {"TableName": self._table_name})
        self.calls += 1
        return {
            "Table": {
                "WarmThroughput": {"WriteUnitsPerSecond": 25_000, "ReadUnitsPerSecond": 12_000},
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": names.USER_INDEX,
                        "WarmThroughput": {"WriteUnitsPerSecond": 18_000},
                    },
                    {
                        "IndexName": names.WINNERS_INDEX,
                        "WarmThroughput": {"WriteUnitsPerSecond": 4_000},
                    },
                ],
                "DeletionProtectionEnabled": True,
            }
        }


@pytest.mark.parametrize(
    ("parameter", "has"),
    [
        ("TableWarmWriteUnits", 25_000),
        ("TableWarmReadUnits", 12_000),
        ("Gsi1WarmWriteUnits", 18_000),
        ("Gsi2WarmWriteUnits", 4_000),
    ],
)
async def test_less_than_the_table_is_warm_for_is_refused_and_as_much_is_not(
    parameter: str, has: int
) -> None:
    await refuse_lowering(Dynamodb(), "T", {parameter: str(has)})
    with pytest.raises(StackError, match=f"{parameter}={has - 1}, but it has {has}"):
        await refuse_lowering(Dynamodb(), "T", {parameter: str(has - 1)})


async def test_everything_that_would_be_lowered_is_named() -> None:
    given = {"TableWarmWriteUnits": "20000", "Gsi1WarmWriteUnits": "1", "TableName": "T"}
    with pytest.raises(StackError) as caught:
        await refuse_lowering(Dynamodb(), "T", given)
    assert "TableWarmWriteUnits=20000" in str(caught.value)
    assert "Gsi1WarmWriteUnits=1" in str(caught.value)


@pytest.mark.parametrize("given", [{}, {"TableWarmWriteUnits": "0"}, {"TableWarmWriteUnits": "x"}])
async def test_who_asks_for_no_warmth_needs_no_answer(given: dict[str, str]) -> None:
    dynamodb = Dynamodb()
    await refuse_lowering(dynamodb, "T", given)
    assert dynamodb.calls == 0


async def test_how_to_delete_a_protected_table_is_said() -> None:
    with pytest.raises(StackError, match="--stack S --set TableDeletionProtection=false"):
        await refuse_protected(Dynamodb(), "T", "S")
