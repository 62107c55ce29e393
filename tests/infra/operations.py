"""Finds the AWS operations that the code calls, by reading it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
_CALLS: Final = frozenset({"call", "_call", "_batch"})
"""Methods whose first argument is an operation's name."""


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
        if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Attribute):
            first = node.args[0]
            if (
                node.func.attr in _CALLS
                and isinstance(first, ast.Constant)
                and isinstance(first.value, str)
            ):
                yield first.value
