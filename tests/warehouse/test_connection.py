"""The queue in front of the file: who waits, who is refused, and that nobody is lost."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tests.warehouse.rows import DAY, NEXT_DAY, SNAPSHOTS, run_script, snapshots, start_script
from warehouse import lock
from warehouse.connection import Warehouse, WarehouseBusyError, scratch
from warehouse.errors import WarehouseError
from warehouse.writer import replace_partition

HOLD = """
import sys, time
from pathlib import Path
from warehouse.connection import Warehouse
with getattr(Warehouse(Path(sys.argv[1])), sys.argv[2])():
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""
OUTSIDER = """
import sys, time, duckdb
con = duckdb.connect(sys.argv[1], read_only=sys.argv[3] == "read")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""
COUNT = """
import sys
from pathlib import Path
from tests.warehouse.test_connection import count_up
count_up(Path(sys.argv[1]), int(sys.argv[2]))
"""
UNCLOSED = """
import os, signal, sys, duckdb
con = duckdb.connect(sys.argv[1])
con.execute("UPDATE raw.snapshots SET views = 77")
os.kill(os.getpid(), signal.SIGKILL)
"""


def count_up(home: Path, times: int) -> None:
    """Read a number and write the next one, each time in one transaction."""
    warehouse = Warehouse(home)
    for _ in range(times):
        with warehouse.write() as con:
            row = con.execute("SELECT max(views) FROM raw.snapshots").fetchone()
            count = (row[0] if row else None) or 0
            replace_partition(con, SNAPSHOTS, snapshots(1, views=[count + 1]), DAY, NEXT_DAY)


def views(warehouse: Warehouse) -> list[int]:
    return warehouse.query("SELECT views FROM raw.snapshots ORDER BY ALL")["views"].to_pylist()


def held(home: Path, mode: str, seconds: float) -> subprocess.Popen[str]:
    """A process that is inside `read` or `write` of the home."""
    process = start_script(HOLD, home, mode, seconds)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_session_leaves_nothing_to_the_next(home: Path) -> None:
    warehouse = Warehouse(home)
    settings = "SELECT current_setting('TimeZone'), current_setting('memory_limit')"
    with warehouse.read() as con:
        before = con.execute(settings).fetchall()
        con.execute("SET TimeZone = 'Asia/Tokyo'")
        con.execute("SET memory_limit = '100MB'")
        con.execute("CREATE TEMP TABLE left_over AS SELECT 1 AS n")
        con.register("seen", pa.table({"n": [1]}))
    for session in (warehouse.read, warehouse.write):
        with session() as con:
            assert con.execute(settings).fetchall() == before
            for name in ("left_over", "seen"):
                with pytest.raises(duckdb.CatalogException):
                    con.execute(f"FROM {name}")
    with pytest.raises(duckdb.CatalogException), warehouse.write() as con:
        con.execute("CREATE TABLE memory.main.left_over AS SELECT 1 AS n; FROM nowhere")
    with warehouse.read() as con, pytest.raises(duckdb.CatalogException):
        con.execute("FROM memory.main.left_over")


def test_a_file_made_or_made_anew_is_in_the_format_that_opens_fast(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    tags = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'warehouse'"
    for step in (lambda: None, warehouse.compact):
        step()
        with warehouse.read() as con:
            [(version,)] = con.execute(tags).fetchall()
        assert version.startswith("v1.2.0")


def test_vectors_are_stored_as_they_are_also_in_a_file_made_anew(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    with warehouse.write() as con:
        con.execute(
            """INSERT INTO embeddings.fused
               SELECT 'f', 's', CAST(i AS VARCHAR), list_transform(range(64), x -> CAST(random() AS FLOAT)),
                      true, false, false, false, 'full', 'v'
               FROM range(2000) numbers(i)"""
        )
    for step in (warehouse.compact, warehouse.compact):
        step()
        with warehouse.read() as con:
            kinds = con.execute(
                """SELECT DISTINCT compression FROM pragma_storage_info('embeddings.fused')
                   WHERE segment_type = 'FLOAT' AND column_name = 'vector'"""
            ).fetchall()
        assert kinds == [("Uncompressed",)]


def test_reading_a_new_home_gives_empty_tables(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "not" / "there")
    assert warehouse.query("SELECT count(*) AS n FROM raw.snapshots")["n"].to_pylist() == [0]
    assert warehouse.query("SELECT $low + 1 AS n", {"low": 1})["n"].to_pylist() == [2]


def test_reading_cannot_write(home: Path) -> None:
    with Warehouse(home).read() as con, pytest.raises(duckdb.InvalidInputException, match="read-only"):
        con.execute("DELETE FROM raw.snapshots")


def test_connections_are_utc_and_fetch_nothing(home: Path) -> None:
    settings = "SELECT current_setting('TimeZone'), current_setting('autoinstall_known_extensions')"
    with Warehouse(home).read() as con:
        assert con.execute(settings).fetchone() == ("UTC", False)
    assert scratch().execute(settings).fetchone() == ("UTC", False)


def test_nested_access_uses_what_is_open(home: Path) -> None:
    warehouse = Warehouse(home)
    with warehouse.read() as outer, Warehouse(home).read() as inner:
        assert inner is outer
    with warehouse.write() as con:
        replace_partition(con, SNAPSHOTS, snapshots(1, views=[3]), DAY, NEXT_DAY)
        assert views(Warehouse(home)) == [3]
        assert warehouse.extract({"v": "SELECT views FROM raw.snapshots"}).execute("FROM v").fetchall() == [(3,)]


@pytest.mark.parametrize("outer", ["read", "write"])
@pytest.mark.parametrize("inner", ["write", "file"])
def test_writing_inside_is_refused_at_once(home: Path, outer: str, inner: str) -> None:
    warehouse = Warehouse(home)
    with getattr(warehouse, outer)():
        refused = pytest.raises(RuntimeError, match=f"{inner} of .* inside its {outer} would wait for itself")
        with refused, getattr(Warehouse(home), inner)():
            pass
    count_up(home, 1)
    assert views(warehouse) == [1]


def test_two_names_of_a_home_share_its_lock(home: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(home)
    with (
        Warehouse(home).write(),
        pytest.raises(RuntimeError, match="inside its write"),
        Warehouse(tmp_path / "link").write(),
    ):
        pass


def test_extract_outlives_the_lock(home: Path) -> None:
    warehouse = Warehouse(home)
    with warehouse.write() as con:
        replace_partition(con, SNAPSHOTS, snapshots(4, views=[1, 2, 3, 4]), DAY, NEXT_DAY)
    queries = {
        "high": "SELECT views FROM raw.snapshots WHERE views >= $low -- from here;",
        "order": "WITH all_rows AS (FROM raw.snapshots) SELECT video_id FROM all_rows WHERE video_id = $id;",
        "all_columns": "FROM raw.snapshots",
    }
    extracted = warehouse.extract(queries, {"low": 3, "id": "v0", "unused": 1})
    count_up(home, 1)
    assert extracted.execute("SELECT views FROM high ORDER BY ALL").fetchall() == [(3,), (4,)]
    assert extracted.execute('FROM "order"').fetchall() == [("v0",)]
    assert extracted.execute("SELECT count(*) FROM all_columns").fetchall() == [(4,)]
    assert extracted.execute("SELECT database_name FROM duckdb_databases() WHERE NOT internal").fetchall() == [
        ("memory",)
    ]


def test_failed_extract_frees_the_lock(home: Path) -> None:
    warehouse = Warehouse(home, patience_s=2)
    with pytest.raises(duckdb.CatalogException, match="nothing"):
        warehouse.extract({"a": "FROM raw.snapshots", "b": "FROM raw.nothing"})
    with pytest.raises(ValueError, match="one SELECT, got 2"):
        warehouse.extract({"a": "SELECT 1; SELECT 2"})
    count_up(home, 1)


def test_result_that_streams_on_is_an_error(home: Path) -> None:
    warehouse = Warehouse(home)
    with warehouse.write() as con:
        replace_partition(con, SNAPSHOTS, snapshots(100_000), DAY, NEXT_DAY)
    assert sorted(path.name for path in home.glob("*.duckdb*")) == ["warehouse.duckdb"]
    with pytest.raises(RuntimeError, match="still streams"), warehouse.read() as con:
        stream = con.execute("FROM raw.snapshots").to_arrow_reader(10)
    assert stream.read_next_batch().num_rows > 0


@pytest.mark.parametrize("mode", ["read", "write"])
def test_error_keeps_nothing_open(home: Path, mode: str) -> None:
    streams = []

    def fail_while_streaming() -> None:
        with getattr(Warehouse(home), mode)() as con:
            streams.append(con.execute("FROM range(1000000)").to_arrow_reader(10))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_streaming()
    run_script(OUTSIDER, Warehouse(home).path, 0, "write")
    streams[0].close()


@pytest.mark.parametrize(("mode", "mine"), [("write", "read"), ("read", "write"), ("write", "write")])
def test_busy_names_the_process_and_the_remedy(home: Path, mode: str, mine: str) -> None:
    Warehouse(home).query("SELECT 1")
    other = held(home, mode, 60)
    try:
        started = time.monotonic()
        message = rf"held by process {other.pid} .*end it \(kill {other.pid}\)"
        with (
            pytest.raises(WarehouseBusyError, match=message),
            getattr(Warehouse(home, patience_s=0.5), mine)(),
        ):
            pass
        assert 0.4 < time.monotonic() - started < 5
    finally:
        other.kill()
        other.communicate()
    with Warehouse(home, patience_s=5).write():  # neither the kill nor the attempt that gave up holds anything
        pass


def test_readers_share(home: Path) -> None:
    Warehouse(home).query("SELECT 1")
    other = held(home, "read", 60)
    try:
        assert views(Warehouse(home, patience_s=1)) == []
    finally:
        other.kill()
        other.communicate()


def test_waits_for_a_holder_that_ends(home: Path) -> None:
    other = held(home, "write", 0.7)
    count_up(home, 1)
    assert other.wait(10) == 0


@pytest.mark.parametrize("mode", ["read", "write"])
def test_program_that_does_not_queue_is_named(home: Path, mode: str) -> None:
    warehouse = Warehouse(home, patience_s=0.5)
    count_up(home, 1)
    other = start_script(OUTSIDER, warehouse.path, 60, mode)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(WarehouseBusyError, match=rf"process {other.pid} "), warehouse.write():
            pass
        if mode == "read":
            assert views(warehouse) == [1]
        else:
            with pytest.raises(WarehouseBusyError, match=rf"process {other.pid} "):
                warehouse.extract({"a": "FROM raw.snapshots"})
    finally:
        other.kill()
        other.communicate()


def test_waits_for_a_program_that_does_not_queue(home: Path) -> None:
    count_up(home, 1)
    other = start_script(OUTSIDER, Warehouse(home).path, 0.7, "write")
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    count_up(home, 1)
    assert views(Warehouse(home)) == [2]
    other.communicate()


def test_damaged_file_is_one_clear_error(home: Path) -> None:
    (home / "warehouse.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(WarehouseError, match=r"warehouse\.duckdb cannot be opened"):
        Warehouse(home).query("SELECT 1")


def test_processes_lose_no_update(home: Path) -> None:
    others = [start_script(COUNT, home, 10) for _ in range(3)]
    readings = []
    while any(other.poll() is None for other in others):
        readings.append(max(views(Warehouse(home)), default=0))
    assert [other.communicate()[0] for other in others] == ["", "", ""]
    assert views(Warehouse(home)) == [30]
    assert readings == sorted(readings)


def test_threads_lose_no_update(home: Path) -> None:
    threads = [threading.Thread(target=count_up, args=(home, 5)) for _ in range(4)]
    threads += [
        threading.Thread(target=lambda: [Warehouse(home).extract({"a": "FROM raw.snapshots"}) for _ in range(5)])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert views(Warehouse(home)) == [20]


def test_a_process_has_the_file_open_once(home: Path) -> None:
    """A second handle would, on closing, drop the lock that DuckDB holds for the first."""
    Warehouse(home).query("SELECT 1")
    refused: list[Exception] = []

    def extract() -> None:
        try:
            Warehouse(home, patience_s=0.2).extract({"a": "SELECT 1"})
        except WarehouseBusyError as error:
            refused.append(error)

    with Warehouse(home).read():
        thread = threading.Thread(target=extract)
        thread.start()
        thread.join()
        assert "another thread of this process" in str(refused[0])
        with pytest.raises(AssertionError, match="Could not set lock"):
            run_script(OUTSIDER, Warehouse(home).path, 0, "write")


def test_fork_neither_frees_nor_keeps_the_parents_lock(home: Path) -> None:
    warehouse = Warehouse(home, patience_s=10)
    count_up(home, 1)
    with warehouse.write() as con:
        replace_partition(con, SNAPSHOTS, snapshots(1, views=[50]), DAY, NEXT_DAY)
        child = os.fork()
        if child == 0:
            try:
                with Warehouse(home, patience_s=0.3).read():
                    os._exit(1)
            except WarehouseBusyError as error:
                if f"process {os.getppid()} " not in str(error):
                    os._exit(2)
            time.sleep(60)  # alive, with copies of the parent's descriptors, until it is killed
        time.sleep(1)
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        with pytest.raises(AssertionError, match=f"held by process {os.getpid()}"):
            run_script(HOLD.replace("Path(sys.argv[1])", "Path(sys.argv[1]), patience_s=0.3"), home, "read", 0)
    try:
        assert run_script(HOLD, home, "write", 0) == "held\n"
        assert views(warehouse) == [50]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_forked_child_that_leaves_the_block_commits_nothing(home: Path) -> None:
    warehouse = Warehouse(home, patience_s=10)
    child = 0
    try:
        with warehouse.write() as con:
            replace_partition(con, SNAPSHOTS, snapshots(1, views=[7]), DAY, NEXT_DAY)
            child = os.fork()
            if child == 0:
                raise InterruptedError
    except InterruptedError:
        os._exit(3)
    assert os.waitpid(child, 0)[1] == 3 << 8
    assert views(warehouse) == [7]


def test_kill_in_a_write_leaves_the_former_state(home: Path) -> None:
    count_up(home, 1)
    script = HOLD.replace("():\n", '() as con:\n    con.execute("DELETE FROM raw.snapshots")\n')
    other = start_script(script, home, "write", 60)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    other.kill()
    other.communicate()
    assert views(Warehouse(home, patience_s=2)) == [1]


def test_log_of_a_killed_writer_is_read(home: Path) -> None:
    count_up(home, 1)
    warehouse = Warehouse(home)
    other = start_script(UNCLOSED, warehouse.path)
    other.communicate()
    assert other.returncode == -signal.SIGKILL
    assert (home / "warehouse.duckdb.wal").exists()
    assert views(warehouse) == [77]
    count_up(home, 1)
    assert views(warehouse) == [78]


def test_waiting_in_line_does_not_overtake(home: Path) -> None:
    """A writer that waits for a reader goes before readers that come later."""
    Warehouse(home).query("SELECT 1")
    deadline = time.monotonic() + 10
    first = lock.acquire(home, exclusive=False, deadline=deadline)
    order: list[str] = []

    def take(name: str, exclusive: bool) -> None:
        descriptor = lock.acquire(home, exclusive=exclusive, deadline=deadline)
        order.append(name)
        time.sleep(0.05)
        lock.release(descriptor)

    threads = []
    for name, exclusive in (("writer", True), ("reader", False), ("second writer", True)):
        threads.append(threading.Thread(target=take, args=(name, exclusive)))
        threads[-1].start()
        time.sleep(0.1)
    assert order == []
    lock.release(first)
    for thread in threads:
        thread.join()
    assert order == ["writer", "reader", "second writer"]


def test_each_connection_spills_to_its_own_folder(home: Path, tmp_path: Path) -> None:
    folders = set()
    for con in (scratch(tmp_path), scratch(tmp_path), Warehouse(home).extract({})):
        con.execute("SET memory_limit = '60MB'; SET threads = 1")
        con.execute("CREATE TABLE big AS SELECT range AS a, hash(range)::VARCHAR AS b FROM range(2500000)")
        row = con.execute("SELECT current_setting('temp_directory'), sum(hash(b) % 1000) FROM big").fetchone()
        assert row is not None
        assert Path(row[0]).is_dir()
        folders.add(row[0])
        con.close()
        assert not Path(row[0]).exists()
    assert len(folders) == 3


def test_litter_of_killed_processes_is_swept(home: Path) -> None:
    dead, alive = home / "spill" / "999999999-0", home / "spill" / f"{os.getppid()}-0"
    for folder in (dead, alive):
        folder.mkdir(parents=True)
        (folder / "duckdb_temp_storage-0.tmp").touch()
    count_up(home, 1)
    assert not dead.exists()
    assert alive.exists()


def test_file_replaced_behind_the_process_gets_its_tables(home: Path) -> None:
    warehouse = Warehouse(home)
    count_up(home, 1)
    warehouse.path.rename(home / "old")
    assert views(warehouse) == []
