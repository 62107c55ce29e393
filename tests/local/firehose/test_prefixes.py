"""The prefix expressions of Firehose."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.errors import LocalError
from local.firehose.prefixes import evaluate, object_name
from schema.keys import MAX_TIME_MS
from schema.names import LAKE_PREFIX

NEW_YEAR_MS = 1_767_225_599_999  # 2025-12-31T23:59:59.999Z


@pytest.fixture
def seoul(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local time zone that is nine hours ahead of UTC."""
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    yield
    if before is None:
        monkeypatch.delenv("TZ")
    else:
        monkeypatch.setenv("TZ", before)
    time.tzset()


@pytest.mark.usefixtures("seoul")
def test_the_lakes_prefix_is_day_and_hour_in_utc_whatever_the_local_time_zone() -> None:
    assert evaluate(LAKE_PREFIX, NEW_YEAR_MS) == "events/dt=2025-12-31/hour=23/"
    assert evaluate(LAKE_PREFIX, NEW_YEAR_MS + 1) == "events/dt=2026-01-01/hour=00/"


@given(st.integers(0, MAX_TIME_MS))
def test_every_time_has_the_folder_of_its_hour(arrived_at_ms: int) -> None:
    folder = evaluate(LAKE_PREFIX, arrived_at_ms)
    hour = datetime.strptime(folder, "events/dt=%Y-%m-%d/hour=%H/").replace(tzinfo=UTC)
    assert 0 <= arrived_at_ms - hour.timestamp() * 1000 < 3_600_000


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("yyyy", "2025"),
        ("yy", "25"),
        ("yyyy/MM/dd/HH/", "2025/12/31/23/"),
        ("HH:mm:ss", "23:59:59"),
        ("'day'dd", "day31"),
        ("d''d", "31'31"),
        ("'it''s'", "it's"),
    ],
)
def test_a_pattern_is_written_as_java_writes_it(pattern: str, expected: str) -> None:
    assert evaluate(f"x/!{{timestamp:{pattern}}}", NEW_YEAR_MS) == f"x/{expected}"


@pytest.mark.parametrize("prefix", ["", "events/"])
def test_a_prefix_without_a_timestamp_gets_firehoses_own(prefix: str) -> None:
    assert evaluate(prefix, NEW_YEAR_MS) == f"{prefix}2025/12/31/23/"


@pytest.mark.parametrize(
    "prefix",
    [
        "!{timestamp:yyyy}/!{partitionKeyFromQuery:customer}/",
        "!{timestamp:MMM}",
        "!{timestamp:EEEE}",
        "!{timestamp:yyyy'open}",
    ],
)
def test_what_is_not_imitated_is_refused(prefix: str) -> None:
    with pytest.raises(LocalError):
        evaluate(prefix, NEW_YEAR_MS)


@pytest.mark.usefixtures("seoul")
def test_an_objects_name_tells_stream_version_and_time() -> None:
    assert object_name("lake", "1", NEW_YEAR_MS, "id") == "lake-1-2025-12-31-23-59-59-id"
