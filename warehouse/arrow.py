"""Declared tables as Arrow: the type of every column, and rows in these columns, ready for the writer."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from warehouse.contracts import Table

TYPES: Mapping[str, pa.DataType] = {
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "VARCHAR[]": pa.list_(pa.string()),
    "FLOAT[]": pa.list_(pa.float32()),
    "DOUBLE[]": pa.list_(pa.float64()),
}
"""By the type that a declaration names."""


def schema_of(declared: Table) -> pa.Schema:
    """The columns of a table, in order, with their types."""
    return pa.schema({column.name: TYPES[column.type] for column in declared.columns})


def arrow_rows(declared: Table, rows: Sequence[Mapping[str, Any]], without: Sequence[str] = ()) -> pa.Table:
    """Rows in the columns and types of a table."""
    columns = [column for column in declared.columns if column.name not in without]
    return pa.table({c.name: pa.array([row[c.name] for row in rows], TYPES[c.type]) for c in columns})
