"""The OpenAPI 3.1 document of the service, written by hand and held true by the tests."""

from typing import Any, Final

from ingest.problems import MEDIA_TYPE
from schema.message import MAX_ID_BYTES
from schema.states import Status

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100

_JSON: Final = "application/json"
_TIME: Final = {
    "type": ["integer", "null"],
    "minimum": 0,
    "description": "Epoch milliseconds; null while it has not happened.",
}


def document() -> dict[str, Any]:
    """Build the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Participation",
            "version": "1",
            "description": "Takes in clicks on flash events, each exactly once.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {
            "/events/{eventId}/participations": {"post": _participate()},
            "/requests/{requestId}": {"get": _request()},
            "/me/participations": {"get": _participations()},
            "/healthz": {"get": _probe("healthz", "Whether the process answers", "Alive")},
            "/readyz": {
                "get": _probe("readyz", "Whether to send requests here", "Ready")
                | {
                    "responses": {
                        "200": _answer("Ready", _STATE),
                        **_problems("400 BadRequest", "503 NotReady"),
                    }
                }
            },
            "/metrics": {"get": _text("metrics", "Figures in Prometheus' text form", "text/plain")},
            "/openapi.json": {"get": _text("openapi", "This document", _JSON)},
        },
        "components": {
            "securitySchemes": {
                "user": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "`sub` names the user; `exp` is required.",
                }
            },
            "schemas": _SCHEMAS,
            "responses": _PROBLEMS,
        },
    }


def _participate() -> dict[str, Any]:
    return {
        "operationId": "participate",
        "summary": "Take part in an event",
        "description": (
            "The same click, made again, names the same request: repeating it is safe, and after "
            "a 503 it is the thing to do. The request must not have a body."
        ),
        "security": [{"user": []}],
        "parameters": [_path_parameter("eventId", "The event to take part in")],
        "responses": {
            "202": _answer("The request is queued", {"$ref": "#/components/schemas/Accepted"}),
            **_problems("400 BadRequest", "401 Unauthorized", "404 NotFound", "409 Conflict"),
            **_problems("503 Unavailable"),
        },
    }


def _request() -> dict[str, Any]:
    return {
        "operationId": "request",
        "summary": "Show a request of the caller's",
        "security": [{"user": []}],
        "parameters": [_path_parameter("requestId", "The request to show")],
        "responses": {
            "200": _answer("The request", {"$ref": "#/components/schemas/Request"}),
            **_problems("400 BadRequest", "401 Unauthorized", "404 NotFound", "503 Unavailable"),
        },
    }


def _participations() -> dict[str, Any]:
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    return {
        "operationId": "participations",
        "summary": "List the caller's requests, newest first",
        "security": [{"user": []}],
        "parameters": [
            {"name": "limit", "in": "query", "schema": limit},
            {
                "name": "cursor",
                "in": "query",
                "description": "`nextCursor` of the page before, unchanged.",
                "schema": {"type": "string", "minLength": 1},
            },
        ],
        "responses": {
            "200": _answer("A page of requests", {"$ref": "#/components/schemas/RequestPage"}),
            **_problems("400 BadRequest", "401 Unauthorized", "503 Unavailable"),
        },
    }


def _probe(name: str, summary: str, description: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _answer(description, _STATE), **_problems("400 BadRequest")},
    }


def _text(name: str, summary: str, media_type: str) -> dict[str, Any]:
    schema = {"type": "object"} if media_type == _JSON else {"type": "string"}
    content = {media_type: {"schema": schema}}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": content},
            **_problems("400 BadRequest"),
        },
    }


def _path_parameter(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES},
    }


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": schema}}}


def _problems(*named: str) -> dict[str, Any]:
    """References to problems, each given as "<status> <name>"."""
    references = dict(text.split() for text in named)
    return {
        status: {"$ref": f"#/components/responses/{name}"} for status, name in references.items()
    }


def _problem_response(description: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    response: dict[str, Any] = {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": schema}},
    }
    if headers:
        response["headers"] = {
            name: {"description": text, "required": True, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
    return response


_STATE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string"}},
    "additionalProperties": False,
}

_PROBLEMS: Final = {
    "BadRequest": _problem_response("The request is not valid"),
    "Unauthorized": _problem_response(
        "The token is missing or names nobody",
        {"WWW-Authenticate": "The Bearer challenge of RFC 6750"},
    ),
    "NotFound": _problem_response("It does not exist, or not for the caller"),
    "Conflict": _problem_response("The event is not open yet, or closed"),
    "NotReady": _problem_response("The service is starting or draining"),
    "Unavailable": _problem_response(
        "The service cannot answer now; nothing is lost by asking again",
        {"Retry-After": "Seconds to wait before asking again"},
    ),
}

_SCHEMAS: Final[dict[str, Any]] = {
    "Accepted": {
        "type": "object",
        "required": ["requestId", "isDuplicate"],
        "properties": {
            "requestId": {"type": "string", "format": "uuid"},
            "isDuplicate": {
                "type": "boolean",
                "description": "Whether the caller had taken part already.",
            },
        },
        "additionalProperties": False,
    },
    "Request": {
        "type": "object",
        "required": [
            "requestId",
            "eventId",
            "eventType",
            "status",
            "resultCode",
            "requestedAt",
            "queuedAt",
            "startedAt",
            "finishedAt",
        ],
        "properties": {
            "requestId": {"type": "string"},
            "eventId": {"type": "string"},
            "eventType": {"type": "string", "examples": ["FIRST_COME", "LOTTERY"]},
            "status": {"enum": [status.value for status in Status]},
            "resultCode": {"type": ["string", "null"]},
            "requestedAt": _TIME,
            "queuedAt": _TIME,
            "startedAt": _TIME,
            "finishedAt": _TIME,
        },
        "additionalProperties": False,
    },
    "RequestPage": {
        "type": "object",
        "required": ["items", "nextCursor"],
        "properties": {
            "items": {
                "type": "array",
                "maxItems": MAX_LIMIT,
                "items": {"$ref": "#/components/schemas/Request"},
            },
            "nextCursor": {
                "type": ["string", "null"],
                "description": "Where the next page starts; null on the last one.",
            },
        },
        "additionalProperties": False,
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457 problem details.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string"},
            "requestId": {"type": "string"},
            "opensAt": {"type": "integer"},
            "closesAt": {"type": "integer"},
        },
    },
}
