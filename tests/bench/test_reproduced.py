"""Ratios beside the stored ones."""

from dataclasses import asdict

from bench import report, reproduced, worker
from bench.contestants import FLOOR, NAIVE, OURS
from bench.measure import Measurement
from tests.bench.measured import measured


def test_each_ratio_stands_beside_the_stored_one_and_those_far_off_are_named() -> None:
    here = [measured(OURS, 1.0), measured(NAIVE, 11.0), measured(FLOOR, 0.5)]
    there = [measured(OURS, 2.0), measured(NAIVE, 20.0), measured(FLOOR, 1.6)]
    stored = {
        "data": [asdict(m) for m in there],
        "machine": {"processor": "Fast", "commit": "abc"},
        "date": "2026-01-01",
    }

    section = reproduced.compared(worker.section(here), here, stored)

    table = section.tables[-1]
    assert table.title == "Ratios beside those stored (Fast, 2026-01-01, commit abc)"
    assert table.rows == [
        ["ours: messages per core, times naive's (0 ms)", "11.00", "10.00", "1.10"],
        ["ours: processor time, times floor (lean)'s (0 ms)", "2.00", "1.25", "1.60"],
    ]
    assert section.closing[-1] == (
        "- 1 of 2 ratios are within 20%; not: ours: processor time, times floor (lean)'s (0 ms)."
    )


def test_what_is_stored_in_the_project_can_be_compared_with_itself() -> None:
    stored = report.stored()["worker"]
    here = [Measurement(**run) for run in stored["data"]]

    section = reproduced.compared(worker.section(here), here, stored)

    assert {row[-1] for row in section.tables[-1].rows} == {"1.00"}
    assert len(section.tables[-1].rows) == 18
