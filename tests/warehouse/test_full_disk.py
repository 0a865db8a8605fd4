"""A write that finds no space leaves the former state, says so in one line, and hinders no later write."""

from pathlib import Path

import pytest

from tests.warehouse.rows import run_script
from warehouse.connection import Warehouse

WRITE = """
import resource, sys
from pathlib import Path
from tests.warehouse.rows import DAY, NEXT_DAY, SNAPSHOTS, snapshots
from warehouse.connection import Warehouse, WarehouseFullError
from warehouse.writer import replace_partition

def write(count, views):
    with warehouse.write() as con:
        names = [f"{position:x}" * 9 for position in range(count)]
        replace_partition(con, SNAPSHOTS, snapshots(count, views=[views] * count, video_id=names), DAY, NEXT_DAY)

warehouse = Warehouse(Path(sys.argv[1]))
write(5, 1)
unlimited = resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_FSIZE, (int(eval(sys.argv[2], {"size": warehouse.path.stat().st_size})), unlimited))
try:
    write(int(sys.argv[3]), 2)
except WarehouseFullError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
print(warehouse.query("SELECT views, count(*) AS n FROM raw.snapshots GROUP BY views").to_pylist())
write(3, 3)
print(warehouse.query("SELECT views, count(*) AS n FROM raw.snapshots GROUP BY views").to_pylist())
"""


@pytest.mark.parametrize(
    ("limit", "count"),
    [("size", 300_000), ("200_000", 20_000), ("100", 10)],
    ids=["data file", "log", "first byte of the log"],
)
def test_full_disk_rolls_back(home: Path, limit: str, count: int) -> None:
    lines = run_script(WRITE, home, limit, count).splitlines()
    assert lines == [
        f"no space for {Warehouse(home).path}: nothing of this write was kept; free space on {home} and run it again",
        "[{'views': 1, 'n': 5}]",
        "[{'views': 3, 'n': 3}]",
    ]


def test_full_disk_when_the_file_is_made(home: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from warehouse.connection import Warehouse, WarehouseFullError
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    Warehouse(Path(sys.argv[1])).query("SELECT 1")
except WarehouseFullError as error:
    print(error)
"""
    assert "free space" in run_script(script, home)
    assert Warehouse(home).query("SELECT count(*) AS n FROM raw.snapshots")["n"].to_pylist() == [0]
