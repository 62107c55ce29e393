"""The JSON Schemas (2020-12) of the analytics events, as documents."""

from importlib.resources import files
from typing import Any

import orjson


def load(detail_type: str) -> dict[str, Any]:
    """Read the JSON Schema of one detail type; raises FileNotFoundError for an unknown one."""
    path = files("schema") / "json" / f"{detail_type}.schema.json"
    document: dict[str, Any] = orjson.loads(path.read_bytes())
    return document
