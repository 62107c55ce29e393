"""The layout: the import contract covers every package, and the rules it cannot express."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "schema",
    "config",
    "runtime",
    "aws",
    "worker",
    "ingest",
    "analytics",
    "operations",
    "simulation",
    "local",
    "cli",
)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(module: Path) -> Iterator[str]:
    """The top-level names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield str(node.module).partition(".")[0]


def contract() -> dict[str, list[str]]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    settings: dict[str, list[str]] = document["tool"]["importlinter"]
    return settings


def test_the_import_contract_holds() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports; exit(lint_imports())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 0, found.stdout[-3_000:] + found.stderr[-3_000:]


def test_the_import_contract_names_every_package_that_holds_code() -> None:
    with_code = {
        path.parent.name
        for path in ROOT.glob("*/__init__.py")
        if any(module.name != "__init__.py" for module in path.parent.rglob("*.py"))
    }

    assert with_code == set(contract()["root_packages"])


def test_schema_needs_the_standard_library_and_orjson_alone() -> None:
    allowed = set(sys.stdlib_module_names) | {"orjson", "schema"}

    foreign = {
        (module.name, name)
        for module in modules("schema")
        for name in imported(module)
        if name not in allowed
    }

    assert foreign == set()


def test_schema_has_neither_clock_nor_input_nor_output() -> None:
    impure = {"time", "datetime", "os", "socket", "random", "asyncio", "threading", "logging"}

    found = {
        (module.name, name)
        for module in modules("schema")
        for name in imported(module)
        if name in impure
    }

    assert found == set()


def test_the_planner_has_neither_clock_nor_task_nor_client() -> None:
    impure = {"time", "datetime", "os", "anyio", "asyncio", "random", "structlog"}

    assert set(imported(ROOT / "worker" / "decide.py")) & impure == set()


def test_loading_the_ingest_application_loads_no_aiohttp() -> None:
    program = "import sys, ingest.app; sys.exit('aiohttp' in sys.modules)"

    loaded = subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-c", program], cwd=ROOT, check=False
    )

    assert loaded.returncode == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_opens_with_one_sentence_that_says_what_lives_there(package: str) -> None:
    for module in modules(package):
        text = ast.get_docstring(ast.parse(module.read_text("utf-8")))
        assert text, f"{module} has no docstring"
        assert text.partition("\n")[0].endswith("."), module


@pytest.mark.parametrize("package", PACKAGES)
def test_every_task_belongs_to_a_task_group(package: str) -> None:
    loose = {"create_task", "ensure_future", "run_coroutine_threadsafe"}

    for module in modules(package):
        called = {
            node.attr
            for node in ast.walk(ast.parse(module.read_text("utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert called & loose == set(), module
