"""The decorator of values: frozen for the type checker, and as cheap to make as a plain class.

A frozen dataclass sets each field through `object.__setattr__`, which for the six values made from
each message is a tenth of the worker's cost (bench/PROFILE.md). mypy still refuses an
assignment to a field, as it sees `dataclasses.dataclass` here.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

__all__ = ["value"]

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:

    def value(*, frozen: bool, slots: bool, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
        """Make a dataclass with equality and a hash, whose fields are set like any other's."""
        if not frozen:
            raise TypeError("a value is frozen: write @value(frozen=True, slots=True)")
        return dataclasses.dataclass(slots=slots, kw_only=kw_only, unsafe_hash=True)
