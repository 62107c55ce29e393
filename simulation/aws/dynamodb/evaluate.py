"""What the parts of an expression do to an item: functions from an item and values to a result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol, TypeAlias

from simulation.aws.errors import validation

Attribute: TypeAlias = Mapping[str, Any]
"""One of {"S": text}, {"N": digits}, {"BOOL": flag}, {"NULL": True}, …"""
Item: TypeAlias = Mapping[str, Attribute]


class Values(Protocol):
    """Found by name (`:value`) in expressions, by position in PartiQL."""

    def __getitem__(self, key: Any, /) -> Attribute:
        """The value given."""
        ...


Operand: TypeAlias = Callable[[Item, Values], Attribute | None]
Test: TypeAlias = Callable[[Item, Values], bool]

COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def number(attribute: Attribute) -> int | Decimal:
    """The value of a number attribute; raises a validation error for any other."""
    digits = attribute.get("N")
    if digits is None:
        raise validation("An operand in the expression has an incorrect data type")
    try:
        return int(digits)
    except ValueError:
        return Decimal(digits)


@dataclass(frozen=True, slots=True)
class Named:
    """An attribute of the item, by its name."""

    name: str

    def __call__(self, item: Item, values: Values) -> Attribute | None:
        return item.get(self.name)


@dataclass(frozen=True, slots=True)
class Given:
    """A value that came with the expression."""

    key: str | int

    def __call__(self, item: Item, values: Values) -> Attribute:
        return values[self.key]


def total(left: Operand, right: Operand, sign: int, *, missing_is_0: bool = False) -> Operand:
    def add(item: Item, values: Values) -> Attribute | None:
        augend, addend = left(item, values), right(item, values)
        if addend is None or (augend is None and not missing_is_0):
            return None
        return {"N": str((number(augend) if augend else 0) + sign * number(addend))}

    return add


def both(left: Test, right: Test) -> Test:
    return lambda item, values: left(item, values) and right(item, values)


@dataclass(frozen=True, slots=True)
class AttributeEquals:
    """An attribute is what was given: the most frequent of all tests."""

    name: str
    key: str | int

    def __call__(self, item: Item, values: Values) -> bool:
        stored, given = item.get(self.name), values[self.key]
        return stored == given or same(stored, given)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Several conditions together."""

    tests: tuple[Test, ...]

    def __call__(self, item: Item, values: Values) -> bool:
        return all(test(item, values) for test in self.tests)


def all_of(tests: Sequence[Test]) -> Test:
    return tests[0] if len(tests) == 1 else AllOf(tuple(tests))


def conjuncts(test: Test) -> tuple[Test, ...]:
    return test.tests if isinstance(test, AllOf) else (test,)


def as_function(test: Test) -> Test:
    """The same test in the form that is called fastest."""
    return test.__call__ if isinstance(test, AllOf | AttributeEquals) else test


def either(left: Test, right: Test) -> Test:
    return lambda item, values: left(item, values) or right(item, values)


def same(left: Attribute | None, right: Attribute | None) -> bool:
    if left is None or right is None:
        return False
    return left == right or ("N" in left and "N" in right and number(left) == number(right))


def equal(left: Operand, right: Operand, *, wanted: bool) -> Test:
    if wanted and isinstance(left, Named) and isinstance(right, Given):
        return AttributeEquals(left.name, right.key)
    return lambda item, values: same(left(item, values), right(item, values)) is wanted


def one_of(left: Operand, members: list[Operand]) -> Test:
    return lambda item, values: any(
        same(left(item, values), member(item, values)) for member in members
    )


def exists(subject: Operand, *, wanted: bool) -> Test:
    return lambda item, values: (subject(item, values) is not None) is wanted


def begins(subject: Operand, prefix: Operand) -> Test:
    def begins(item: Item, values: Values) -> bool:
        text, start = subject(item, values), prefix(item, values)
        return text is not None and start is not None and str(text["S"]).startswith(start["S"])

    return begins


def ordered(left: Operand, right: Operand, compare: Callable[[Any, Any], bool]) -> Test:
    def test(item: Item, values: Values) -> bool:
        first, second = left(item, values), right(item, values)
        if first is None or second is None:
            return False
        if "N" in first and "N" in second:
            return compare(number(first), number(second))
        return "S" in first and "S" in second and compare(first["S"], second["S"])

    return test
