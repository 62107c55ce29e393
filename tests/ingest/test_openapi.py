"""The service against its own description: schemathesis, over a gateway in memory."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from ingest.authentication import cursor_key
from ingest.cursors import Cursors
from ingest.endpoints import DEFAULT_LIMIT, MAX_LIMIT
from ingest.gateway import Event, Position
from ingest.openapi import text
from ingest.waiting import MAX_WAIT_S
from schema.items import RequestItem
from schema.states import ResultCode, Status
from tests.ingest.support import EVENT, MemoryGateway, Service, bearer, many, settings_of, stored


class Crowded(MemoryGateway):
    """Knows about half of all events and requests that anybody asks for."""

    async def load_event(self, event_id: str) -> Event | None:
        return Event(replace(EVENT, event_id=event_id)) if len(event_id) % 2 else None

    async def load_request(self, request_id: str) -> RequestItem | None:
        known = stored("user-1", 5, request_id=request_id) if len(request_id) % 2 else None
        return await super().load_request(request_id) or known


def service() -> Service:
    crowded = Crowded()
    crowded.requests = {item.request_id: item for item in many("user-1", 150)}
    return Service(crowded)


CURSOR = Cursors(cursor_key(settings_of())).write("user-1", Position(1_100, "request"))

DOCUMENT: dict[str, Any] = orjson.loads(text())

# With room for nobody: no answer is waited for.
schema = schemathesis.openapi.from_asgi("/openapi.json", service().app(max_waiting_requests=0))


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case: schemathesis.Case[Any]) -> None:
    # No schema can say which texts are cursors: some are replaced by one that is.
    excluded: list[Any] = []
    if (given := case.query.get("cursor")) is not None:
        if isinstance(given, str) and len(given) % 2:
            case.query["cursor"] = CURSOR
        else:
            excluded = [positive_data_acceptance]
    # Where a bad header is the point of the case, a good token would make it a good request.
    header = None if case.meta is None else case.meta.components.get(ParameterLocation.HEADER)
    trusted = header is None or header.mode is GenerationMode.POSITIVE
    case.call_and_validate(headers=bearer("user-1") if trusted else None, excluded_checks=excluded)


async def test_the_description_is_served_to_anybody() -> None:
    async with Service().client() as http:
        answer = await http.get("/openapi.json")

    assert answer.status_code == 200
    assert answer.json() == DOCUMENT


async def test_every_route_is_described_and_every_description_has_a_route() -> None:
    async with Service().client() as http:
        for path, operations in DOCUMENT["paths"].items():
            for method in ("get", "post", "put", "patch", "delete"):
                concrete = path.replace("{eventId}", "event-1").replace("{requestId}", "x")
                answer = await http.request(method.upper(), concrete, headers=bearer("user-1"))
                assert (answer.status_code != 405) == (method in operations), (method, path)
                if method in operations:
                    assert str(answer.status_code) in operations[method]["responses"], path


def test_result_codes_statuses_and_the_longest_wait_are_those_of_the_description() -> None:
    properties = DOCUMENT["components"]["schemas"]["Request"]["properties"]
    (_, wait) = DOCUMENT["paths"]["/requests/{requestId}"]["get"]["parameters"]

    assert properties["resultCode"]["enum"] == [*ResultCode, None]
    assert properties["status"]["enum"] == list(Status)
    assert wait["schema"] == {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_S, "default": 0}


def test_the_list_s_limits_are_those_of_the_description() -> None:
    (limit, _) = DOCUMENT["paths"]["/me/participations"]["get"]["parameters"]

    assert limit["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_LIMIT,
        "default": DEFAULT_LIMIT,
    }
    assert (
        DOCUMENT["components"]["schemas"]["RequestPage"]["properties"]["items"]["maxItems"]
        == MAX_LIMIT
    )


def test_the_document_holds_no_reference_to_nowhere() -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in set(references(DOCUMENT)):
        found: Any = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        assert found
