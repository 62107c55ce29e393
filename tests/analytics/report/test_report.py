"""The evidence report: what it says, that it needs nothing from outside, and its files."""

import csv
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from analytics import statements
from analytics.athena_engine import AthenaEngine
from analytics.athena_execution import Patience, Place
from analytics.local_engine import LocalEngine
from analytics.parameters import Parameters
from analytics.report.evidence import gather
from analytics.report.report import ReportFiles, shares, write_report
from analytics.results import Column, ColumnType, QueryResult
from aws.sdk import open_client
from tests.analytics.athena_stand_in import standing_in
from tests.analytics.conftest import Make, line, ms

EIGHT = ms("2026-01-04T08:00:00")
DAY = Parameters.parse("2026-01-04", "2026-01-04")


async def _report(lake: Path, out: Path, parameters: Parameters = DAY) -> ReportFiles:
    async with LocalEngine(lake) as engine:
        return await write_report(engine, out, parameters)


def _sound_lines() -> list[bytes]:
    return [
        line(
            f"r-{n}",
            EIGHT + 100 * n,
            EIGHT + 100 * n + 10 * n,
            EIGHT + 100 * n + 20 * n,
            **({} if n < 20 else {"finalStatus": "REJECTED", "resultCode": "REJECTED_CAPACITY"}),
        )
        for n in range(100)
    ]


@pytest.fixture
def sound_lake(make_lake: Make) -> Path:
    return make_lake({"2026-01-04/08": _sound_lines()})


