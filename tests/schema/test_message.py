"""The message body, and the defect of one that cannot be read."""

import orjson
import pytest

from schema import message
from schema.keys import MAX_TIME_MS
from schema.message import (
    MAX_ID_BYTES,
    DefectReason,
    MessageDefect,
    ParticipationMessage,
    is_possible_id,
)

IDS: dict[str, object] = {"requestId": "r1", "eventId": "e1", "userId": "u1"}


def decode(**fields: object) -> ParticipationMessage | MessageDefect:
    return message.decode(orjson.dumps(IDS | fields).decode())


def reason_of(body: str) -> DefectReason:
    read = message.decode(body)
    assert isinstance(read, MessageDefect)
    return read.reason


def test_the_body_holds_the_ids_alone_where_the_item_holds_queued_at() -> None:
    assert orjson.loads(ParticipationMessage("r1", "e1", "u1").encode()) == IDS


def test_the_body_carries_queued_at_where_a_producer_set_it() -> None:
    encoded = ParticipationMessage("r1", "e1", "u1", 1_704_290_000_000).encode()

    assert orjson.loads(encoded) == IDS | {"queuedAt": 1_704_290_000_000}


def test_unknown_fields_are_ignored() -> None:
    assert decode(traceId="t1") == ParticipationMessage("r1", "e1", "u1")


def test_a_null_queued_at_is_none() -> None:
    assert decode(queuedAt=None) == ParticipationMessage("r1", "e1", "u1")


@pytest.mark.parametrize("body", ["", "{", "nonsense", "{'requestId': 'r1'}", "\ud800", "NaN"])
def test_a_body_that_is_not_json_is_reported_as_such(body: str) -> None:
    assert reason_of(body) is DefectReason.BODY_NOT_JSON


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "true"])
def test_a_body_that_is_not_an_object_is_reported_as_such(body: str) -> None:
    assert reason_of(body) is DefectReason.BODY_NOT_AN_OBJECT


def test_a_body_of_endless_depth_is_a_defect() -> None:
    assert reason_of("[" * 100_000) is DefectReason.BODY_NOT_JSON


@pytest.mark.parametrize("name", ["requestId", "eventId", "userId"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, DefectReason.FIELD_MISSING),
        (1, DefectReason.FIELD_WRONG_TYPE),
        (["r1"], DefectReason.FIELD_WRONG_TYPE),
        ("", DefectReason.FIELD_OUT_OF_RANGE),
        ("x" * (MAX_ID_BYTES + 1), DefectReason.FIELD_OUT_OF_RANGE),
        ("가" * (MAX_ID_BYTES // 3 + 1), DefectReason.FIELD_OUT_OF_RANGE),
    ],
)
def test_a_wrong_id_is_named_with_its_field(name: str, value: object, reason: DefectReason) -> None:
    defect = decode(**{name: value})

    assert isinstance(defect, MessageDefect)
    assert defect.reason is reason
    assert defect.detail.startswith(name)


def test_an_absent_id_is_missing() -> None:
    assert reason_of('{"requestId": "r1", "eventId": "e1"}') is DefectReason.FIELD_MISSING


def test_an_id_of_the_greatest_length_is_accepted() -> None:
    longest = "x" * MAX_ID_BYTES

    assert decode(userId=longest) == ParticipationMessage("r1", "e1", longest)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1704290000000", DefectReason.FIELD_WRONG_TYPE),
        (1.5, DefectReason.FIELD_WRONG_TYPE),
        (True, DefectReason.FIELD_WRONG_TYPE),
        (0, DefectReason.FIELD_OUT_OF_RANGE),
        (-1, DefectReason.FIELD_OUT_OF_RANGE),
        (MAX_TIME_MS + 1, DefectReason.FIELD_OUT_OF_RANGE),
    ],
)
def test_a_wrong_queued_at_is_a_defect(value: object, reason: DefectReason) -> None:
    defect = decode(queuedAt=value)

    assert isinstance(defect, MessageDefect)
    assert defect.reason is reason


def test_a_defect_keeps_the_ids_that_could_be_read() -> None:
    defect = decode(userId=7)

    assert isinstance(defect, MessageDefect)
    assert (defect.request_id, defect.event_id) == ("r1", "e1")


def test_a_defect_leaves_out_values_that_are_not_ids() -> None:
    defect = decode(requestId=7, eventId="")

    assert isinstance(defect, MessageDefect)
    assert (defect.request_id, defect.event_id) == (None, None)


@pytest.mark.parametrize("text", ["user-1", "한국어", "é" * 256, " ", "a/b"])
def test_what_key_message_and_log_can_hold_is_a_possible_id(text: str) -> None:
    assert is_possible_id(text)


@pytest.mark.parametrize(
    "text",
    ["", "x" * 513, "é" * 257, "a\n", "\0", "\x7f", "\x85", "\ud800", "\ufffe", "a\uffff"],
    ids=ascii,
)
def test_other_texts_are_no_ids(text: str) -> None:
    assert not is_possible_id(text)
