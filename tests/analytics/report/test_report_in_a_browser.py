"""The report as a browser and axe-core see it; skipped where there is no browser, but not in CI."""

from pathlib import Path

import pytest

from analytics.local_engine import LocalEngine
from analytics.parameters import Parameters
from analytics.report.report import write_report
from analytics.synthetic import LakeSpec, generate
from tests.analytics.conftest import FIRST_DAY
from tests.browser import chromium

_CHECK = Path(__file__).parent / "browser" / "check.mjs"


@pytest.mark.slow
async def test_a_browser_finds_no_fault_with_the_page(tmp_path: Path) -> None:
    generate(tmp_path / "lake", LakeSpec(requests=5_000, first_day=FIRST_DAY))
    async with LocalEngine(tmp_path / "lake") as engine:
        asked = Parameters(dt_from=FIRST_DAY, dt_to=FIRST_DAY, capacity=1_000)
        files = await write_report(engine, tmp_path / "out", asked)
    checked = chromium.run(_CHECK, str(files.page))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_the_check_finds_a_faulty_page(tmp_path: Path) -> None:
    page = tmp_path / "faulty.html"
    page.write_text(
        '<!doctype html><html><body><img src="http://127.0.0.1:9/x.png"><div style="width:9999px">'
        "<details><summary>a</summary></details><script>nothing.here</script></body></html>",
        encoding="utf-8",
    )
    checked = chromium.run(_CHECK, str(page))
    assert checked.returncode == 1
    for fault in ("request:", "page error:", "wider than the screen", "axe critical: image-alt"):
        assert fault in checked.stdout
