"""Frames of evaluation rows as Arrow tables of the declared types, ready for the warehouse's writer."""

import pandas as pd
import pyarrow as pa

from warehouse.contracts import table

ARROW_TYPES = {
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "VARCHAR[]": pa.list_(pa.string()),
    "FLOAT[]": pa.list_(pa.float32()),
    "DOUBLE[]": pa.list_(pa.float64()),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}


def as_arrow(frame: pd.DataFrame, full_name: str) -> pa.Table:
    """The rows of a frame in the columns and types that a table declares; NaN becomes null.

    Raises:
        ValueError: The frame lacks a declared column or has one that is not declared.
    """
    columns = table(full_name).columns
    declared, found = {column.name for column in columns}, {str(name) for name in frame.columns}
    if declared != found:
        raise ValueError(f"{full_name}: missing {sorted(declared - found)}, unknown {sorted(found - declared)}")
    arrays = [pa.array(_typed(frame[column.name]), ARROW_TYPES[column.type], from_pandas=True) for column in columns]
    return pa.table(arrays, names=[column.name for column in columns])


def _typed(values: pd.Series) -> pd.Series:
    """Whole numbers that went through NaN are floats; Arrow takes them as numbers once they are objects."""
    if values.dtype == object and values.isna().all():
        return pd.Series([None] * len(values), dtype=object)
    return values
