"""The form of the results."""

from pathlib import Path

import pytest

from bench import report
from bench.report import Section, Table


def test_a_spread_is_the_median_between_its_extremes() -> None:
    assert report.spread([3.0, 1.0, 1_200.0]) == "3 (1–1,200)"  # noqa: RUF001
    assert report.spread([2.346], 2) == "2.35"


def test_sections_not_measured_now_keep_their_earlier_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS_JSON", tmp_path / "results.json")
    monkeypatch.setattr(report, "RESULTS_MD", tmp_path / "RESULTS.md")

    def store(name: str, cell: str, date: str) -> None:
        table = Table("Figures", ["what", "how many"], [["x", cell]])
        section = Section(name=name, title=name.title(), tables=[table], data=[{"n": 1}])
        report.store([section], date, {"python": "3.11"}, {"orjson": "3"})

    store("schema", "11", "Monday")
    store("worker", "22", "Tuesday")
    store("worker", "33", "Wednesday")
    page = (tmp_path / "RESULTS.md").read_text()
    assert page.index("## Worker") < page.index("## Schema")
    assert "| x | 33 |" in page
    assert "| x | 11 |" in page
    assert "22" not in page
    stored = report.stored()
    assert stored["schema"]["date"] == "Monday"
    assert stored["worker"]["data"] == [{"n": 1}]
