"""The settings as a Markdown table, for the README."""

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
    lines = [f"**{title}**", "", "| variable | default | meaning |", "|---|---|---|"]
    for name, field in settings.model_fields.items():
        if name in without:
            continue
        default = field.default
        if default is PydanticUndefined:
            shown = "required"
        elif default is None:
            shown = ""
        else:
            shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
        lines.append(f"| `{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines)
