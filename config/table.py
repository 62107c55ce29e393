"""The settings as a Markdown table, for the README."""

from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from config.settings import CommonSettings, IngestSettings, WorkerSettings


def markdown() -> str:
    """All variables, by program; a test keeps the README's copy equal to this."""
    parts = [
        _table("Both programs", CommonSettings, set()),
        _table("Worker", WorkerSettings, set(CommonSettings.model_fields)),
        _table("Ingest", IngestSettings, set(CommonSettings.model_fields)),
    ]
    return "\n\n".join(parts) + "\n"


def _table(title: str, settings: type[BaseSettings], without: set[str]) -> str:
    lines = [f"**{title}**", "", "| variable | default | values | meaning |", "|---|---|---|---|"]
    for name, field in settings.model_fields.items():
        if name in without:
            continue
        cells = (f"`{name.upper()}`", _default(field), _values(field), field.description or "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    default = field.default
    if field.is_required():
        return "required"
    if default is None or default is PydanticUndefined:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _values(field: FieldInfo) -> str:
    """The choices or the range of a setting; nothing where any text will do."""
    kind: Any = field.annotation
    if NoneType in get_args(kind):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if kind is bool:
        return "`true`, `false`"
    bounds = {
        name: limit
        for bound in field.metadata
        for name in ("ge", "gt", "le", "min_length")
        if (limit := getattr(bound, name, None)) is not None
    }
    if "le" in bounds:
        least = f"over {bounds['gt']:,}," if "gt" in bounds else f"{bounds['ge']:,}"
        return f"{least} to {bounds['le']:,}"
    return f"{bounds['min_length']} characters or more" if bounds.get("min_length", 1) > 1 else ""
