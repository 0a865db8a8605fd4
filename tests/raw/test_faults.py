"""Ingestion under what goes wrong around it: a full disk, other processes, a clock that goes back, kill -9."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from assets.raw.errors import IngestError
from assets.raw.ingest import ingest
from tests.raw.conftest import NOW, House, landing, simulated
from warehouse.connection import Warehouse, WarehouseBusyError

TABLES = ("landings", "landing_days", "videos", "snapshots", "channels", "availability", "duplicates", "quarantine")
# Says "ready" once everything is imported, so that a parent can kill it in the middle of the work.
PROGRAM = """
import resource, sys
from datetime import datetime
from pathlib import Path
from assets.raw.ingest import ingest
from resources.settings import load_settings
from warehouse.connection import Warehouse
home, limit, *paths = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
print("ready", flush=True)
for path in paths:
    result = ingest(Warehouse(Path(home)), load_settings(Path(home)), Path(path), now=datetime(2025, 11, 20))
    print(result.accepted, flush=True)
"""


def start(home: Path, *paths: Path, limit: int = 0) -> "subprocess.Popen[str]":
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home), str(limit), *map(str, paths)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    return program


def many(count: int, hour: int = 0) -> str:
    rows = [simulated(f"v{i}", f"2025-01-02T{hour:02d}:{i % 60:02d}:00", i, title="t" * 50) for i in range(count)]
    return landing(*rows)


def dump(house: House) -> dict[str, list[tuple[object, ...]]]:
    return {table: house.rows(f"SELECT * FROM raw.{table} ORDER BY ALL") for table in TABLES}


def test_a_full_disk_is_one_clear_error_and_nothing_is_half_there(house: House) -> None:
    house.take("small.csv", landing(simulated("v1", "2025-01-02T00:00:00", 1)))
    before = dump(house)
    path = house.file("big.csv", many(3000))
    program = start(house.home, path, limit=100_000)
    _, errors = program.communicate(timeout=60)
    assert program.returncode == 1
    assert "File too large" in errors
    assert "nothing was changed" in errors
    assert dump(house) == before
    assert not list((house.home / "landings").glob(".incoming*"))
    assert ingest(house.warehouse, house.settings, path, now=NOW).accepted == 3000


def test_a_warehouse_that_is_held_open_names_the_process(house: House) -> None:
    house.take("a.csv", landing(simulated("v1", "2025-01-02T00:00:00", 1)))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb, sys; con = duckdb.connect({str(house.warehouse.path)!r}); print('open', flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        impatient = Warehouse(house.home, patience_s=0.3)
        with pytest.raises(WarehouseBusyError, match=str(holder.pid)):
            ingest(impatient, house.settings, house.file("b.csv", landing()), now=NOW)
    finally:
        holder.communicate(timeout=10)


def test_a_clock_that_goes_back_changes_nothing_that_stands(house: House) -> None:
    text = landing(simulated("v1", "2025-11-19T00:00:00", 1))
    house.take("a.csv", text)
    before = dump(house)
    earlier = NOW - timedelta(days=100)
    assert house.take("a.csv", text, now=earlier).already_known
    assert dump(house) == before
    result = house.take(
        "b.csv", landing(simulated("v1", "2025-11-19T00:00:00", 1), simulated("v2", "2025-01-02", 2)), now=earlier
    )
    assert result.reasons == {"observed_in_future": 1}
    assert result.accepted == 1


def test_two_processes_with_the_same_file_at_once(house: House) -> None:
    path = house.file("a.csv", many(2000))
    programs = [start(house.home, path) for _ in range(2)]
    for program in programs:
        output, errors = program.communicate(timeout=60)
        assert program.returncode == 0, errors
        assert output.strip() == "2000"
    assert house.rows("SELECT rows_read, accepted, duplicate FROM raw.landings") == [(2000, 2000, 0)]
    assert house.rows("SELECT count(*) FROM raw.snapshots") == [(2000,)]


def test_kill_9_at_random_moments_then_once_more(house: House, tmp_path: Path) -> None:
    paths = [house.file(f"{hour}.csv", many(2000, hour)) for hour in range(3)]
    moments = random.Random(0)
    for _ in range(5):
        program = start(house.home, *paths)
        time.sleep(moments.uniform(0.0, 0.8))
        os.kill(program.pid, signal.SIGKILL)
        program.communicate(timeout=60)
        for landing_id, read, *became in house.rows(
            "SELECT landing_id, rows_read, accepted, duplicate, quarantined FROM raw.landings"
        ):
            assert read == sum(became)
            kept = house.home / "landings" / landing_id[:2] / landing_id
            assert hashlib.sha256(kept.read_bytes()).hexdigest() == landing_id
    for path in paths:
        ingest(house.warehouse, house.settings, path, now=NOW)
    (tmp_path / "clean").mkdir()
    clean = House(tmp_path / "clean" / "home")
    for path in paths:
        ingest(clean.warehouse, clean.settings, path, now=NOW)
    assert dump(house) == dump(clean)


def test_a_file_that_changes_while_it_is_copied_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.raw import store

    path = house.file("a.csv", landing())
    copy = store._copy

    def grow(source: Path, incoming: Path) -> str:
        with source.open("a") as file:
            file.write("more\n")
        return copy(source, incoming)

    monkeypatch.setattr(store, "_copy", grow)
    with pytest.raises(IngestError, match="changed while it was read"):
        ingest(house.warehouse, house.settings, path, now=NOW)
    assert house.rows("SELECT count(*) FROM raw.landings") == [(0,)]
