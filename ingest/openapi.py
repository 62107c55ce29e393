"""The service's description, `openapi.json`: which operations there are, and how they answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

_ANYWHERE: Final = (204, 405, 500)
"""What any route may answer as well: to a browser's preflight, to another method, and after a
failure of ours."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the service."""

    name: str
    """Its operationId, and the `route` of the figures and of the access log."""
    method: str
    path: str
    statuses: tuple[int, ...]
    needs_token: bool


@cache
def text() -> bytes:
    """The document, an OpenAPI 3.1 description."""
    return (files("ingest") / "openapi.json").read_bytes()


@cache
def operations() -> Sequence[Operation]:
    """All operations, in the document's order."""
    document: dict[str, Any] = orjson.loads(text())
    return [
        Operation(
            operation["operationId"],
            method.upper(),
            path,
            (*map(int, operation["responses"]), *_ANYWHERE),
            needs_token=bool(operation.get("security")),
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
