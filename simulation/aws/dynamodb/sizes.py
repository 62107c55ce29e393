"""How many bytes DynamoDB counts for an item, and how many units for that many bytes."""

from typing import Final

import orjson

from simulation.aws.dynamodb.evaluate import Attribute, Item

MAX_ITEM_BYTES: Final = 400 * 1_024
"""Names and values of one item (DynamoDB Developer Guide, "Constraints": 400 KB)."""
WRITE_UNIT_BYTES: Final = 1_024
READ_UNIT_BYTES: Final = 4_096
"""What a unit writes, or reads with strong consistency ("DynamoDB read and write operations")."""


def item_bytes(item: Item) -> int:
    """The size of an item: its names and values ("DynamoDB item sizes and formats")."""
    size = 0
    for name, attribute in item.items():
        text = attribute.get("S")
        if text is None:
            size += len(name) + _value_bytes(attribute)
        elif text.isascii():
            size += len(name) + len(text)
        else:
            size += len(name) + len(text.encode())
    return size


def _value_bytes(attribute: Attribute) -> int:
    digits = attribute.get("N")
    if digits is not None:
        # A byte for each two significant digits and one besides; zeros at the ends don't count.
        return (len(digits.strip("-0.").replace(".", "")) + 1) // 2 + 1
    if "BOOL" in attribute or "NULL" in attribute:
        return 1
    # None of our items has binaries, sets, lists or maps: near enough for a test's.
    return len(orjson.dumps(attribute))


def write_units(size_bytes: int) -> int:
    """Write units for an item of that size; an item that is not there costs one."""
    return -(-size_bytes // WRITE_UNIT_BYTES) or 1


def read_units(size_bytes: int, *, consistent: bool) -> float:
    """Read units for that many bytes; reading what is not there costs as much as the least item."""
    units = -(-size_bytes // READ_UNIT_BYTES) or 1
    return units if consistent else units / 2
