"""Athena's SQL as DuckDB's: sqlglot's translation, and the places where the meanings differ."""

from functools import cache
from typing import Final

import sqlglot
from sqlglot import exp

from analytics import statements
from analytics.openx_lines import Shape
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
def table_shape() -> Shape:
    """The table's columns, in the DDL's order and spelling, as the lines' keys are spelled."""
    create = sqlglot.parse_one(statements.load("create_table").sql, read="hive")
    return _shape(create.this.expressions)


@cache
def table_columns() -> dict[str, str]:
    """The table's columns with their DuckDB types."""
    return {name: _duckdb_type(kind) for name, kind in table_shape().items()}


def struct_type(columns: Shape) -> str:
    """A struct of these columns."""
    fields = ", ".join(f'"{name}" {_duckdb_type(kind)}' for name, kind in columns.items())
    return f"STRUCT({fields})"


def _duckdb_type(kind: str | Shape) -> str:
    return kind if isinstance(kind, str) else struct_type(kind)


def _shape(nodes: list[exp.Expr]) -> Shape:
    kinds = {node.name: node.args["kind"] for node in nodes if isinstance(node, exp.ColumnDef)}
    return {
        name: _shape(kind.expressions) if kind.this == exp.DType.STRUCT else _HIVE_TYPES[kind.this]
        for name, kind in kinds.items()
    }


def result_type(duckdb_type: str) -> ColumnType:
    """The common type of a result's column; raises KeyError for one no statement should give."""
    return _RESULT_TYPES[duckdb_type]
