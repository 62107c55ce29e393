"""Every query on the embedded engine equals an independent computation, in any time zone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from analytics import statements
from analytics.parameters import Parameters
from analytics.synthetic import LakeSpec, generate
from tests.analytics.compare import differences
from tests.analytics.conftest import FIRST_DAY, LAST_DAY, Make, line, ms
from tests.analytics.reference import ANSWERS

_ROOT = Path(__file__).parents[2]
_ZONES = ("UTC", "Asia/Seoul", "America/New_York")


def _compare(lake: Path, zone: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own module
        [
            sys.executable,
            "-m",
            "tests.analytics.compare",
            str(lake),
            FIRST_DAY.isoformat(),
            LAST_DAY.isoformat(),
        ],
        cwd=_ROOT,
        env=os.environ | {"TZ": zone},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def test_every_query_has_an_independent_answer() -> None:
    assert set(ANSWERS) == set(statements.query_names())


@pytest.mark.slow
@pytest.mark.parametrize("zone", _ZONES)
def test_every_query_equals_plain_python_in_any_time_zone(synthetic_lake: Path, zone: str) -> None:
    compared = _compare(synthetic_lake, zone, timeout_s=170)
    assert compared.returncode == 0, compared.stdout + compared.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    "LAKE_FULL" not in os.environ, reason="a million events take minutes: set LAKE_FULL=1"
)
@pytest.mark.parametrize("zone", _ZONES)
def test_a_million_events_equal_plain_python(
    tmp_path_factory: pytest.TempPathFactory, zone: str
) -> None:
    lake = tmp_path_factory.getbasetemp() / "million"
    if not lake.exists():
        generate(lake, LakeSpec(requests=1_000_000, first_day=FIRST_DAY))
    compared = _compare(lake, zone, timeout_s=1700)
    assert compared.returncode == 0, compared.stdout + compared.stderr


async def test_a_wrong_lake_differs_from_the_reference(make_lake: Make) -> None:
    """The comparison itself can fail: a line that only one side reads differs."""
    at = ms("2026-01-04T08:00:00")
    lake = make_lake({"2026-01-04/08": [line("r-1", at, at, at)]})
    odd = lake / "events" / "dt=2026-01-04" / "hour=08" / "_hidden"
    odd.write_bytes(line("r-2", at, at, at))
    found = await differences(lake, [Parameters.parse("2026-01-04", "2026-01-04")])
    assert any(difference.startswith("totals") for difference in found)
