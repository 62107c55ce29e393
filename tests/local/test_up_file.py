"""The file by which commands find a running `local up`, and what they say where there is none."""

from pathlib import Path

import pytest

from local import up_file
from local.errors import LocalError


def test_what_runs_is_found_by_its_folder_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with up_file.published(tmp_path, {"JWT_SECRET": "s"}):
        assert up_file.find(tmp_path) == {"JWT_SECRET": "s"}
        assert (tmp_path / up_file.NAME).stat().st_mode & 0o777 == 0o600

    with pytest.raises(LocalError, match=r"nothing runs in .*make up"):
        up_file.find(tmp_path)


def test_without_a_folder_the_youngest_that_runs_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    older, younger = Path("var/up-20260104-090000"), Path("var/up-20260104-100000")
    for folder in (older, younger):
        folder.mkdir(parents=True)
    with pytest.raises(LocalError, match=r"nothing runs below .*--folder"):
        up_file.find(None)
    with up_file.published(older, {"AT": "older"}):
        with up_file.published(younger, {"AT": "younger"}):
            assert up_file.find(None) == {"AT": "younger"}
        assert up_file.find(None) == {"AT": "older"}


def test_the_file_of_one_that_was_killed_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / up_file.NAME).write_text('{"AT": "gone"}')

    with pytest.raises(LocalError, match="nothing runs"):
        up_file.find(tmp_path)


def test_a_folder_that_is_not_looked_for_is_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert up_file.option(tmp_path / "var/up-20260104-090000") == ""
    assert up_file.option(tmp_path / "my runs") == f" --folder '{tmp_path}/my runs'"
