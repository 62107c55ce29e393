"""Values compare and hash by their fields."""

import pytest

from schema.values import value


@value(frozen=True, slots=True)
class Seat:
    row: int
    number: int = 1


def test_equal_fields_make_equal_values() -> None:
    assert Seat(1) == Seat(1, 1)
    assert {Seat(1), Seat(1, 1), Seat(2)} == {Seat(1), Seat(2)}


def test_a_value_has_no_room_for_other_fields() -> None:
    with pytest.raises(AttributeError):
        Seat(1).column = 2  # type: ignore[attr-defined]


def test_a_value_must_say_that_it_is_frozen() -> None:
    with pytest.raises(TypeError, match="frozen=True"):
        value(frozen=False, slots=True)
