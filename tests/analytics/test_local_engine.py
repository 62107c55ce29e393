"""The embedded engine: which files it reads, when it reads them again, how it ends."""

import gzip
from pathlib import Path

import anyio
import pytest

from analytics import duckdb_dialect
from analytics.engine import LakeError, Partition, QueryFailed
from analytics.local_engine import LocalEngine
from analytics.parameters import Parameters
from analytics.ranges import whole_lake
from tests.analytics.conftest import Make, line, ms

DAY = Parameters.parse("2026-01-04", "2026-01-04")
EIGHT = ms("2026-01-04T08:00:00")
ENDLESS = (
    "SELECT count(*) AS n FROM range(1000000000) AS a, range(1000) AS b "
    "WHERE hash(a.range + b.range) % 7 = 3 AND ? <= ? AND ? = ''"
)


async def _lines(engine: LocalEngine, parameters: Parameters = DAY) -> int:
    return (await engine.run("totals", parameters)).count("line_count")


async def test_a_lake_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="not a folder"):
        LocalEngine(tmp_path / "nowhere")


async def test_an_empty_lake_answers_with_a_note(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path) as engine:
        result = await engine.run("totals", DAY)
        assert await engine.days() is None
        assert await whole_lake(engine) is None
    assert result.count("line_count") == 0
    assert result.count("malformed_line_count") == 0
    assert result.notes == ("No line arrived between 2026-01-04 and 2026-01-04 (UTC).",)


