"""The published copy is a whole state of the warehouse, always readable, never in the way."""

from pathlib import Path

import duckdb
import pytest

from tests.warehouse.rows import run_script, start_script
from tests.warehouse.test_connection import OUTSIDER, UNCLOSED, count_up
from warehouse.connection import Warehouse, WarehouseBusyError
from warehouse.snapshot import publish


def published(path: Path) -> list[tuple[int]]:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute("SELECT views FROM raw.snapshots").fetchall()


def test_copy_holds_everything_and_blocks_nobody(home: Path) -> None:
    count_up(home, 1)
    path = publish(Warehouse(home))
    assert path == home / "warehouse.snapshot.duckdb"
    reader = duckdb.connect(str(path), read_only=True)
    count_up(home, 1)
    publish(Warehouse(home))
    assert reader.execute("SELECT views FROM raw.snapshots").fetchall() == [(1,)]
    reader.close()
    assert published(path) == [(2,)]
    assert sorted(path.name for path in home.glob("warehouse.snapshot*")) == ["warehouse.snapshot.duckdb"]


def test_new_home_can_be_published(home: Path) -> None:
    assert published(publish(Warehouse(home))) == []


def test_log_of_a_killed_writer_is_in_the_copy(home: Path) -> None:
    count_up(home, 1)
    start_script(UNCLOSED, Warehouse(home).path).communicate()
    assert published(publish(Warehouse(home))) == [(77,)]


def test_never_while_this_thread_has_the_file_open(home: Path) -> None:
    """Opening it a second time would drop the lock that DuckDB holds."""
    with Warehouse(home).read(), pytest.raises(RuntimeError, match=r"file of .* inside its read"):
        publish(Warehouse(home))


def test_never_while_another_program_writes(home: Path) -> None:
    count_up(home, 1)
    path = publish(Warehouse(home))
    other = start_script(OUTSIDER, Warehouse(home).path, 60, "write")
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(WarehouseBusyError, match=f"process {other.pid} "):
            publish(Warehouse(home, patience_s=0.3))
    finally:
        other.kill()
        other.communicate()
    assert published(path) == [(1,)]


def test_another_program_cannot_open_it_during_the_copy(home: Path) -> None:
    count_up(home, 1)
    with Warehouse(home).file(), pytest.raises(AssertionError, match="Could not set lock"):
        run_script(OUTSIDER, Warehouse(home).path, 0, "write")


def test_full_disk_keeps_the_former_copy(home: Path) -> None:
    count_up(home, 1)
    path = publish(Warehouse(home))
    before = path.read_bytes()
    script = """
import resource, sys
from pathlib import Path
from warehouse.connection import Warehouse, WarehouseFullError
from warehouse.snapshot import publish
warehouse = Warehouse(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (warehouse.path.stat().st_size // 2,) * 2)
try:
    publish(warehouse)
except WarehouseFullError as error:
    print(error)
"""
    assert "free space on" in run_script(script, home)
    assert path.read_bytes() == before
    assert list(home.glob("*.partial")) == []
