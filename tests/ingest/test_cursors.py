"""Cursors: they come back as they went, for their user alone, and in one spelling alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cursors import MAX_CURSOR_CHARS, Cursors, InvalidCursor
from ingest.gateway import Position
from schema.keys import MAX_TIME_MS
from schema.message import is_possible_id

CURSORS = Cursors(b"a key")
USERS = st.text(min_size=1, max_size=50)
POSITIONS = st.builds(
    Position,
    queued_at_ms=st.integers(0, MAX_TIME_MS),
    request_id=st.text(min_size=1, max_size=50).filter(is_possible_id),
)


@given(user=USERS, position=POSITIONS)
def test_a_cursor_comes_back_as_the_position_it_was_made_of(user: str, position: Position) -> None:
    cursor = CURSORS.write(user, position)

    assert CURSORS.read(user, cursor) == position
    assert len(cursor) <= MAX_CURSOR_CHARS


@given(user=USERS, other=USERS, position=POSITIONS)
def test_a_cursor_is_of_no_use_to_another_user(user: str, other: str, position: Position) -> None:
    cursor = CURSORS.write(user, position)

    if other != user:
        with pytest.raises(InvalidCursor):
            CURSORS.read(other, cursor)


@given(user=USERS, position=POSITIONS, data=st.data())
def test_a_changed_cursor_is_refused(user: str, position: Position, data: st.DataObject) -> None:
    cursor = CURSORS.write(user, position)
    at = data.draw(st.integers(0, len(cursor) - 1))
    character = data.draw(st.characters(codec="ascii"))
    changed = data.draw(
        st.sampled_from(
            [
                cursor[:at] + character + cursor[at + 1 :],
                cursor[:at] + cursor[at + 1 :],
                cursor[:at] + character + cursor[at:],
                cursor[:at],
            ]
        )
    )

    if changed != cursor:
        with pytest.raises(InvalidCursor):
            CURSORS.read(user, changed)


@given(st.text(max_size=80))
def test_no_text_makes_anything_but_a_refusal(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.read("user-1", text)


def test_a_cursor_made_with_another_key_is_refused() -> None:
    cursor = Cursors(b"another key").write("user-1", Position(1, "request"))

    with pytest.raises(InvalidCursor):
        CURSORS.read("user-1", cursor)


def test_a_cursor_reveals_nothing_of_others_to_its_user() -> None:
    assert "user-1" not in CURSORS.write("user-1", Position(1, "request"))


def test_equal_keys_make_cursors_that_every_process_reads() -> None:
    cursor = Cursors(b"a key").write("user-1", Position(5, "request"))

    assert Cursors(b"a key").read("user-1", cursor) == Position(5, "request")
