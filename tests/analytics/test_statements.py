"""The statement files: they parse as Athena reads them, bind what they say, and prune by day."""

import re

import pytest
import sqlglot
from sqlglot import exp

from analytics import duckdb_dialect, statements
from analytics.parameters import ParameterError, Parameters
from analytics.statements import ParameterName, StatementError
from schema.names import LAKE_TABLE

_SPECIFIED_TABLE = """
CREATE EXTERNAL TABLE IF NOT EXISTS participation_logs (
  schemaVersion int, env string, eventId string, requestId string, eventType string,
  finalStatus string, resultCode string,
  timestamps struct<queuedAt:bigint, startedAt:bigint, finishedAt:bigint>,
  delivery struct<attempt:int, isDlq:boolean>,
  failure struct<failureClass: string, errorCode: string, errorMessage: string>,
  meta struct<workerId: string>
)
PARTITIONED BY (dt string, hour string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES ('ignore.malformed.json'='true')
LOCATION 's3://<YOUR_BUCKET>/events/'
TBLPROPERTIES ('projection.enabled'='false')
"""


def _bare(sql: str) -> str:
    return re.sub(r"\s+", "", sql).lower()


@pytest.mark.parametrize("name", statements.names())
def test_each_statement_is_one_statement_of_athena(name: str) -> None:
    statement = statements.load(name)
    if name == statements.REPAIR_NAME:
        # sqlglot has no grammar for it; Athena's own is two words and a table (g1 §9.2).
        assert statement.sql == f"MSCK REPAIR TABLE {LAKE_TABLE}"
        return
    trees = sqlglot.parse(statement.sql, read="athena")
    assert len(trees) == 1
    assert isinstance(trees[0], exp.Query if statement.is_query else exp.Create)


@pytest.mark.parametrize("name", ["create_table", "create_projected_table"])
def test_the_table_parses_as_hive_ddl(name: str) -> None:
    assert isinstance(sqlglot.parse_one(statements.load(name).sql, read="hive"), exp.Create)


def test_the_table_is_the_specified_one() -> None:
    assert _bare(statements.load("create_table").sql) == _bare(_SPECIFIED_TABLE)


def test_the_projected_twin_differs_in_its_name_and_its_properties_alone() -> None:
    table, _, _ = _bare(statements.load("create_table").sql).partition("tblproperties")
    twin, _, properties = _bare(statements.load("create_projected_table").sql).partition(
        "tblproperties"
    )
    assert twin.replace("participation_logs_projected", "participation_logs") == table
    assert "'projection.enabled'='true'" in properties
    assert "'storage.location.template'='s3://<your_bucket>/events/dt=${dt}/hour=${hour}/'" in (
        properties
    )


@pytest.mark.parametrize("name", statements.query_names())
def test_the_header_names_each_parameter_in_order(name: str) -> None:
    statement = statements.load(name)
    tree = sqlglot.parse_one(statement.sql, read="athena")
    assert len(list(tree.find_all(exp.Placeholder))) == len(statement.parameters)
    # The embedded engine binds by position too: the translation may not add or drop one.
    translated = sqlglot.parse_one(duckdb_dialect.translate(statement.sql), read="duckdb")
    assert len(list(translated.find_all(exp.Placeholder))) == len(statement.parameters)


@pytest.mark.parametrize("name", statements.query_names())
def test_every_read_of_the_table_is_bounded_by_arrival_day(name: str) -> None:
    """`dt BETWEEN ? AND ?` must be a condition of its own, or Athena reads the whole lake."""
    statement = statements.load(name)
    tree = sqlglot.parse_one(statement.sql, read="athena")
    reads = [table for table in tree.find_all(exp.Table) if table.name.startswith(LAKE_TABLE)]
    assert reads
    for table in reads:
        select = table.find_ancestor(exp.Select)
        assert select is not None
        where = select.args["where"].this
        conditions = list(where.flatten()) if isinstance(where, exp.And) else [where]
        assert any(condition.sql() == "dt BETWEEN ? AND ?" for condition in conditions)
    assert statement.parameters[:2] in (
        (ParameterName.DT_FROM, ParameterName.DT_TO),
        (ParameterName.SCAN_FROM, ParameterName.SCAN_TO),
    )


@pytest.mark.parametrize("name", statements.query_names())
def test_every_column_of_a_result_has_a_name(name: str) -> None:
    tree = sqlglot.parse_one(statements.load(name).sql, read="athena")
    assert isinstance(tree, exp.Query)
    assert all(tree.named_selects)


@pytest.mark.parametrize("name", ["nope", "../secrets", "", "Traffic", "traffic.sql"])
def test_an_unknown_statement_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(StatementError, match="totals"):
        statements.load(name)


@pytest.mark.parametrize(
    "text", ["SELECT 1;", "-- title\nSELECT 1;", "-- title\n-- Parameters: nonsense\nSELECT ?;"]
)
def test_a_file_without_the_agreed_header_is_refused(text: str) -> None:
    with pytest.raises(StatementError):
        statements.parse("broken", text)


@pytest.mark.parametrize(
    "bucket", ["", "ab", "Upper", "a'b-bucket", "bucket/../x", "a..bucket", "bucket;drop", "a" * 64]
)
def test_a_name_that_is_no_bucket_never_reaches_the_ddl(bucket: str) -> None:
    with pytest.raises(StatementError):
        statements.with_bucket(statements.load("create_table").sql, bucket)


def test_the_bucket_stands_wherever_the_ddl_names_one() -> None:
    sql = statements.with_bucket(statements.load("create_projected_table").sql, "my-lake")
    assert "<" not in sql.replace("struct<", "")
    assert sql.count("s3://my-lake/events/") == 2


@pytest.mark.parametrize("database", ["", "a-b", "a.b", "a b", "1a", 'a"b', "a;b", "a" * 129])
def test_a_name_that_is_no_database_is_refused(database: str) -> None:
    with pytest.raises(StatementError):
        statements.checked_database(database)


def test_only_the_lakes_own_tables_can_be_read() -> None:
    sql = statements.load("totals").sql
    assert "FROM participation_logs_projected" in statements.with_table(
        sql, statements.PROJECTED_TABLE
    )
    with pytest.raises(StatementError):
        statements.with_table(sql, "users")


def test_values_are_bound_and_never_pasted() -> None:
    parameters = Parameters.parse("2026-01-04", "2026-01-05", "x' OR '1'='1")
    statement = statements.load("totals")
    assert parameters.values(statement) == ("2026-01-04", "2026-01-05", "x' OR '1'='1")
    assert "OR '1'" not in duckdb_dialect.translate(statement.sql)


def test_a_statement_by_event_time_reads_a_day_more_on_both_sides() -> None:
    parameters = Parameters.parse("2026-03-01", "2026-03-01")
    values = parameters.values(statements.load("traffic_per_minute"))
    assert values == ("2026-02-28", "2026-03-02", 1772323200000, 1772409600000, "")


@pytest.mark.parametrize(
    ("first", "last", "event"),
    [
        ("2026-01-05", "2026-01-04", None),
        ("yesterday", "2026-01-04", None),
        ("2026-01-04", "2026-02-30", None),
        ("2026-01-04", "2026-01-04", ""),
        ("2026-01-04", "2026-01-04", "a\nb"),
        ("2026-01-04", "2026-01-04", "e" * 1025),
    ],
)
def test_an_invalid_question_is_refused(first: str, last: str, event: str | None) -> None:
    with pytest.raises(ParameterError):
        Parameters.parse(first, last, event)
