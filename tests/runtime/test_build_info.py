"""Both programs say on /metrics which build they are."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from config import build
from ingest.metrics import IngestMetrics
from worker.metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "make",
    [lambda registry: WorkerMetrics(registry, lambda: 0), IngestMetrics],
    ids=["worker", "ingest"],
)
@pytest.mark.parametrize(("given", "shown"), [("0123abc", "0123abc"), ("", "unknown")])
def test_version_and_revision_are_labels_of_a_one(
    make: Callable[[CollectorRegistry], object],
    given: str,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(build.REVISION_VARIABLE, given)
    registry = CollectorRegistry()
    make(registry)

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = {"version": project["version"], "revision": shown}
    assert registry.get_sample_value("participation_build_info", labels) == 1
