"""The pipeline's CloudFormation templates, as their text."""

from importlib.resources import files
from typing import Final

from operations import named_queries

PIPELINE: Final = "pipeline.yaml"
QUERIES: Final = "queries.json"
"""No file: rendered from the SQL statements."""
SERVICE: Final = "service.yaml"


def text(name: str) -> str:
    """What is deployed as one of the templates."""
    if name == QUERIES:
        return named_queries.render()
    return (files("infra") / name).read_text(encoding="utf-8")
