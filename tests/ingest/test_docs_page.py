"""The page about the API: complete, self-contained, and locked down."""

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path

import httpx
import orjson
import pytest

from ingest import openapi
from tests.browser import chromium
from tests.ingest.support import Service

_CHECK = Path(__file__).parents[1] / "analytics" / "report" / "browser" / "check.mjs"


async def page() -> httpx.Response:
    async with Service().client() as http:
        return await http.get("/docs")


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.ids.add(given.get("id") or "")
        self.links |= {value or "" for name, value in attrs if name in {"href", "src", "style"}}


async def test_it_names_every_operation_schema_status_and_parameter() -> None:
    text = (await page()).text
    document = orjson.loads(openapi.text())

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            begin = text.index(f'<section id="{operation["operationId"]}">')
            section = text[begin : text.index("</section>", begin)]
            assert f"{method.upper()} {path}" in section.replace("<wbr>", "")
            for name in (*operation["responses"], *_names(operation)):
                assert f"<code>{name}</code>" in section, (path, name)
    for name, schema in document["components"]["schemas"].items():
        assert f'<section id="{name}">' in text
        for key in schema.get("properties", ()):
            assert f"<code>{key}</code>" in text


def _names(operation: dict[str, list[dict[str, str]]]) -> list[str]:
    return [parameter["name"] for parameter in operation.get("parameters", ())]


async def test_it_has_no_script_loads_nothing_and_links_only_within_itself() -> None:
    elements = _Elements()
    elements.feed((await page()).text)

    assert not elements.tags & {"script", "img", "link", "iframe", "object", "form", "base"}
    assert elements.links
    assert elements.links <= {f"#{name}" for name in elements.ids}


async def test_its_policy_allows_its_own_style_and_nothing_else() -> None:
    answer = await page()
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.slow
async def test_a_browser_finds_no_fault_with_it_on_a_wide_screen_and_on_a_phone(
    tmp_path: Path,
) -> None:
    file = tmp_path / "docs.html"
    file.write_bytes((await page()).content)
    checked = chromium.run(_CHECK, str(file))

    assert checked.returncode == 0, checked.stdout + checked.stderr
