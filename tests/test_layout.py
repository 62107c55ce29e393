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

CLOCKS = {
    *(
        f"time.{clock}{unit}"
        for clock in ("time", "monotonic", "perf_counter", "process_time", "thread_time")
        for unit in ("", "_ns")
    ),
    "time.sleep",
    *(f"datetime.datetime.{name}" for name in ("now", "today", "utcnow")),
    "datetime.date.today",
}
CHANCE = ("random.", "secrets.", "uuid.uuid1", "uuid.uuid4", "os.urandom", "os.getrandom")
"""How the names of sources of chance begin."""

ONLY_REAL = (
    "aws/lean/client.py",
    "aws/sdk.py",
    "ingest/authentication.py",
    "ingest/jwks.py",
    "ingest/server.py",
    "runtime/health.py",
    "runtime/program.py",
    "worker/daemon.py",
)
"""What only the real programs run: their entries, sockets and threads."""


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


def hidden_sources(source: str) -> set[str]:
    """The clocks and sources of chance that a module calls or hands on by itself.

    Names are resolved through its imports: `from time import time as now` hides nothing.
    """
    tree = ast.parse(source)
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                full = alias.name if alias.asname else alias.name.partition(".")[0]
                origins[alias.asname or full] = full
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def dotted(node: ast.AST) -> str | None:
        if isinstance(node, ast.Name):
            return origins.get(node.id)
        if isinstance(node, ast.Attribute):
            base = dotted(node.value)
            return base and f"{base}.{node.attr}"
        return None

    used = {name for node in ast.walk(tree) if (name := dotted(node)) is not None}
    # A generator may be named as a type, but not made: it is handed in.
    made = {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {
        name
        for name in used
        if name in CLOCKS or (name.startswith(CHANCE) and (name != "random.Random" or name in made))
    }


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.monotonic()", {"time.monotonic"}),
        ("from time import time as now\nnow()", {"time.time"}),
        ("from time import time_ns\nclock = time_ns", {"time.time_ns"}),
        ("from datetime import UTC, datetime\ndatetime.now(UTC)", {"datetime.datetime.now"}),
        ("import datetime as d\nd.datetime.now()", {"datetime.datetime.now"}),
        ("import random\nrandom.random()", {"random.random"}),
        ("from random import shuffle\nshuffle([])", {"random.shuffle"}),
        ("from random import Random\nRandom()", {"random.Random"}),
        ("import os\nos.urandom(4)", {"os.urandom"}),
        ("from secrets import token_hex\ntoken_hex()", {"secrets.token_hex"}),
        ("import uuid\nuuid.uuid4()", {"uuid.uuid4"}),
        ("from random import Random\ndef wait(random: Random):\n    random.random()", set()),
        ("import asyncio\nasyncio.get_running_loop().time()", set()),
        ("from datetime import timedelta\ntimedelta(1)", set()),
    ],
)
def test_a_hidden_clock_or_chance_is_found_by_any_name(source: str, found: set[str]) -> None:
    assert hidden_sources(source) == found


def test_what_a_simulation_runs_has_neither_clock_nor_chance_of_its_own() -> None:
    simulated = {
        path
        for package in ("aws", "ingest", "runtime", "schema", "worker")
        for path in modules(package)
        if str(path.relative_to(ROOT)) not in ONLY_REAL
    }

    found = {
        (str(path.relative_to(ROOT)), name)
        for path in simulated
        for name in hidden_sources(path.read_text("utf-8"))
    }

    assert found == set()


def test_only_modules_with_a_clock_or_chance_of_their_own_are_excused() -> None:
    for name in ONLY_REAL:
        assert hidden_sources((ROOT / name).read_text("utf-8")), name


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
        if module == ROOT / "ingest/http1/server.py":
            continue  # a task for each request: by asyncio.TaskGroup, at a tenth of the price
        called = {
            node.attr
            for node in ast.walk(ast.parse(module.read_text("utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert called & loose == set(), module