class _Words(HTMLParser):
    """The page's text without its style, and every address in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self._in_style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._in_style = tag == "style"
        self.addresses += [v or "" for k, v in attrs if k in {"src", "href", "action", "data"}]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - its parent names it
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.text += " " + " ".join(data.split())

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


async def test_the_page_gives_the_four_answers(sound_lake: Path, tmp_path: Path) -> None:
    files = await _report(sound_lake, tmp_path / "out")
    words = _Words(files.page.read_text(encoding="utf-8")).words
    assert "Traffic 100 requests queued" in words
    assert "Succeeded 20.00 %" in words
    assert "Rejected 80.00 %" in words
    assert "p95 queue delay 940 ms" in words
    assert "p95 end-to-end delay 1.88 s" in words
    assert "seats_out_of_turn event-1 20 0 0.0 0 0" in words
    assert "All checks pass" in words


async def test_the_page_needs_nothing_from_outside(sound_lake: Path, tmp_path: Path) -> None:
    files = await _report(sound_lake, tmp_path / "out")
    page = files.page.read_text(encoding="utf-8")
    parsed = _Words(page)
    assert not {"script", "iframe", "object", "embed", "img"} & set(parsed.tags)
    linked = [address for address in parsed.addresses if not address.startswith("data:")]
    assert all((files.page.parent / address).is_file() for address in linked)
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert not re.search(r"url\(", page)


async def test_every_result_and_every_statement_is_beside_the_page(
    sound_lake: Path, tmp_path: Path
) -> None:
    files = await _report(sound_lake, tmp_path / "out")
    assert {path.stem for path in files.results} == set(statements.query_names())
    assert {path.stem for path in files.statements} == set(statements.query_names())
    with (files.page.parent / "results" / "p95_delay.csv").open(newline="") as opened:
        assert list(csv.reader(opened)) == [
            ["eventId", "p95_queue_delay_ms", "p95_e2e_delay_ms"],
            ["event-1", "940", "1880"],
        ]
    executed = (files.page.parent / "statements" / "p95_delay.sql").read_text(encoding="utf-8")
    assert "--   dt_from = '2026-01-04'" in executed
    assert "QUANTILE_DISC" in executed.upper()


async def test_each_chart_is_well_formed_and_says_what_it_shows(
    sound_lake: Path, tmp_path: Path
) -> None:
    page = (await _report(sound_lake, tmp_path / "out")).page.read_text(encoding="utf-8")
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 10
    for drawing in drawings:
        tree = ET.fromstring(drawing)  # noqa: S314 - our own text
        assert tree.get("role") == "img"
        assert tree.get("aria-label")
    assert "Traffic and throughput per second" in page


async def test_a_long_range_is_drawn_per_minute(make_lake: Make, tmp_path: Path) -> None:
    later = EIGHT + 3_600_000
    lake = make_lake({"2026-01-04/08": [*_sound_lines(), line("r-z", later, later + 5, later + 9)]})
    page = (await _report(lake, tmp_path / "out")).page.read_text(encoding="utf-8")
    assert "Traffic and throughput per minute" in page
    assert not (tmp_path / "out" / "results" / "traffic_per_second.csv").exists()


async def test_the_definition_of_done_is_ticked_from_the_data(
    make_lake: Make, sound_lake: Path, tmp_path: Path
) -> None:
    async def verdicts(lake: Path, name: str) -> list[str]:
        page = (await _report(lake, tmp_path / name)).page.read_text(encoding="utf-8")
        listed = page.split("Definition of Done</h3>")[1].split("</ul>")[0]
        return re.findall(r'class="badge \w+">(.*?)</span>', listed)

    shown, elsewhere, refuted = "✓ shown", "not judged here", "✗ not so"
    assert await verdicts(sound_lake, "sound") == [
        shown,
        elsewhere,
        shown,
        shown,
        shown,
        shown,
        shown,
        elsewhere,
    ]
    broken = make_lake({"2026-01-04/08": [line("r-1", EIGHT, EIGHT - 1, EIGHT), b"{"]})
    assert await verdicts(broken, "broken") == [
        shown,
        elsewhere,
        shown,
        shown,
        shown,
        shown,
        refuted,
        elsewhere,
    ]


async def test_a_violation_stands_at_the_head_of_the_page(make_lake: Make, tmp_path: Path) -> None:
    lake = make_lake({"2026-01-04/08": [*_sound_lines(), b"{broken"]})
    words = _Words((await _report(lake, tmp_path / "out")).page.read_text(encoding="utf-8")).words
    assert "2 of 4 checks fail" in words
    assert "1 line(s) of these days are malformed" in words
    assert "Malformed 0.99 %" in words


async def test_a_page_about_nothing_says_so(make_lake: Make, tmp_path: Path) -> None:
    lake = make_lake({"2026-02-04/08": _sound_lines()})
    words = _Words((await _report(lake, tmp_path / "out")).page.read_text(encoding="utf-8")).words
    assert "Nothing arrived" in words
    assert "No line arrived between 2026-01-04 and 2026-01-04 (UTC)." in words
    assert "Nothing to draw" in words


async def test_what_the_lake_holds_is_text_and_never_markup(
    make_lake: Make, tmp_path: Path
) -> None:
    hostile = '<script>alert("1")</script>'
    lake = make_lake(
        {
            "2026-01-04/08": [
                line(
                    "r-1",
                    EIGHT,
                    EIGHT,
                    EIGHT,
                    eventId=hostile,
                    finalStatus="FAILED_FINAL",
                    failure__errorMessage=hostile,
                )
            ]
        }
    )
    asked = Parameters.parse("2026-01-04", "2026-01-04", hostile)
    page = (await _report(lake, tmp_path / "out", asked)).page.read_text(encoding="utf-8")
    assert "<script" not in page
    assert hostile in _Words(page).text


async def test_the_report_of_athena_shows_its_partitions_and_its_costs(
    sound_lake: Path, tmp_path: Path
) -> None:
    folders = ["events/dt=2026-01-04/hour=08/object-1", "events/dt=2026-01-04/hour=09/object-2"]
    with standing_in(sound_lake, folders) as server:
        assert server.engine is not None
        await server.engine.run("totals", DAY)
        async with (
            open_client("athena", server.connection) as athena,
            open_client("s3", server.connection) as s3,
        ):
            place = Place(database="lake", workgroup="analysts")
            patience = Patience(first_wait_s=0.001, longest_wait_s=0.01)
            engine = AthenaEngine(athena, place, bucket="my-lake", s3=s3, patience=patience)
            files = await write_report(engine, tmp_path / "out", DAY)
    words = _Words(files.page.read_text(encoding="utf-8")).words
    assert "Amazon Athena (workgroup analysts; approximate percentiles)" in words
    assert "p95 queue delay 940 ms" in words
    assert "✗ not so The Athena table knows its partitions (MSCK REPAIR TABLE)" in words
    assert "1 loaded, 1 waiting: run `participation lake repair`." in words
    assert "bytes scanned" in words
    executed = (tmp_path / "out" / "statements" / "traffic.sql").read_text(encoding="utf-8")
    assert statements.load("traffic").sql in executed


async def test_the_evidence_shows_where_it_came_from(sound_lake: Path) -> None:
    async with LocalEngine(sound_lake) as engine:
        evidence = await gather(engine, DAY)
    assert evidence.source == str(sound_lake)
    assert "DuckDB" in evidence.engine_label
    assert {"Python", "duckdb", "sqlglot"} <= {name for name, _ in evidence.versions}
    assert evidence.gathered_at.tzinfo is not None


def test_shares_are_of_all_lines_and_sum_to_the_whole() -> None:
    distribution = QueryResult(
        name="result_distribution",
        columns=(
            Column("resultCode", ColumnType.VARCHAR),
            Column("isDlq", ColumnType.BOOLEAN),
            Column("total_count", ColumnType.BIGINT),
            Column("ratio_percent", ColumnType.DOUBLE),
        ),
        rows=(
            ("REJECTED_CAPACITY", False, 4, 40.0),
            ("SUCCESS", False, 2, 20.0),
            ("SUCCESS", True, 1, 10.0),
            ("FAILED_WORKER", False, 2, 20.0),
            (None, None, 1, 10.0),
        ),
        statement="",
        arguments=(),
        seconds=0.0,
    )
    assert [(share.name, share.count, share.percent) for share in shares(distribution)] == [
        ("Succeeded", 3, 30.0),
        ("Rejected", 4, 40.0),
        ("Failed", 2, 20.0),
        ("Malformed", 1, 10.0),
    ]
