"""The JSON Schemas: valid themselves, exact in what they accept."""

import dataclasses
from copy import deepcopy
from typing import Any

import jsonschema
import orjson
import pytest

from schema import events, json_schemas, names
from schema.events import ParticipationProcessed, ParticipationRequested, RequestFailed
from schema.states import ResultCode
from tests.schema.test_events import G1_EXAMPLE

DETAIL_TYPES = {
    names.PARTICIPATION_PROCESSED: ParticipationProcessed,
    names.REQUEST_FAILED: RequestFailed,
    names.PARTICIPATION_REQUESTED: ParticipationRequested,
}


def processed() -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(G1_EXAMPLE)
    return document


def is_valid(document: dict[str, Any], detail_type: str = names.PARTICIPATION_PROCESSED) -> bool:
    return jsonschema.Draft202012Validator(json_schemas.load(detail_type)).is_valid(document)


@pytest.mark.parametrize("detail_type", list(DETAIL_TYPES))
def test_each_schema_is_a_valid_schema(detail_type: str) -> None:
    document = json_schemas.load(detail_type)

    jsonschema.Draft202012Validator.check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["title"] == detail_type


@pytest.mark.parametrize(("detail_type", "kind"), list(DETAIL_TYPES.items()))
def test_each_schema_requires_every_field_of_its_event_and_knows_no_other(
    detail_type: str, kind: type
) -> None:
    document = json_schemas.load(detail_type)
    fields = {field.name for field in dataclasses.fields(kind)}

    assert set(document["required"]) == set(document["properties"]) == fields
    assert document["additionalProperties"] is False


def test_the_schema_knows_exactly_the_result_codes_that_there_are() -> None:
    known = json_schemas.load(names.PARTICIPATION_PROCESSED)["properties"]["resultCode"]["enum"]

    assert known == [code.value for code in ResultCode]


def test_an_unknown_detail_type_has_no_schema() -> None:
    with pytest.raises(FileNotFoundError):
        json_schemas.load("Unheard")


def test_g1_s_example_is_valid() -> None:
    assert is_valid(processed())


@pytest.mark.parametrize(
    "path",
    [
        (name,) if not isinstance(value, dict) else (name, inner)
        for name, value in orjson.loads(G1_EXAMPLE).items()
        for inner in (value if isinstance(value, dict) else [""])
    ],
)
def test_an_event_that_lacks_any_field_is_invalid(path: tuple[str, ...]) -> None:
    document = processed()
    parent = document if len(path) == 1 else document[path[0]]
    del parent[path[-1]]

    assert not is_valid(document)


@pytest.mark.parametrize("parent", ["", "timestamps", "delivery", "failure", "meta"])
def test_an_event_with_another_field_is_invalid(parent: str) -> None:
    document = processed()
    (document[parent] if parent else document)["more"] = 1

    assert not is_valid(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("finalStatus", "QUEUED"),
        ("finalStatus", "PROCESSING"),
        ("resultCode", "OTHER"),
        ("schemaVersion", 2),
        ("schemaVersion", "1"),
        ("requestId", None),
        ("requestId", ""),
        ("timestamps", None),
        ("failure", None),
    ],
)
def test_a_value_outside_the_contract_is_invalid(path: str, value: object) -> None:
    document = deepcopy(processed())
    document[path] = value

    assert not is_valid(document)


@pytest.mark.parametrize("value", [1_704_290_000.5, "1704290000000", None, 0])
def test_a_time_is_whole_milliseconds(value: object) -> None:
    document = processed()
    document["timestamps"]["queuedAt"] = value

    assert not is_valid(document)


def test_an_error_message_has_256_characters_at_most() -> None:
    document = processed()
    document["failure"]["errorMessage"] = "x" * 256
    assert is_valid(document)

    document["failure"]["errorMessage"] = "x" * 257
    assert not is_valid(document)


def test_a_click_s_event_is_valid() -> None:
    event = ParticipationRequested(env="dev", eventId="e1", requestId="r1", userId="u1", queuedAt=1)

    assert is_valid(orjson.loads(events.encode(event)), names.PARTICIPATION_REQUESTED)
