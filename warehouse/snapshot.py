"""The published copy of the warehouse, for readers that must never wait: services, notebooks, dashboards.

It is a whole state of the file, put in place at once; a reader keeps the one it opened. What to publish when is
decided elsewhere.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from warehouse.connection import Warehouse, holding, scratch
from warehouse.durable import sync_folder

NAME = "warehouse.snapshot.duckdb"
_CHUNK = 16 * 2**20


def publish(warehouse: Warehouse) -> Path:
    """Copy the warehouse to `warehouse.snapshot.duckdb` in its home and return that path.

    Raises:
        WarehouseBusyError: Another process holds the file for longer than the warehouse's patience.
        WarehouseFullError: No space for the copy; the former snapshot stays.
    """
    final = warehouse.home / NAME
    partial = (
        warehouse.home / f"{NAME}.partial"
    )  # one name: the lock admits one publisher, and a killed one leaves no litter
    with warehouse.file() as file:
        try:
            with partial.open("wb") as copy:
                shutil.copyfileobj(file, copy, _CHUNK)
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(partial, final)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    sync_folder(warehouse.home)
    return final


def tables_holding(path: Path, patterns: Sequence[str]) -> list[str]:
    """The tables of a published copy, or of any other DuckDB file that nobody writes to, that hold some pattern."""
    con = scratch()
    try:
        con.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS other (READ_ONLY)")
        return holding(con, patterns)
    finally:
        con.close()