async def test_the_events_folder_itself_is_a_lake_too(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": [line("r-1", EIGHT, EIGHT, EIGHT)]})
    async with LocalEngine(lake / "events") as engine:
        assert await _lines(engine) == 1


async def test_a_folder_above_named_like_a_partition_changes_nothing(tmp_path: Path) -> None:
    place = tmp_path / "env=prod" / "dt=1999-01-01" / "events" / "dt=2026-01-04" / "hour=08"
    place.mkdir(parents=True)
    (place / "a").write_bytes(line("r-1", EIGHT, EIGHT, EIGHT) + b"\n")
    async with LocalEngine(tmp_path / "env=prod" / "dt=1999-01-01") as engine:
        result = await engine.run("traffic", DAY)
    assert result.rows[0][:2] == ("2026-01-04", "08")


async def test_what_is_no_data_is_not_read(make_lake: Make) -> None:
    good = line("r-1", EIGHT, EIGHT, EIGHT)
    lake = make_lake({"2026-01-04/08": [good]})
    for place in (
        "events/error/x",
        "events/dt=2026-01-04/hour=08/_temporary",
        "events/dt=x/hour=1/a",
    ):
        path = lake / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(good + b"\n")
    (lake / "events/dt=2026-01-04/hour=08/.a.unfinished").write_bytes(good[:30])
    async with LocalEngine(lake) as engine:
        assert await _lines(engine) == 1


async def test_compressed_objects_are_read_by_their_suffix(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": [line("r-1", EIGHT, EIGHT, EIGHT)]})
    packed = lake / "events/dt=2026-01-04/hour=08/b.gz"
    packed.write_bytes(gzip.compress(line("r-2", EIGHT, EIGHT, EIGHT) + b"\n"))
    async with LocalEngine(lake) as engine:
        assert await _lines(engine) == 2


async def test_a_damaged_object_is_named(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": []})
    (lake / "events/dt=2026-01-04/hour=08/broken.gz").write_bytes(b"\x1f\x8b\x08not gzip")
    async with LocalEngine(lake) as engine:
        with pytest.raises(QueryFailed, match=r"broken\.gz"):
            await engine.run("totals", DAY)


async def test_a_partition_is_read_again_when_its_files_change(make_lake: Make) -> None:
    first, second = (line(f"r-{n}", EIGHT, EIGHT, EIGHT) for n in (1, 2))
    lake = make_lake({"2026-01-04/08": [first]})
    async with LocalEngine(lake) as engine:
        assert await _lines(engine) == 1
        make_lake({"2026-01-04/08": [first, second], "2026-01-04/09": [b"{broken"]})
        assert await _lines(engine) == 3
        assert (await engine.run("malformed_lines", DAY)).rows == (("2026-01-04", "09", 1),)
        (lake / "events/dt=2026-01-04/hour=09/object-1").unlink()
        assert await _lines(engine) == 2
        assert (await engine.run("totals", DAY)).notes == ()


async def test_only_the_days_that_are_asked_for_are_read(make_lake: Make) -> None:
    lake = make_lake(
        {f"2026-01-0{day}/08": [line(f"r-{day}", EIGHT, EIGHT, EIGHT)] for day in range(1, 8)}
    )
    read: list[str] = []
    async with LocalEngine(lake) as engine:
        await engine.run("totals", DAY, read.append)
        await engine.run("traffic_per_minute", DAY, read.append)
        await engine.run("traffic_per_second", DAY, read.append)
        coverage = await engine.coverage(DAY)
    assert [words.split(",")[0] for words in read] == ["reading 1 file(s)", "reading 2 file(s)"]
    assert coverage.loaded == tuple(Partition(f"2026-01-0{day}", "08") for day in (3, 4, 5))
    assert coverage.missing == ()


async def test_the_whole_lake_begins_with_its_first_event_not_its_first_arrival(
    make_lake: Make,
) -> None:
    late = ms("2026-01-03T23:59:59")
    lake = make_lake({"2026-01-04/00": [line("r-1", late, late, late)]})
    async with LocalEngine(lake) as engine:
        days = await whole_lake(engine)
    assert days is not None
    assert [day.isoformat() for day in days] == ["2026-01-03", "2026-01-04"]


async def test_a_path_that_reads_as_a_pattern_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "lake[1]" / "events" / "dt=2026-01-04" / "hour=08"
    place.mkdir(parents=True)
    (place / "a").write_bytes(line("r-1", EIGHT, EIGHT, EIGHT) + b"\n")
    async with LocalEngine(tmp_path / "lake[1]") as engine:
        with pytest.raises(LakeError, match="pattern"):
            await engine.run("totals", DAY)


async def test_a_definition_is_no_question(tmp_path: Path) -> None:
    async with LocalEngine(tmp_path) as engine:
        with pytest.raises(LakeError, match="needs no definitions"):
            await engine.run("create_table", DAY)


async def test_a_cancelled_query_ends_immediately_and_the_engine_goes_on(
    make_lake: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake({"2026-01-04/08": [line("r-1", EIGHT, EIGHT, EIGHT)]})
    async with LocalEngine(lake, threads=1) as engine:
        with monkeypatch.context() as patched:
            patched.setattr(duckdb_dialect, "translate", lambda _: ENDLESS)
            with anyio.fail_after(20), anyio.move_on_after(0.2) as scope:
                await engine.run("totals", DAY)
        assert scope.cancelled_caught
        assert await _lines(engine) == 1


async def test_concurrent_queries_are_answered_one_by_one(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": [line("r-1", EIGHT, EIGHT, EIGHT)]})
    counts: list[int] = []

    async def ask() -> None:
        counts.append(await _lines(engine))

    async with LocalEngine(lake) as engine, anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ask)
    assert counts == [1] * 8


async def test_the_temporary_database_goes_with_the_engine(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": [line("r-1", EIGHT, EIGHT, EIGHT)]})
    async with LocalEngine(lake) as engine:
        work_dir = Path(engine._work_dir.name)
        await _lines(engine)
        assert (work_dir / "lake.duckdb").exists()
    assert not await anyio.Path(work_dir).exists()


async def test_the_view_keeps_one_row_for_each_request(make_lake: Make) -> None:
    one = line("r-1", EIGHT, EIGHT, EIGHT)
    undecided = line("r-1", EIGHT, EIGHT, EIGHT - 5, eventType=None, finalStatus="FAILED_FINAL")
    nameless = line(None, EIGHT, EIGHT, EIGHT, eventType=None)
    lake = make_lake({"2026-01-04/08": [undecided, one, one, nameless, nameless, b"{broken"]})
    async with LocalEngine(lake) as engine:
        await _lines(engine)
        rows = engine._connection.execute(
            "SELECT requestId, eventType, finalStatus FROM participation_requests ORDER BY 1, 2"
        ).fetchall()
    assert rows == [
        ("r-1", "FIRST_COME", "SUCCEEDED"),
        (None, None, "SUCCEEDED"),
        (None, None, "SUCCEEDED"),
    ]
