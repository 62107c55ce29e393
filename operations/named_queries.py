"""Writes `infra/queries.yaml`, Athena's saved queries, from the statements in `analytics/sql/`.

`python -m operations.named_queries` does it anew; a test fails while the two differ.
"""

from importlib.resources import as_file, files
from typing import Final

from analytics import statements
from analytics.statements import Statement

TEMPLATE_NAME: Final = "queries.yaml"

_BY_TEMPLATE: Final = ("create_table", "create_projected_table")
"""What `pipeline.yaml` makes by itself."""
_MAX_DESCRIPTION_CHARS: Final = 1024
"""AWS: Athena CreateNamedQuery."""

_HEAD: Final = """\
# Written by `python -m operations.named_queries` from analytics/sql/. Do not edit.
AWSTemplateFormatVersion: "2010-09-09"
Description: >-
  The participation pipeline's saved Athena queries. A question mark stands for a parameter, which
  Athena asks for when the query runs; each query's first lines say what its parameters are.

Parameters:
  DatabaseName:
    Type: String
    Default: participation
    Description: The Glue database of the lake's tables; pipeline.yaml's output Database.
    AllowedPattern: "[a-z0-9_]{1,252}"
    ConstraintDescription: 1 to 252 lower-case letters, digits and underscores.
  WorkGroupName:
    Type: String
    Description: The Athena workgroup to save them in; pipeline.yaml's output WorkGroup.
    AllowedPattern: "[a-zA-Z0-9._-]{1,128}"
    ConstraintDescription: 1 to 128 letters, digits, dots, dashes and underscores.

Resources:
"""
_RESOURCE: Final = """\
  {logical_id}:
    Type: AWS::Athena::NamedQuery
    Properties:
      Name: {name}
      Description: {description}
      Database: !Ref DatabaseName
      WorkGroup: !Ref WorkGroupName
      QueryString: |
{text}"""


def saved_names() -> list[str]:
    """The names of the statements to save: all but those whose effect the template has."""
    return [name for name in statements.names() if name not in _BY_TEMPLATE]


def render() -> str:
    """Write the template."""
    return _HEAD + "\n".join(_resource(statements.load(name)) for name in saved_names())


def _resource(statement: Statement) -> str:
    path = files("analytics") / "sql" / f"{statement.name}.sql"
    lines = path.read_text(encoding="utf-8").splitlines()
    return _RESOURCE.format(
        logical_id="".join(part.capitalize() for part in statement.name.split("_")),
        name=statement.name,
        description=_quoted(statement.title[:_MAX_DESCRIPTION_CHARS]),
        text="".join(f"        {line}".rstrip() + "\n" for line in lines),
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


if __name__ == "__main__":
    with as_file(files("infra") / TEMPLATE_NAME) as template:
        template.write_text(render(), encoding="utf-8")
