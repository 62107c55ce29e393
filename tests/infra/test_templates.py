"""What holds for every template."""

import sys
from importlib.resources import files
from pathlib import Path

import pytest

from local import templates as parsed
from operations import templates
from operations.templates import PIPELINE, QUERIES, SERVICE
from tests.faults.program import ran

INFRA = Path(str(files("infra")))
TEMPLATES = [PIPELINE, QUERIES, SERVICE]

DIRECT_UPLOAD_BYTES = 51_200
"""AWS: CloudFormation quotas; a larger template must be put into a bucket first."""


def test_the_templates_are_all_that_there_are() -> None:
    found = {p.name for p in INFRA.glob("*.yaml") if "AWSTemplateFormatVersion" in p.read_text()}
    assert found == {PIPELINE, SERVICE}


async def test_cfn_lint_finds_nothing(tmp_path: Path) -> None:
    for name in TEMPLATES:
        (tmp_path / name).write_text(templates.text(name), encoding="utf-8")
    linter = str(Path(sys.executable).with_name("cfn-lint"))
    ended = await ran([linter, *(str(tmp_path / name) for name in TEMPLATES)], {})
    assert (ended.output, ended.exit_code) == ("", 0)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_can_be_deployed_without_a_bucket(name: str) -> None:
    assert len(templates.text(name).encode()) <= DIRECT_UPLOAD_BYTES


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_rule_of_the_linter_is_switched_off(name: str) -> None:
    assert "cfn-lint" not in templates.text(name)


async def test_the_saved_queries_can_be_had_as_a_file() -> None:
    ended = await ran([sys.executable, "-m", "operations.named_queries"], {})
    assert (ended.output, ended.exit_code) == (templates.text(QUERIES) + "\n", 0)


def test_a_saved_query_is_its_file_word_for_word() -> None:
    resources = parsed.load(QUERIES)["Resources"].values()
    saved = {r["Properties"]["Name"]: r["Properties"]["QueryString"] for r in resources}
    sql = Path(str(files("analytics"))) / "sql"
    assert saved == {
        path.stem: path.read_text()
        for path in sql.glob("*.sql")
        if path.stem not in ("create_table", "create_projected_table")
    }
