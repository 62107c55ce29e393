"""`participation lake`, as an operator types it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analytics import statements
from cli.lake import app
from tests.analytics.athena_stand_in import standing_in
from tests.analytics.conftest import Make, line, ms

EIGHT = ms("2026-01-04T08:00:00")
_ROOT = Path(__file__).parents[2]
_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("AWS_", "LAKE_", "ATHENA_")):
            monkeypatch.delenv(name)


@pytest.fixture
def lake(make_lake: Make) -> str:
    lines = [line(f"r-{n}", EIGHT, EIGHT + n, EIGHT + 2 * n) for n in range(20)]
    return str(make_lake({"2026-01-04/08": lines}))


@pytest.fixture
def broken_lake(make_lake: Make) -> str:
    return str(make_lake({"2026-01-04/08": [line("r-1", EIGHT, EIGHT - 1, EIGHT), b"{broken"]}))


def _run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_query_prints_a_table_of_the_whole_lake(lake: str) -> None:
    code, out, shown = _run("query", "p95_delay", "--lake-dir", lake)
    assert code == 0
    assert out.split() == [
        "eventId",
        "p95_queue_delay_ms",
        "p95_e2e_delay_ms",
        "event-1",
        "18",
        "36",
    ]
    assert "1 row(s) in" in shown


def test_a_query_prints_csv_and_json_and_nothing_else(lake: str) -> None:
    code, out, _ = _run("query", "traffic", "--lake-dir", lake, "--format", "csv")
    assert (code, out) == (
        0,
        "dt,hour,min_time,traffic_per_min\n2026-01-04,08,2026-01-04T08:00:00Z,20\n",
    )
    _, out, _ = _run("query", "dlq_share", "--lake-dir", lake, "--format", "json")
    assert json.loads(out) == [{"total_count": 20, "dlq_count": 0, "dlq_percent": 0.0}]


def test_an_empty_range_says_so(lake: str) -> None:
    code, _, shown = _run("query", "totals", "--lake-dir", lake, "--from", "2026-03-01")
    assert code == 0
    assert "No line arrived between 2026-03-01 and 2026-03-01" in shown


def test_validate_passes_a_sound_lake(lake: str) -> None:
    code, out, _ = _run("validate", "--lake-dir", lake, "--lines", "--capacity", "20")
    assert code == 0
    assert "FAIL" not in out
    assert "20 line(s) checked" in out
    assert "0 line(s) do not fit" in out


def test_validate_ends_with_1_on_a_violation_and_names_it(broken_lake: str) -> None:
    code, out, _ = _run("validate", "--lake-dir", broken_lake)
    assert code == 1
    assert "FAIL  No negative delay: 1" in out
    assert "FAIL  No malformed line: 1 in dt=2026-01-04/hour=08 (1)" in out


def test_validate_ends_with_1_where_one_seat_is_too_many(lake: str) -> None:
    code, out, _ = _run("validate", "--lake-dir", lake, "--capacity", "19")
    assert code == 1
    assert "FAIL  No seat beyond the capacity: 1" in out


def test_validate_names_each_line_that_breaks_the_schema(broken_lake: str) -> None:
    code, out, _ = _run("validate", "--lake-dir", broken_lake, "--lines")
    assert code == 1
    assert "hour=08/object-1:2: not JSON" in out


def test_the_checks_come_in_json_with_the_statement_that_shows_each_violation(
    broken_lake: str, tmp_path: Path
) -> None:
    code, out, shown = _run("validate", "--lake-dir", broken_lake, "--lines", "--json")
    found = json.loads(out)

    assert (code, found["passed"], found["lineCount"], found["brokenLines"]) == (1, False, 2, 1)
    checks = {check["statement"]: check for check in found["checks"]}
    assert checks["negative_delays"] == {
        "statement": "negative_delays",
        "passed": False,
        "violations": 1,
        "detail": "lines whose times run backwards",
    }
    assert checks["duplicate_publications"]["passed"] is True
    assert "object-1:2: not JSON" in shown
    (tmp_path / "empty").mkdir()
    code, out, _ = _run("validate", "--lake-dir", str(tmp_path / "empty"), "--json")
    assert (code, json.loads(out)["lineCount"]) == (1, 0)


def test_what_else_a_lake_answers_comes_in_json_as_well(lake: str, tmp_path: Path) -> None:
    _, listed, _ = _run("statements", "--json")
    assert [one["name"] for one in json.loads(listed)] == list(statements.query_names())
    _, defined, _ = _run("ddl", "--json", "--bucket", "my-lake")
    assert [one["name"] for one in json.loads(defined)] == list(statements.DDL_NAMES)
    assert "s3://my-lake/events/" in json.loads(defined)[0]["sql"]
    _, rows, _ = _run("query", "dlq_share", "--lake-dir", lake, "--json")
    assert json.loads(rows) == [{"total_count": 20, "dlq_count": 0, "dlq_percent": 0.0}]
    out = str(tmp_path / "generated")
    _, made, _ = _run("generate", "--out", out, "--requests", "5", "--json")
    assert json.loads(made)["folder"] == out
    _, page, _ = _run("report", "--lake-dir", lake, "--out", str(tmp_path / "report"), "--json")
    assert json.loads(page) == {"page": str(tmp_path / "report" / "index.html")}


def test_validate_of_nothing_proves_nothing(tmp_path: Path, lake: str) -> None:
    code, _, shown = _run("validate", "--lake-dir", str(tmp_path / "lake"), "--from", "2026-09-01")
    assert code == 1
    assert "Nothing is proven" in shown
    (tmp_path / "empty").mkdir()
    assert _run("validate", "--lake-dir", str(tmp_path / "empty"))[0] == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["query", "nope", "--lake-dir", "."], "no statement is called 'nope'"),
        (["query", "totals"], "give --lake-dir"),
        (["query", "totals", "--lake-dir", "/nonexistent"], "is not a folder"),
        (["query", "totals", "--lake-dir", ".", "--from", "today"], "'today' is not a day"),
        (["query", "totals", "--lake-dir", ".", "--to", "2026-01-01"], "--to needs --from"),
        (
            ["query", "totals", "--lake-dir", ".", "--from", "2026-01-02", "--to", "2026-01-01"],
            "ends (2026-01-01) before it begins",
        ),
        (["query", "totals", "--engine", "athena"], "give --from"),
        (["query", "totals", "--engine", "athena", "--from", "2026-01-04"], "no AWS region"),
        (
            ["query", "create_table", "--lake-dir", ".", "--from", "2026-01-01"],
            "needs no definitions",
        ),
        (["ddl", "--bucket", "Bad/Bucket"], "is not the name of an S3 bucket"),
        (["validate", "--lines"], "give --lake-dir"),
    ],
)
def test_a_mistake_is_reported_in_a_line_without_a_traceback(
    arguments: list[str], reason: str
) -> None:
    code, _, error = _run(*arguments)
    assert code == 2
    assert error.startswith("participation: ")
    assert reason in " ".join(error.split())


def test_ddl_prints_each_definition_for_the_bucket() -> None:
    code, out, _ = _run("ddl", "--bucket", "my-lake")
    assert code == 0
    assert out.count("CREATE EXTERNAL TABLE") == 2
    assert "s3://my-lake/events/" in out
    assert "CREATE OR REPLACE VIEW" in out


def test_the_statements_are_listed() -> None:
    code, out, _ = _run("statements")
    assert code == 0
    assert [words.split()[0] for words in out.splitlines()] == list(statements.query_names())


def test_a_generated_lake_is_reported(tmp_path: Path) -> None:
    out = str(tmp_path / "lake")
    code, shown, _ = _run("generate", "--out", out, "--requests", "300", "--from", "2026-01-03")
    assert code == 0
    assert "lines" in shown
    code, page, _ = _run("report", "--lake-dir", out, "--out", str(tmp_path / "report"))
    assert code == 0
    assert Path(page.strip()).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_athena_is_asked_with_the_settings_of_the_environment(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": [line("r-1", EIGHT, EIGHT, EIGHT)]})
    with standing_in(lake) as server:
        code, out, shown = _run(
            "query",
            "totals",
            "--from",
            "2026-01-04",
            "--format",
            "csv",
            **_KEYS,
            LAKE_ENGINE="athena",
            AWS_ENDPOINT_URL=server.url,
            LAKE_DATABASE="lake",
            ATHENA_WORKGROUP="analysts",
            ATHENA_OUTPUT="s3://answers/",
        )
    assert code == 0
    assert out.splitlines()[0].startswith("line_count,malformed_line_count")
    assert "bytes scanned" in shown
    request = next(iter(server.queries.values())).request
    assert request["WorkGroup"] == "analysts"
    assert request["QueryExecutionContext"] == {"Database": "lake"}
    assert request["ResultConfiguration"] == {"OutputLocation": "s3://answers/"}


def test_ddl_apply_and_repair_run_on_athena() -> None:
    with standing_in() as server:
        server.states = ["SUCCEEDED"]
        options = ["--bucket", "my-lake", "--endpoint-url", server.url]
        assert _run("ddl", "--apply", *options, **_KEYS)[0] == 0
        code, shown, _ = _run("repair", "--json", *options, **_KEYS)
    assert code == 0
    assert json.loads(shown)["partitions"] >= 0
    sent = [query.request["QueryString"].split()[0] for query in server.queries.values()]
    assert sent[:4] == ["CREATE", "CREATE", "CREATE", "MSCK"]


def test_a_failed_query_on_athena_ends_with_2_and_shows_the_statement() -> None:
    with standing_in() as server:
        server.states, server.reason = ["FAILED"], "HIVE_BAD_DATA: not a bigint"
        options = ["--engine", "athena", "--endpoint-url", server.url, "--from", "2026-01-04"]
        code, _, shown = _run("query", "totals", *options, **_KEYS)
    assert code == 2
    assert "HIVE_BAD_DATA: not a bigint" in shown
    assert "FROM participation_logs" in shown


def test_ctrl_c_stops_the_query_on_athena() -> None:
    with standing_in() as server:
        server.states = ["RUNNING"]
        program = subprocess.Popen(  # noqa: S603 - our own command
            [
                sys.executable,
                "-c",
                # A shell in the background starts its programs with Ctrl-C ignored.
                (
                    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
                    "from cli.lake import app; app()"
                ),
                "query",
                "totals",
                "--engine",
                "athena",
                "--endpoint-url",
                server.url,
                "--from",
                "2026-01-04",
            ],
            cwd=_ROOT,
            env=os.environ | _KEYS,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.started.wait(30)
            program.send_signal(signal.SIGINT)
            _, shown = program.communicate(timeout=30)
        finally:
            program.kill()
            program.wait()
    assert program.returncode != 0
    assert server.stopped.is_set()
    assert "Traceback" not in shown
