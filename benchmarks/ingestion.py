"""1,000,000 snapshot rows of CSV (5 % duplicates, 1 % bad, 10 % with K or M) into the raw tables.

Against DuckDB's own INSERT ... SELECT FROM read_csv, which parses nothing, and against plain SQL that does the same work,
whose rows are asserted equal. Each runs in a process of its own; ours includes the hash and the landing's copy.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from assets.raw.ingest import ingest
from benchmarks.figures import row
from resources.clock import now
from resources.settings import load_settings
from warehouse.connection import Warehouse

PLAIN = Path(__file__).parent / "reference" / "ingestion.sql"
COUNTS = "views, likes, comments, shares, saves"
TYPED = (
    "video_id VARCHAR, collected_at VARCHAR, views VARCHAR, likes BIGINT, comments BIGINT, shares BIGINT, saves BIGINT"
)
RUNS = 3


def write_csv(path: Path, rows: int) -> None:
    """Snapshots of a tenth as many videos over 30 days, with the faults."""
    random = np.random.default_rng(0)
    video = random.integers(0, max(rows // 10, 1), rows)
    seconds = random.integers(0, 30 * 86_400, rows)
    at = np.datetime_as_string(np.datetime64("2025-01-01T00:00:00") + seconds.astype("timedelta64[s]"))
    views = (10 ** random.uniform(0, 7, rows)).astype(np.int64)
    fault = random.uniform(size=rows)
    with path.open("w") as file:
        file.write("video_id,collected_at,views,likes,comments,shares,saves\n")
        line = ""
        for i in range(rows):
            count = int(views[i])
            name, when, shown = f"v{video[i]:07d}", f"{at[i]}Z", str(count)
            if fault[i] < 0.10:
                shown = f"{count / 1e6:.1f}M" if count >= 1_000_000 else f"{count / 1e3:.1f}K"
            elif fault[i] < 0.11:
                name, when, shown = [
                    ("", when, shown),
                    (name, "yesterday", shown),
                    (name, when, "Share"),
                    (name, when, "-1"),
                ][i % 4]
            elif fault[i] < 0.16 and line:
                file.write(line)
                continue
            line = f"{name},{when},{shown},{count // 20},{count // 200},{count // 500},{count // 300}\n"
            file.write(line)


def ours(folder: Path, csv: Path) -> dict[str, Any]:
    """Seconds and memory of one ingestion into a new home."""
    warehouse, settings = Warehouse(folder), load_settings(folder)
    with warehouse.read():
        pass  # the empty warehouse is there before the clock starts, as the references' file is
    started = time.perf_counter()
    result = ingest(warehouse, settings, csv, source="simulator", now=now(folder))
    took = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": took, "memory": memory, "read": result.rows_read, "duplicate": result.duplicate,
            "quarantined": result.quarantined, "landing_id": result.landing_id}  # fmt: skip


def naive(folder: Path, csv: Path) -> dict[str, Any]:
    """Seconds of DuckDB's own loading, which only copies."""
    columns = "{" + ", ".join("'{}': '{}'".format(*column.split()) for column in TYPED.split(", ")) + "}"
    started = time.perf_counter()
    with duckdb.connect(str(folder / "naive.duckdb")) as con:
        con.execute(f"CREATE TABLE snapshots ({TYPED})")
        con.execute(f"INSERT INTO snapshots SELECT * FROM read_csv('{csv}', columns = {columns}, header = TRUE)")
    return {"seconds": time.perf_counter() - started}


def plain(folder: Path, csv: Path) -> dict[str, Any]:
    """Seconds of the same work in plain SQL."""
    started = time.perf_counter()
    with duckdb.connect(str(folder / "plain.duckdb")) as con:
        con.execute(PLAIN.read_text().format(path=csv, landing_id="0" * 64))
    return {"seconds": time.perf_counter() - started}


def command(folder: Path, csv: Path) -> dict[str, Any]:
    """Seconds of `upswell ingest`, from the start of the process to its end."""
    program = [
        sys.executable,
        "-m",
        "orchestration.cli",
        "ingest",
        str(csv),
        "--source",
        "simulator",
        "--home",
        str(folder),
    ]
    started = time.perf_counter()
    subprocess.run(program, check=True, capture_output=True)
    return {"seconds": time.perf_counter() - started}


def _measure(what: str, folder: Path, csv: Path) -> dict[str, Any]:
    """One measurement in a process of its own."""
    folder.mkdir()
    program = [sys.executable, "-m", "benchmarks.ingestion", what, str(folder), str(csv)]
    done = subprocess.run(program, check=True, capture_output=True, text=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _assert_equal(ours: Path, plain: Path, measured: dict[str, Any]) -> None:
    columns = f"source, video_id, observed_at, known_at, {COUNTS}"
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{ours / 'warehouse.duckdb'}' AS ours (READ_ONLY)")
        con.execute(f"ATTACH '{plain / 'plain.duckdb'}' AS plain (READ_ONLY)")
        for one, other in (("ours.raw", "plain.main"), ("plain.main", "ours.raw")):
            left = f"SELECT {columns} FROM {one}.snapshots EXCEPT ALL SELECT {columns} FROM {other}.snapshots"
            assert con.execute(f"SELECT count(*) FROM ({left})").fetchone() == (0,), f"rows of {one} that {other} lacks"
        for name in ("duplicate", "quarantined"):
            there = {"duplicate": "duplicates", "quarantined": "quarantine"}[name]
            assert con.execute(f"SELECT count(*) FROM plain.main.{there}").fetchone() == (measured[name],)


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Ours against the references, medians of three runs that take turns."""
    rows = 50_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        csv = folder / "snapshots.csv"
        write_csv(csv, rows)
        measured: dict[str, list[dict[str, Any]]] = {"naive": [], "plain": [], "ours": [], "command": []}
        for turn in range(RUNS):
            for what, found in measured.items():
                found.append(_measure(what, folder / f"{what}{turn}", csv))
        _assert_equal(folder / "ours0", folder / "plain0", measured["ours"][0])
    seconds = {what: statistics.median(each["seconds"] for each in found) for what, found in measured.items()}
    memory = max(each["memory"] for each in measured["ours"])
    reference = seconds["naive"]
    shown = f"{rows:,} rows of CSV"
    return [
        row("ingestion", f"{shown}, hash and copy included", seconds["ours"], "s", reference,
            "at most 2.5 times INSERT ... FROM read_csv", seconds["ours"] <= 2.5 * reference),
        row("ingestion", f"{shown}, from the command's start to its end", seconds["command"], "s", reference,
            "at most 2.5 times the same", seconds["command"] <= 2.5 * reference),
        row("ingestion", f"{shown}, against the same work in plain SQL", seconds["ours"], "s", seconds["plain"],
            "for information", True),
        row("ingestion", f"{shown}, peak memory", memory / 1e9, "GB", None, "under 1.5 GB", memory < 1.5e9),
    ]  # fmt: skip


if __name__ == "__main__":
    measure = {"ours": ours, "naive": naive, "plain": plain, "command": command}[sys.argv[1]]
    print(json.dumps(measure(Path(sys.argv[2]), Path(sys.argv[3]))))
