"""What each derived partition was made from: the marks of `lineage.partitions`, by which what is stale is found.

What a mark says is its stage's own matter. Which column is made from which is in the declarations.
"""

from collections.abc import Iterable
from datetime import datetime

import duckdb

from warehouse.contracts import table
from warehouse.writer import replace_matching


def record_partitions(
    con: duckdb.DuckDBPyConnection, name: str, made: Iterable[tuple[str, str, int]], run_id: str, now: datetime
) -> None:
    """Marks partitions of a table as made, in place of what was said of them before.

    Args:
        con: The connection of `Warehouse.write()`; the marks belong in the transaction that writes the rows.
        name: The derived table, or what a stage is called that writes several.
        made: Per partition its key, the fingerprint of what it was made from, and how many rows were written.
        run_id: Run that made them.
        now: When (naive UTC).
    """
    import pyarrow as pa

    listed = list(made)
    if not listed:
        return
    partitions, versions, rows = zip(*listed, strict=True)
    marks = pa.table(
        {
            "table": [name] * len(listed),
            "partition": list(partitions),
            "input_version": list(versions),
            "rows": pa.array(rows, pa.int64()),
            "run_id": [run_id] * len(listed),
            "written_at": pa.array([now] * len(listed), pa.timestamp("us")),
        }
    )
    replace_matching(con, table("lineage.partitions"), marks, ("table", "partition"))


def forget_partition(con: duckdb.DuckDBPyConnection, name: str, partition: str) -> None:
    """Takes back that a partition of a table was made."""
    con.execute(
        'DELETE FROM lineage.partitions WHERE "table" = $name AND partition = $partition',
        {"name": name, "partition": partition},
    )
