"""Finds the AWS operations that the code calls, by reading it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
_CALLS: Final = frozenset({"call", "_call", "_batch"})
"""Methods whose first argument is an operation's name."""
_PAGES: Final = "pages"
"""The function whose second argument is one."""


def called_operations(*places: str) -> set[str]:
    """The names of all operations that these modules, or all modules of these packages, call."""
    return {
        operation
        for place in places
        for path in sorted(_ROOT.glob(place if place.endswith(".py") else f"{place}/**/*.py"))
        for operation in _operations(ast.parse(path.read_text(encoding="utf-8")))
    }


def _operations(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in _CALLS:
            names = node.args[:1]
        elif isinstance(node.func, ast.Name) and node.func.id == _PAGES:
            names = node.args[1:2]
        else:
            continue
        for name in names:
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value
