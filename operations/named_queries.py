"""The template of Athena's saved queries, rendered from the statements in `analytics/sql/`.

`python -m operations.named_queries` prints it for whoever deploys by other means.
"""

import sys
from importlib.resources import files
from typing import Any, Final

import orjson

from analytics import statements
from analytics.statements import Statement

_BY_TEMPLATE: Final = ("create_table", "create_projected_table")
"""What `pipeline.yaml` makes itself."""
_MAX_DESCRIPTION_CHARS: Final = 1024
"""AWS: Athena CreateNamedQuery."""

_DESCRIPTION: Final = (
    "The participation pipeline's saved Athena queries. A question mark stands for a parameter, "
    "which Athena asks for when the query runs; each query's first lines say what its parameters "
    "are."
)
_PARAMETERS: Final = {
    "DatabaseName": {
        "Type": "String",
        "Default": "participation",
        "Description": "The Glue database of the lake's tables; pipeline.yaml's output Database.",
        "AllowedPattern": "[a-z0-9_]{1,252}",
        "ConstraintDescription": "1 to 252 lower-case letters, digits and underscores.",
    },
    "WorkGroupName": {
        "Type": "String",
        "Description": "The Athena workgroup to save them in; pipeline.yaml's output WorkGroup.",
        "AllowedPattern": "[a-zA-Z0-9._-]{1,128}",
        "ConstraintDescription": "1 to 128 letters, digits, dots, dashes and underscores.",
    },
}


def render() -> str:
    """Write the template, as JSON: all statements but those whose effect `pipeline.yaml` has."""
    saved = [statements.load(name) for name in statements.names() if name not in _BY_TEMPLATE]
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": _DESCRIPTION,
        "Parameters": _PARAMETERS,
        "Resources": {
            "".join(part.capitalize() for part in statement.name.split("_")): _query(statement)
            for statement in saved
        },
    }
    return orjson.dumps(template, option=orjson.OPT_INDENT_2).decode()


def _query(statement: Statement) -> dict[str, Any]:
    path = files("analytics") / "sql" / f"{statement.name}.sql"
    return {
        "Type": "AWS::Athena::NamedQuery",
        "Properties": {
            "Name": statement.name,
            "Description": statement.title[:_MAX_DESCRIPTION_CHARS],
            "Database": {"Ref": "DatabaseName"},
            "WorkGroup": {"Ref": "WorkGroupName"},
            "QueryString": path.read_text(encoding="utf-8"),
        },
    }


if __name__ == "__main__":
    sys.stdout.write(render() + "\n")
