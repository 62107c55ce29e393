"""The demo as its user runs it: the main job end to end, its page and its JSON."""

import re
from pathlib import Path

import orjson
import pytest

from local.demo import burst, page
from local.demo.findings import Findings
from tests import programs

REQUESTS, CAPACITY = 300, 120


@pytest.mark.slow
async def test_the_demo_proves_the_main_job_on_real_sockets(tmp_path: Path) -> None:
    arguments = [
        *("demo", "--json"),
        *("--requests", str(REQUESTS), "--capacity", str(CAPACITY), "--duplicates", "0.1"),
        *("--out", str(tmp_path)),
    ]
    async with programs.participation(*arguments, environment={}) as demo:
        ended = await demo.ended(timeout_s=120)

    assert ended.exit_code == 0, ended.output
    (line,) = [line for line in ended.output.splitlines() if line.startswith("{")]
    found = orjson.loads(line)
    assert found["accepted"] == found["distinctRequests"] == REQUESTS
    assert found["duplicates"] == 30
    assert found["succeeded"] == CAPACITY
    assert found["succeeded"] + found["rejected"] == REQUESTS
    assert found["capacityRemaining"] == 0
    assert found["negativeDelay"] == found["missingTimestamp"] == 0
    assert found["lakeRequests"] == found["tableFinal"] == REQUESTS
    assert found["lakeEvents"] >= REQUESTS
    assert found["publishFailures"] == 0
    assert found["p95QueueDelayMs"] <= found["p95E2eDelayMs"]
    assert found["passed"] is True
    assert all(found["checks"].values())
    _check_files(tmp_path / "lake")
    _check_page(Path(found["report"]))


def test_the_end_names_what_to_open_and_what_to_try(tmp_path: Path) -> None:
    lake, report = tmp_path / "my lake", tmp_path / "report" / "index.html"
    found = Findings(
        figures={},
        checks=(),
        traffic_per_second=[],
        throughput_per_second=[],
        calls=[],
        lake_dir=str(lake),
        report=str(report),
    )

    shown = page.what_next(found, "bin/participation")

    assert f"open    {report.as_uri()}\n" in shown
    assert f"bin/participation lake query p95_delay --lake-dir '{lake}'\n" in shown
    assert "bin/participation local up" in shown


def test_the_crowd_holds_every_user_once_and_the_duplicates_as_well() -> None:
    clicks = burst.crowd(users=100, duplicates=20, seed=7)

    assert len(clicks) == 120
    assert len(set(clicks)) == 100
    assert clicks == burst.crowd(users=100, duplicates=20, seed=7)
    assert clicks != burst.crowd(users=100, duplicates=20, seed=8)


def _check_files(lake: Path) -> None:
    files = [path.relative_to(lake).as_posix() for path in lake.rglob("*") if path.is_file()]
    assert files
    for name in files:
        assert re.fullmatch(r"events/dt=\d{4}-\d\d-\d\d/hour=\d\d/[^/]+", name)


def _check_page(page: Path) -> None:
    assert "<html" in page.read_text()
