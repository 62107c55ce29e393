"""Values in the forms of AWS's protocols, by the SDK's models: JSON, XML, and forms read back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from xml.sax.saxutils import escape

from botocore.model import Shape

Document = dict[str, Any]

_KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "character": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
}


def as_json(value: Any, shape: Shape, path: str) -> Any:
    """A value as JSON carries it; raises AssertionError for what the shape does not have."""
    match shape.type_name:
        case "structure":
            assert value.keys() <= shape.members.keys(), f"{path} has no {value.keys()}"
            return {
                member.serialization.get("name", name): as_json(
                    value[name], member, f"{path}.{name}"
                )
                for name, member in shape.members.items()
                if name in value
            }
        case "list":
            return [as_json(one, shape.member, f"{path}[]") for one in value]
        case "map":
            return {key: as_json(one, shape.value, f"{path}.{key}") for key, one in value.items()}
        case "timestamp":
            assert isinstance(value, datetime), path
            return value.timestamp()
    assert isinstance(value, _KINDS[shape.type_name]), f"{path} is no {shape.type_name}: {value!r}"
    return value


def as_xml(value: Mapping[str, Any], shape: Shape, path: str) -> str:
    """A structure's members as XML; raises AssertionError for what the shape does not have."""
    assert value.keys() <= shape.members.keys(), f"{path} has no {value.keys()}"
    return "".join(
        _xml(value[name], member, member.serialization.get("name", name), f"{path}.{name}")
        for name, member in shape.members.items()
        if name in value
    )


def _xml(value: Any, shape: Shape, tag: str, path: str) -> str:
    match shape.type_name:
        case "structure":
            inner = as_xml(value, shape, path)
        case "list":
            assert not shape.serialization.get("flattened"), path
            name = shape.member.serialization.get("name", "member")
            inner = "".join(_xml(one, shape.member, name, f"{path}[]") for one in value)
        case "timestamp":
            assert isinstance(value, datetime), path
            inner = value.isoformat()
        case kind:
            assert isinstance(value, _KINDS[kind]), f"{path} is no {kind}: {value!r}"
            inner = str(value).lower() if isinstance(value, bool) else escape(str(value))
    return f"<{tag}>{inner}</{tag}>"


def of_query(fields: Mapping[str, str], shape: Shape, prefix: str) -> Document:
    """What a form's fields (`Names.member.1`) say."""
    known = {"Action", "Version"} if not prefix else set[str]()
    tops = {key.removeprefix(prefix).split(".")[0] for key in fields if key.startswith(prefix)}
    members = {m.serialization.get("name", n): (n, m) for n, m in shape.members.items()}
    assert tops - known <= members.keys(), f"unknown in a query: {tops - known - members.keys()}"
    return {
        members[top][0]: _query_value(fields, members[top][1], f"{prefix}{top}")
        for top in sorted(tops - known)
    }


def _query_value(fields: Mapping[str, str], shape: Shape, name: str) -> Any:
    if shape.type_name == "structure":
        return of_query(fields, shape, f"{name}.")
    if shape.type_name == "list":
        begin = f"{name}.member."
        indexes = {int(k[len(begin) :].split(".")[0]) for k in fields if k.startswith(begin)}
        return [_query_value(fields, shape.member, f"{begin}{i}") for i in sorted(indexes)]
    text = fields[name]
    match shape.type_name:
        case "integer" | "long":
            return int(text)
        case "boolean":
            return text == "true"
        case "timestamp":
            return datetime.fromisoformat(text)
    return text
