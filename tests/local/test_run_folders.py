"""What runs leave in `var/` does not grow without end, and nothing else there is touched."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from local import run_folders

NOON = datetime(2026, 1, 4, 12, tzinfo=UTC)


def test_the_ten_newest_runs_of_a_kind_stay(tmp_path: Path) -> None:
    for name in ("up-20250101-000000", "demo-of-mine", "simulation"):
        (tmp_path / name).mkdir()
    (tmp_path / "demo-20250101-000000").touch()

    made = [run_folders.new(tmp_path, "demo", NOON + timedelta(seconds=n)) for n in range(12)]

    others = {"up-20250101-000000", "demo-of-mine", "simulation", "demo-20250101-000000"}
    assert {path.name for path in tmp_path.iterdir()} == {p.name for p in made[2:]} | others
    assert made[-1].name == "demo-20260104-120011"
