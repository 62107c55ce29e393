"""What holds for every template of `infra/`."""

import sys
from importlib.resources import files
from pathlib import Path

import pytest

from operations import named_queries
from local.emulator import template
from tests.faults.program import ran

INFRA = Path(str(files("infra")))
TEMPLATES = sorted(
    path.name for path in INFRA.glob("*.yaml") if "AWSTemplateFormatVersion" in path.read_text()
)

DIRECT_UPLOAD_BYTES = 51_200
"""AWS: CloudFormation quotas; a larger template must be put into a bucket first."""


async def test_cfn_lint_finds_nothing() -> None:
    linter = str(Path(sys.executable).with_name("cfn-lint"))
    ended = await ran([linter, *(str(INFRA / name) for name in TEMPLATES)], {})
    assert (ended.output, ended.exit_code) == ("", 0)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_can_be_deployed_without_a_bucket(name: str) -> None:
    assert len((INFRA / name).read_bytes()) <= DIRECT_UPLOAD_BYTES


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_rule_of_the_linter_is_switched_off(name: str) -> None:
    assert "cfn-lint" not in (INFRA / name).read_text()


def test_the_saved_queries_are_the_statements_as_they_are_today() -> None:
    # `python -m operations.named_queries` writes the file anew.
    assert (INFRA / named_queries.TEMPLATE_NAME).read_text() == named_queries.render()


def test_a_saved_query_is_its_file_word_for_word() -> None:
    resources = template.load(named_queries.TEMPLATE_NAME)["Resources"].values()
    saved = {r["Properties"]["Name"]: r["Properties"]["QueryString"] for r in resources}
    sql = Path(str(files("analytics"))) / "sql"
    assert saved == {
        path.stem: path.read_text()
        for path in sql.glob("*.sql")
        if path.stem not in ("create_table", "create_projected_table")
    }
