"""Frames of evaluation rows as Arrow tables of the declared types, ready for the warehouse's writer."""

import pandas as pd
import pyarrow as pa

from warehouse.arrow import TYPES
from warehouse.contracts import table


def as_arrow(frame: pd.DataFrame, full_name: str) -> pa.Table:
    """The rows of a frame in the columns and types that a table declares; NaN becomes null.

    Raises:
        ValueError: The frame lacks a declared column or has one that is not declared.
    """
    columns = table(full_name).columns
    declared, found = {column.name for column in columns}, {str(name) for name in frame.columns}
    if declared != found:
        raise ValueError(f"{full_name}: missing {sorted(declared - found)}, unknown {sorted(found - declared)}")
    arrays = [pa.array(_typed(frame[column.name]), TYPES[column.type], from_pandas=True) for column in columns]
    return pa.table(arrays, names=[column.name for column in columns])


def _typed(values: pd.Series) -> pd.Series:
    """A column without any value has whatever type pandas gives it; Arrow takes it as any once it is of objects."""
    if values.isna().all():
        return pd.Series([None] * len(values), dtype=object)
    return values
