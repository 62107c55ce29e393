"""A faster parser of successful JSON answers for the SDK's clients, at its own extension point.

The SDK walks its model over every value of an answer, a third of a call's cost, although this
changes nothing for DynamoDB and SQS. Here the document is passed on as it came, unless it holds a
field that the model would convert (bytes, times, texts that are JSON themselves).
"""

from typing import Any, Final

import orjson
from aiobotocore.parsers import AioJSONParser, AioResponseParserFactory
from aiobotocore.session import AioSession, get_session
from botocore.model import Shape
from botocore.parsers import ResponseParserError

from aws.lean.json import without_nulls

_CONVERTED: Final = frozenset({"blob", "timestamp"})


class PlainJsonParser(AioJSONParser):  # type: ignore[misc]  # aiobotocore has no types
    """Passes successful answers on without their nulls; everything else is the SDK's."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._converted_fields: dict[str, tuple[bytes, ...] | None] = {}

    def _handle_json_body(self, raw_body: bytes, shape: Shape) -> Any:
        if not raw_body and shape.members:
            # The SDK would take it for an answer without fields: a transaction would count as done.
            raise ResponseParserError("the answer has no body")
        name = shape.name
        if name not in self._converted_fields:
            self._converted_fields[name] = converted_fields(shape)
        converted = self._converted_fields[name]
        if not raw_body or converted is None or any(field in raw_body for field in converted):
            return super()._handle_json_body(raw_body, shape)
        try:
            document = orjson.loads(raw_body)
        except orjson.JSONDecodeError as error:
            raise ResponseParserError(str(error)) from error  # as above
        if not isinstance(document, dict):
            raise ResponseParserError("the answer is not a JSON object")
        return without_nulls(document) if b"null" in raw_body else document


class PlainParserFactory(AioResponseParserFactory):  # type: ignore[misc]  # no types
    """Makes our parser for the JSON protocol, and the SDK's for any other."""

    def __init__(self) -> None:
        super().__init__()
        self._json_parser: PlainJsonParser | None = None

    def create_parser(self, protocol_name: str) -> Any:
        """A parser of answers in one of AWS's protocols."""
        if protocol_name != "json":
            return super().create_parser(protocol_name)
        if self._json_parser is None:
            self._json_parser = PlainJsonParser(**self._defaults)
        return self._json_parser


def session_with_plain_parser() -> AioSession:
    """An SDK session whose clients read JSON answers with our parser."""
    session = get_session()
    session.register_component("response_parser_factory", PlainParserFactory())
    return session


def converted_fields(shape: Shape) -> tuple[bytes, ...] | None:
    """The fields below a shape, quoted, whose values the SDK would convert.

    None where it does more than that: renames fields, reads streams of events or open documents, or
    keeps only the known fields, as it does for errors.
    """
    if shape.metadata.get("exception"):
        return None
    found: set[str] = set()
    try:
        _collect(shape, "", found, set())
    except _RenamedError:
        return None
    return tuple(f'"{name}"'.encode() for name in sorted(found))


class _RenamedError(Exception):
    """The model does more to this shape than convert values."""


def _collect(shape: Shape, field: str, found: set[str], seen: set[tuple[str, str]]) -> None:
    if shape.type_name in _CONVERTED or shape.serialization.get("jsonvalue"):
        found.add(field)
    if (shape.name, field) in seen:
        return
    seen.add((shape.name, field))
    if shape.type_name == "structure":
        if shape.event_stream_name or shape.is_document_type or shape.is_tagged_union:
            raise _RenamedError
        for name, member in shape.members.items():
            if member.serialization.get("name", name) != name:
                raise _RenamedError
            _collect(member, name, found, seen)
    elif shape.type_name == "list":
        _collect(shape.member, field, found, seen)
    elif shape.type_name == "map":
        _collect(shape.value, field, found, seen)
