"""Where an object goes: the lake's prefix by day and hour, and the object's name."""

import os
import re
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
def test_every_time_is_in_the_folder_of_its_hour(arrived_at_ms: int) -> None:
    folder = evaluate(LAKE_PREFIX, arrived_at_ms)
    hour = datetime.strptime(folder, "events/dt=%Y-%m-%d/hour=%H/").replace(tzinfo=UTC)
    assert 0 <= arrived_at_ms - hour.timestamp() * 1000 < 3_600_000


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "events/",
        "events/dt=!{timestamp:yyyy-MM-dd}/!{partitionKeyFromQuery:customer}/",
        "events/dt=!{timestamp:yyyy-MM-dd}/hour=!{timestamp:H}/",
        "!{timestamp:yyyy/MM/dd/HH/}",
        "!{timestamp:yyyy-MM-dd",
    ],
)
def test_what_is_not_imitated_is_refused_by_name(prefix: str) -> None:
    with pytest.raises(LocalError, match=re.escape(repr(prefix))):
        evaluate(prefix, NEW_YEAR_MS)


@pytest.mark.usefixtures("seoul")
def test_an_objects_name_holds_stream_version_and_time() -> None:
    assert object_name("lake", "1", NEW_YEAR_MS, "id") == "lake-1-2025-12-31-23-59-59-id"
