"""The list of a user's requests is one index query, and nothing in the product scans a table."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest.live import Live
from tests.ingest.support import bearer, many

ROOT = Path(__file__).parents[2]
PRODUCT = ("schema", "config", "aws", "worker", "ingest", "analytics", "local", "cli")
SCAN = re.compile(r"(?<![A-Za-z_])[Ss]can(?![A-Za-z_])")


def words_of_code(path: Path) -> Iterator[tuple[int, str]]:
    """Every name and every text of a module's code; docstrings are no code."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings:
                yield node.lineno, node.value
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id


def scans(path: Path) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line}: {word!r}"
        for line, word in words_of_code(path)
        if SCAN.search(word)
    ]


@pytest.mark.parametrize("package", PRODUCT)
def test_no_code_names_the_operation_scan(package: str) -> None:
    modules = sorted((ROOT / package).rglob("*.py"))

    assert modules
    assert [found for module in modules for found in scans(module)] == []


def test_the_search_finds_each_way_to_scan(tmp_path: Path) -> None:
    ways = [
        'await client.call("Scan", TableName="T")',
        "client.scan(TableName='T')",
        'client.get_paginator("scan")',
        'operation = "dynamodb:Scan"',
        "async def read(table):\n    await table.scan()",
    ]
    module = tmp_path / "module.py"
    for way in ways:
        module.write_text(way, "utf-8")
        assert any(SCAN.search(word) for _, word in words_of_code(module)), way
    module.write_text('"""Never Scan."""\nquery(ScanIndexForward=False)\nscanner = 1', "utf-8")
    assert not any(SCAN.search(word) for _, word in words_of_code(module))


def test_no_role_may_scan() -> None:
    templates = sorted((ROOT / "infra").glob("*.yaml"))

    assert templates
    for template in templates:
        text = template.read_text("utf-8")
        assert "dynamodb:Scan" not in text, template
        assert "dynamodb:*" not in text, template


async def test_every_page_is_exactly_one_query_of_the_users_index_newest_first(
    live: Live,
) -> None:
    rows = many("user-1", 7)
    await live.world.store([*rows, *many("user-2", 7)])
    seen: list[str] = []
    async with live.ingest() as http:
        live.proxy.forget()
        cursor: str | None = None
        for _ in range(3):
            query = {"limit": "3"} | ({} if cursor is None else {"cursor": cursor})
            answer = await http.get("/me/participations", params=query, headers=bearer("user-1"))
            assert answer.status_code == 200, answer.text
            seen += [row["requestId"] for row in answer.json()["items"]]
            cursor = answer.json()["nextCursor"]
        calls = list(live.proxy.calls)

    assert [call.operation for call in calls] == ["Query"] * 3
    for call in calls:
        request = call.request
        assert request["IndexName"] == "GSI1"
        assert request["ScanIndexForward"] is False
        assert request["Limit"] == 3
        assert request["KeyConditionExpression"] == "GSI1PK = :user"
        assert request["ExpressionAttributeValues"] == {":user": {"S": "USER#user-1"}}
        assert "FilterExpression" not in request
    assert cursor is None
    assert seen == [row.request_id for row in reversed(rows)]
