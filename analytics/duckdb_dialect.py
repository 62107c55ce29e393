"""Athena's SQL as DuckDB's: sqlglot's translation, and the places where the meanings differ."""

from functools import cache
from typing import Final

import sqlglot
from sqlglot import exp

from analytics import statements
from analytics.results import ColumnType

_MICROSECONDS: Final = 1_000_000

_HIVE_TYPES: Final = {
    exp.DType.INT: "INTEGER",
    exp.DType.BIGINT: "BIGINT",
    exp.DType.TEXT: "VARCHAR",
    exp.DType.VARCHAR: "VARCHAR",
    exp.DType.BOOLEAN: "BOOLEAN",
}

_RESULT_TYPES: Final = {
    "VARCHAR": ColumnType.VARCHAR,
    "TINYINT": ColumnType.BIGINT,
    "INTEGER": ColumnType.BIGINT,
    "BIGINT": ColumnType.BIGINT,
    "HUGEINT": ColumnType.BIGINT,
    "DOUBLE": ColumnType.DOUBLE,
    "BOOLEAN": ColumnType.BOOLEAN,
    "TIMESTAMP": ColumnType.TIMESTAMP,
}


@cache
def translate(sql: str) -> str:
    """Turn one Athena query into DuckDB's dialect.

    Percentiles become exact, and times come out as plain UTC timestamps, so that no setting of the
    machine's time zone can shift them.
    """
    tree = sqlglot.parse_one(sql, read="athena")
    return tree.transform(_rewritten).sql(dialect="duckdb", pretty=True)


def _rewritten(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.ApproxQuantile):
        return exp.Anonymous(this="quantile_disc", expressions=[node.this, node.args["quantile"]])
    if isinstance(node, exp.CountIf):
        # DuckDB's count_if of no rows is NULL; Athena's is 0.
        return exp.Filter(this=exp.Count(this=exp.Star()), expression=exp.Where(this=node.this))
    if isinstance(node, exp.UnixToTime):
        microseconds = exp.Mul(
            this=exp.Paren(this=node.this), expression=exp.Literal.number(_MICROSECONDS)
        )
        return exp.Anonymous(this="make_timestamp", expressions=[microseconds])
    return node


@cache
def table_columns() -> dict[str, str]:
    """The table's columns with their DuckDB types, in the DDL's order and spelling.

    The keys of the lines are camelCase; read by lower-cased names they would all be NULL.
    """
    return {column.name: _duckdb_type(column.args["kind"]) for column in _column_definitions()}


def _column_definitions() -> list[exp.ColumnDef]:
    create = sqlglot.parse_one(statements.load("create_table").sql, read="hive")
    schema = create.this
    return [node for node in schema.expressions if isinstance(node, exp.ColumnDef)]


def _duckdb_type(kind: exp.DataType) -> str:
    if kind.this == exp.DType.STRUCT:
        fields = ", ".join(
            f'"{field.name}" {_duckdb_type(field.args["kind"])}' for field in kind.expressions
        )
        return f"STRUCT({fields})"
    return _HIVE_TYPES[kind.this]


def result_type(duckdb_type: str) -> ColumnType:
    """The common type of a result's column; raises KeyError for one no statement should give."""
    return _RESULT_TYPES[duckdb_type]
