"""What each derived partition was made from: the marks of `lineage.partitions`, by which what is stale is found.

What a mark says is its stage's own matter. Which column is made from which is in the declarations.
"""

from collections.abc import Iterable
from datetime import datetime

import duckdb

from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_matching

_BEGUN, _DONE = "begun", "done"


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


def begin_stage(warehouse: Warehouse, name: str, version: str, *, run_id: str, now: datetime) -> None:
    """Notes what a stage of several tables is about to be made from: the fingerprint as it is before the stage begins."""
    with warehouse.write() as con:
        record_partitions(con, name, [(_BEGUN, version, 0)], run_id, now)


def finish_stage(warehouse: Warehouse, name: str, *, run_id: str, now: datetime) -> None:
    """Notes that a stage is made from what this run began with; a run that another has overtaken notes nothing."""
    begun = _marked(warehouse, name, _BEGUN, run_id)
    if begun is not None:
        with warehouse.write() as con:
            record_partitions(con, name, [(_DONE, begun, 0)], run_id, now)


def finished_from(warehouse: Warehouse, name: str) -> str | None:
    """The fingerprint of what a stage was last made from, None where it never was."""
    return _marked(warehouse, name, _DONE)


def _marked(warehouse: Warehouse, name: str, partition: str, run_id: str | None = None) -> str | None:
    rows = warehouse.query(
        """SELECT input_version FROM lineage.partitions
           WHERE "table" = $name AND partition = $partition AND ($run_id IS NULL OR run_id = $run_id)""",
        {"name": name, "partition": partition, "run_id": run_id},
    ).to_pylist()
    return rows[0]["input_version"] if rows else None
