"""Citations of the contract, links and file names in the documentation lead somewhere."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
DOCUMENTS: Final = {"domain": "docs/domain.md", "g1": "docs/specification.md"}
CITING: Final = {".py", ".sql", ".yaml", ".md", ".j2"}
NOT_OURS: Final = {"node_modules", "var", "dist", "build"}
HISTORY: Final = "CHANGELOG.md"
"""What it names may have moved since."""

_CITATION: Final = re.compile(
    r"\b(domain|g1)[\s#]+(§\d+(?:\.\d+)?(?:(?:,| and|\u2013)[\s#]*§\d+(?:\.\d+)?)*)"
)
_SECTION: Final = re.compile(r"§(\d+(?:\.\d+)?)")
_NUMBERED: Final = re.compile(r"^#+ (\d+(?:\.\d+)?)\.? ", re.MULTILINE)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FILE_NAME: Final = re.compile(r"`([\w.-]+(?:/[\w.-]+)+/?)`")


@dataclass(frozen=True)
class Reference:
    """Something that a file refers to, and where it does."""

    place: str
    target: str

    def __str__(self) -> str:
        return f"{self.place}: {self.target}"


def our_files() -> Iterator[Path]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith(".") and f not in NOT_OURS]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def pages() -> list[Path]:
    return sorted(path for path in our_files() if path.suffix == ".md")


def found(pattern: re.Pattern[str], path: Path, text: str) -> Iterator[tuple[str, re.Match[str]]]:
    for match in pattern.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield f"{path.relative_to(ROOT)}:{line}", match


def listed(references: list[Reference]) -> str:
    return "\n".join(map(str, references))


def prose(path: Path) -> str:
    """A page without its code blocks, which name what is not ours; the lines keep their numbers."""
    return _FENCE.sub(lambda block: "\n" * block[0].count("\n"), path.read_text("utf-8"))


def cited_sections(path: Path, text: str) -> list[Reference]:
    return [
        Reference(place, f"{match[1]} §{section}")
        for place, match in found(_CITATION, path, text)
        for section in _SECTION.findall(match[2])
    ]


@cache
def citations() -> list[Reference]:
    return [
        citation
        for path in sorted(our_files())
        if path.suffix in CITING and path != Path(__file__)
        for citation in cited_sections(path, path.read_text("utf-8"))
    ]


@cache
def sections() -> set[str]:
    return {
        f"{name} §{number}"
        for name, document in DOCUMENTS.items()
        for number in _NUMBERED.findall(prose(ROOT / document))
    }


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = (heading.lower().replace(" ", "-") for heading in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w-]", "", heading) for heading in headings}


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("(domain §6)", ["domain §6"]),
        ("domain §4, §6)", ["domain §4", "domain §6"]),
        ("g1 §10.1, §10.2", ["g1 §10.1", "g1 §10.2"]),
        ("the queries of g1 §9, §10 and §11", ["g1 §9", "g1 §10", "g1 §11"]),
        ("# as in domain\n    # §3: the keys", ["domain §3"]),
        ("RFC 7518 §3.2", []),
    ],
)
def test_every_section_of_a_citation_is_found(text: str, cited: list[str]) -> None:
    assert [c.target for c in cited_sections(ROOT / "any.py", text)] == cited


def test_every_cited_section_exists() -> None:
    unresolved = [citation for citation in citations() if citation.target not in sections()]

    assert not unresolved, listed(unresolved)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_code_cites_the_contract(document: str) -> None:
    assert any(
        citation.target.startswith(document) and ".py:" in citation.place
        for citation in citations()
    )


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    broken = []
    for place, match in found(_LINK, page, prose(page)):
        name, _, anchor = match[1].partition("#")
        if "://" in name:
            continue
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(Reference(place, match[1]))

    assert not broken, listed(broken)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    if page.name == HISTORY:
        return
    ours = {path.name for path in ROOT.iterdir() if path.is_dir()}
    missing = [
        Reference(place, match[1])
        for place, match in found(_FILE_NAME, page, prose(page))
        if match[1].partition("/")[0] in ours and not (ROOT / match[1]).exists()
    ]

    assert not missing, listed(missing)
