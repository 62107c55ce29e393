"""DynamoDB attribute values: the four types that our items use, to and from Python."""

from collections.abc import Mapping
from typing import Final, TypeAlias

AttributeValue: TypeAlias = Mapping[str, str | bool]
"""One of {"S": text}, {"N": digits}, {"BOOL": flag}, {"NULL": True}."""
Item: TypeAlias = Mapping[str, AttributeValue]

NULL: Final[AttributeValue] = {"NULL": True}
_FLAGS: Final[Mapping[bool, AttributeValue]] = {flag: {"BOOL": flag} for flag in (False, True)}
_MOST: Final = 2**53 - 1
_LEAST: Final = -_MOST
"""RFC 8259, section 6: whole numbers beyond these are not the same everywhere."""


class ItemError(ValueError):
    """A stored item lacks an attribute, or holds one of a type that the contract does not allow."""


def encode(value: str | int | bool | None) -> AttributeValue:  # noqa: FBT001 - a value, not a switch
    """Turn a Python value into an attribute value."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return _FLAGS[value]
    return NULL if value is None else {"N": str(value)}


def text(item: Item, name: str) -> str:
    """Read a required text attribute; raises ItemError."""
    value = optional_text(item, name)
    if value is None:
        raise ItemError(f"attribute {name!r} is missing")
    return value


def optional_text(item: Item, name: str) -> str | None:
    """Read a text attribute that may be absent or NULL; raises ItemError on another type."""
    attribute = item.get(name)
    return None if attribute is None else text_of(attribute, name)


def text_of(attribute: AttributeValue, name: str) -> str | None:
    """The text that an attribute holds, or None for NULL; raises ItemError on another type."""
    value = attribute.get("S")
    if isinstance(value, str):
        return value
    if "NULL" in attribute:
        return None
    raise ItemError(f"attribute {name!r} is not a string: {dict(attribute)!r}")


def integer(item: Item, name: str) -> int:
    """Read a required whole number; raises ItemError."""
    value = optional_integer(item, name)
    if value is None:
        raise ItemError(f"attribute {name!r} is missing")
    return value


def optional_integer(item: Item, name: str) -> int | None:
    """Read a whole number that may be absent or NULL; raises ItemError on another type."""
    attribute = item.get(name)
    return None if attribute is None else integer_of(attribute, name)


def integer_of(attribute: AttributeValue, name: str) -> int | None:
    """The whole number that an attribute holds, or None for NULL; raises ItemError otherwise."""
    if "NULL" in attribute:
        return None
    try:
        number = int(attribute["N"])
    except (KeyError, ValueError):
        raise ItemError(f"attribute {name!r} is not a whole number: {dict(attribute)!r}") from None
    if not _LEAST <= number <= _MOST:
        raise ItemError(f"attribute {name!r} is beyond what JSON's readers count exactly: {number}")
    return number


def flag_of(attribute: AttributeValue, name: str) -> bool | None:
    """The flag that an attribute holds, or None for NULL; raises ItemError on another type."""
    value = attribute.get("BOOL")
    if isinstance(value, bool):
        return value
    if "NULL" in attribute:
        return None
    raise ItemError(f"attribute {name!r} is not a flag: {dict(attribute)!r}")
