"""The demo as its user runs it: the main job end to end, its page and its JSON."""

import re
from pathlib import Path

import orjson
import pytest

from local.demo import burst
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
    assert found["accepted"] == found["distinct_requests"] == REQUESTS
    assert found["duplicates"] == 30
    assert found["succeeded"] == CAPACITY
    assert found["succeeded"] + found["rejected"] == REQUESTS
    assert found["capacity_remaining"] == 0
    assert found["negative_delay"] == found["missing_timestamp"] == 0
    assert found["lake_requests"] == found["table_final"] == REQUESTS
    assert found["lake_events"] >= REQUESTS
    assert found["publish_failures"] == 0
    assert found["p95_queue_delay_ms"] <= found["p95_e2e_delay_ms"]
    assert found["passed"] is True
    assert all(found["checks"].values())
    _check_files(tmp_path / "lake")
    _check_page(Path(found["report"]))


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
