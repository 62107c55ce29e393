"""The SDK's clients read answers with our parser exactly as with their own."""

from datetime import UTC, datetime
from typing import Any

import botocore.session
import orjson
import pytest
from aiobotocore.parsers import AioJSONParser
from botocore.model import Shape
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from aws.sdk_parser import PlainJsonParser, PlainParserFactory, converted_fields

_MODELS = {
    service: botocore.session.get_session().get_service_model(service)
    for service in ("sqs", "dynamodb", "events")
}
_TEXTS = st.text(max_size=8)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.builds(lambda text: {"S": text}, _TEXTS),
        st.builds(lambda number: {"N": str(number)}, st.integers()),
        st.builds(lambda flag: {"BOOL": flag}, st.booleans()),
        st.just({"NULL": True}),
        st.just({"S": "x", "N": None}),
        st.just({"B": "AAEC"}),
        st.just({"BS": ["AAEC", "/w=="]}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda values: {"L": values}, st.lists(inner, max_size=3)),
        st.builds(lambda values: {"M": values}, st.dictionaries(_TEXTS, inner, max_size=3)),
    ),
    max_leaves=6,
)
_ITEMS = st.dictionaries(_TEXTS, _VALUES, max_size=5)


def _output(service: str, operation: str) -> Shape:
    shape: Shape = _MODELS[service].operation_model(operation).output_shape
    return shape


async def _parse(parser: AioJSONParser, shape: Shape, body: bytes) -> dict[str, Any]:
    response = {"status_code": 200, "headers": {"x-amzn-RequestId": "r"}, "body": body}
    parsed: dict[str, Any] = await parser.parse(response, shape)
    return parsed


async def _same(service: str, operation: str, document: object) -> dict[str, Any]:
    shape, body = _output(service, operation), orjson.dumps(document)
    ours = await _parse(PlainJsonParser(), shape, body)
    assert ours == await _parse(AioJSONParser(), shape, body)
    return ours


@given(items=st.lists(_ITEMS, max_size=3), unprocessed=st.booleans())
async def test_items_are_read_as_the_sdk_reads_them(
    items: list[dict[str, Any]],
    unprocessed: bool,  # noqa: FBT001 - hypothesis passes it
) -> None:
    keys = {"table": {"Keys": items, "ConsistentRead": True}}
    await _same(
        "dynamodb",
        "BatchGetItem",
        {"Responses": {"table": items}, "UnprocessedKeys": keys if unprocessed else None},
    )


async def test_bytes_are_bytes() -> None:
    item = {"a": {"B": "AAEC"}}

    answer = await _same("dynamodb", "GetItem", {"Item": item})

    assert answer["Item"] == {"a": {"B": b"\x00\x01\x02"}}


async def test_bytes_in_a_message_s_attributes_are_bytes() -> None:
    message = {
        "MessageId": "m",
        "Body": "{}",
        "MessageAttributes": {"a": {"DataType": "Binary", "BinaryValue": "AAEC"}},
    }

    answer = await _same("sqs", "ReceiveMessage", {"Messages": [message]})

    assert answer["Messages"][0]["MessageAttributes"]["a"]["BinaryValue"] == b"\x00\x01\x02"


async def test_times_are_times() -> None:
    table = {"TableName": "t", "CreationDateTime": 1_767_225_600.0}

    answer = await _same("dynamodb", "DescribeTable", {"Table": table})

    assert answer["Table"]["CreationDateTime"] == datetime(2026, 1, 1, tzinfo=UTC)


async def test_an_answer_without_a_body_has_no_fields() -> None:
    shape = _output("events", "TagResource")  # none is known for it

    answer = await _parse(PlainJsonParser(), shape, b"")

    assert set(answer) == {"ResponseMetadata"}


@pytest.mark.parametrize("body", [b"", b"<html>proxy</html>", b"[]", b'"text"', b'{"half":'])
async def test_an_answer_that_is_not_an_object_is_an_error(body: bytes) -> None:
    with pytest.raises(ResponseParserError):
        await _parse(PlainJsonParser(), _output("dynamodb", "TransactWriteItems"), body)


def test_the_hot_operations_are_not_walked() -> None:
    for service, operation in (
        ("sqs", "DeleteMessageBatch"),
        ("dynamodb", "TransactWriteItems"),
        ("events", "PutEvents"),
    ):
        fields = converted_fields(_output(service, operation))
        assert fields is not None
        assert set(fields) <= {b'"B"', b'"BS"'}


def test_other_protocols_have_the_sdk_s_parser() -> None:
    factory = PlainParserFactory()

    assert type(factory.create_parser("query")).__module__.startswith("aiobotocore")
    assert isinstance(factory.create_parser("json"), PlainJsonParser)
