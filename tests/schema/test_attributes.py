"""Attribute values to and from Python."""

from collections.abc import Callable

import pytest

from schema import attributes
from schema.attributes import Item, ItemError


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("text", {"S": "text"}),
        ("", {"S": ""}),
        (7, {"N": "7"}),
        (-1, {"N": "-1"}),
        (True, {"BOOL": True}),
        (False, {"BOOL": False}),
        (None, {"NULL": True}),
    ],
)
def test_each_type_has_its_own_form(value: str | int | None, encoded: object) -> None:
    assert attributes.encode(value) == encoded


def flag(item: Item, name: str) -> bool | None:
    return attributes.flag_of(item[name], name)


@pytest.mark.parametrize("item", [{}, {"a": {"NULL": True}}])
def test_absent_and_null_are_the_same(item: Item) -> None:
    assert attributes.optional_text(item, "a") is None
    assert attributes.optional_integer(item, "a") is None
    for attribute in item.values():
        assert attributes.flag_of(attribute, "a") is None


@pytest.mark.parametrize("read", [attributes.text, attributes.integer])
def test_a_required_attribute_that_is_missing_is_named(
    read: Callable[[Item, str], object],
) -> None:
    with pytest.raises(ItemError, match="attribute 'userId' is missing"):
        read({}, "userId")


@pytest.mark.parametrize(
    ("read", "item"),
    [
        (attributes.text, {"a": {"N": "1"}}),
        (attributes.text, {"a": {"BOOL": True}}),
        (attributes.integer, {"a": {"S": "1"}}),
        (attributes.integer, {"a": {"N": "1.5"}}),
        (attributes.integer, {"a": {"N": "1E5"}}),
        (attributes.integer, {"a": {"BOOL": True}}),
        (flag, {"a": {"S": "true"}}),
        (flag, {"a": {"BOOL": "true"}}),
    ],
)
def test_another_type_than_the_contract_s_is_an_error(
    read: Callable[[Item, str], object], item: Item
) -> None:
    with pytest.raises(ItemError, match="attribute 'a' is not a"):
        read(item, "a")


@pytest.mark.parametrize("digits", ["9007199254740992", "-9007199254740992", "9" * 38])
def test_a_number_that_json_s_readers_would_round_is_an_error(digits: str) -> None:
    with pytest.raises(ItemError, match="attribute 'a' is beyond"):
        attributes.integer({"a": {"N": digits}}, "a")
