"""Reads docs/operations.md by its headings."""

import re
from functools import cache
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


@cache
def runbooks() -> dict[str, str]:
    """The page's sections by the anchors that GitHub gives their headings."""
    sections = re.split(r"^#+ ", _PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {_anchor(heading): text for heading, _, text in (s.partition("\n") for s in sections)}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))
