"""Nothing is lost: SIGKILL at random moments of every write path, and writers and readers that crowd the warehouse.

A write path is a small script that writes for ever and says what it has committed; what must hold after a kill is
checked by opening the home again. The reference of a write's latency is the same write with nobody else about.
"""

import hashlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.figures import row
from warehouse.connection import Warehouse
from warehouse.snapshot import NAME

ROOT = Path(__file__).parents[1]
KILLS = 50
WRITERS = READERS = 4
CROWDED_S = 60.0
ROWS = 20
P99_RATIO = 15.0

PREAMBLE = """
import sys, time
from datetime import date, datetime, timedelta
from pathlib import Path
import pyarrow as pa
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.snapshot import publish
from warehouse.writer import replace_partition

warehouse = Warehouse(Path(sys.argv[1]))
snapshots = table("raw.snapshots")
FIRST = date(2024, 1, 1)

def write(day, number, rows):
    at = datetime(2024, 1, 1, 12) + timedelta(days=day)
    values = dict.fromkeys(snapshots.column_names, pa.nulls(rows)) | {
        "source": ["demo"] * rows, "video_id": [f"v{row}" for row in range(rows)], "landing_id": ["demo"] * rows,
        "observed_at": pa.array([at] * rows, pa.timestamp("us")), "known_at": pa.array([at] * rows, pa.timestamp("us")),
        "views": [number] * rows, "row_number": pa.array(range(rows), pa.int64()),
    }
    with warehouse.write() as con:
        start = FIRST + timedelta(days=day)
        replace_partition(con, snapshots, pa.table(values), start, start + timedelta(days=1))

def say(*words):
    print(*words, flush=True)
"""

# Day n % 5 gets number n in each of its rows; "done n" once that is committed.
PARTITIONS = (
    PREAMBLE
    + """
number = int(sys.argv[2])
say("ready")
while True:
    number += 1
    write(number % 5, number, 2000)
    say("done", number)
"""
)

# The same, and the snapshot is published after each write.
PUBLISHING = PARTITIONS.replace("    say(", "    publish(warehouse)\n    say(")

# Two files per number, with its snapshots and a few of the number before, are landed and ingested in one transaction.
LANDINGS = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from assets.raw.ingest import LandingResult, ingest_all
from resources.settings import load_settings
from warehouse.connection import Warehouse

warehouse, number = Warehouse(Path(sys.argv[1])), int(sys.argv[2])
settings, inbox = load_settings(warehouse.home), warehouse.home / "inbox"
inbox.mkdir(parents=True, exist_ok=True)

def rows(number, videos):
    at = datetime(2024, 1, 1) + timedelta(hours=number)
    return [f"v{video},{at.isoformat()}Z,{number}" for video in videos]

print("ready", flush=True)
while True:
    number += 1
    files = [inbox / f"{number}{part}.csv" for part in "ab"]
    for file, videos in zip(files, (range(0, 250), range(250, 500))):
        lines = ["video_id,collected_at,views", *rows(number, videos), *rows(number - 1, videos[:25] if number > 1 else [])]
        file.write_text("\\n".join(lines) + "\\n")
    for _, result in ingest_all(warehouse, settings, files, source="simulator", now=datetime(2025, 1, 1)):
        assert isinstance(result, LandingResult), result
    print("done", number, flush=True)
"""

WRITER = (
    PREAMBLE
    + """
day, number = int(sys.argv[2]), 0
write(day, number, int(sys.argv[4]))
say("ready")
sys.stdin.readline()
until = time.monotonic() + float(sys.argv[3])
while time.monotonic() < until:
    number += 1
    started = time.perf_counter()
    write(day, number, int(sys.argv[4]))
    say("done", number, time.perf_counter() - started)
"""
)

# A day is seen whole, and never older than it was seen before.
READER = (
    PREAMBLE
    + """
seen, rows = {}, int(sys.argv[4])
with warehouse.read() as con:
    con.execute("FROM raw.snapshots LIMIT 1").fetchall()
say("ready")
sys.stdin.readline()
until = time.monotonic() + float(sys.argv[3])
while time.monotonic() < until:
    started = time.perf_counter()
    with warehouse.read() as con:
        days = con.execute(
            "SELECT observed_at, count(*), min(views), max(views) FROM raw.snapshots GROUP BY observed_at"
        ).fetchall()
    for day, count, low, high in days:
        assert count == rows and low == high and low >= seen.get(day, 0), (day, count, low, high, seen.get(day))
        seen[day] = low
    say("done", len(days), time.perf_counter() - started)
"""
)


@dataclass(frozen=True)
class WritePath:
    """A way of writing that must survive SIGKILL.

    Attributes:
        name: What the figures call it.
        script: Gets the home and the number to go on from; says `ready`, then `done <number>` per commit.
        faults: What is wrong with a home of which `number` was the last said to be committed; called after a kill.
    """

    name: str
    script: str
    faults: Callable[[Path, int], list[str]]


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """All durability figures; `quick` kills 3 times and crowds for 3 s."""
    paths = (
        WritePath("replace_partition", PARTITIONS, partition_faults),
        WritePath("publish", PUBLISHING, publish_faults),
        WritePath("ingest", LANDINGS, landing_faults),
    )
    figures = [figure for path in paths for figure in killed(path, kills=3 if quick else KILLS)]
    return figures + crowded(seconds=3.0 if quick else CROWDED_S)


def killed(path: WritePath, *, kills: int, seed: int = 1) -> list[dict[str, Any]]:
    """Kill a write path at random moments; each fifth time it starts in a new home, so that creation is hit too."""
    chance = random.Random(seed)
    faults: list[str] = []
    unsaid = committed = 0
    with tempfile.TemporaryDirectory(prefix="upswell-kills-") as folder:
        for kill in range(kills):
            if kill % 5 == 0:
                home, last, stored = Path(folder) / str(kill), 0, 0
            said = _kill_once(path.script, home, stored, chance)
            committed += len(said)
            last = max([last, *said])
            faults += [f"kill {kill}, {last} acknowledged: {fault}" for fault in path.faults(home, last)]
            before, stored = stored, _stored_number(home)
            unsaid += stored - before - len(said)
    for fault in faults:
        print(f"{path.name}: {fault}", file=sys.stderr)
    name = f"SIGKILL in {path.name}"
    return [
        _figure(name, f"faults after {kills} kills", len(faults), "faults", target=0, ok=not faults and committed > 0),
        _figure(name, "commits acknowledged before the kills", committed, "commits"),
        _figure(name, "commits durable but not acknowledged", unsaid, "commits"),
    ]


def partition_faults(home: Path, number: int) -> list[str]:
    """Days of PARTITIONS that are half-written, or older than the last number that was acknowledged."""
    with Warehouse(home).read() as con:
        days = con.execute(
            "SELECT min(views) % 5, count(*), min(views), max(views) FROM raw.snapshots GROUP BY observed_at"
        ).fetchall()
    faults = [
        f"day {day}: {count} rows, {low} to {high}" for day, count, low, high in days if (count, low) != (2000, high)
    ]
    stored = {day: low for day, _, low, _ in days}
    for acknowledged in range(max(1, number - 4), number + 1):
        if stored.get(acknowledged % 5, 0) < acknowledged:
            faults.append(f"{acknowledged} was acknowledged, its day has {stored.get(acknowledged % 5)}")
    return faults


def publish_faults(home: Path, number: int) -> list[str]:
    """The same, and what is wrong with the published snapshot, read as a warehouse of its own."""
    faults = partition_faults(home, number)
    if number and not (home / NAME).exists():
        faults.append("no snapshot")
    if (home / NAME).exists():
        copy = home / "copy"
        copy.mkdir(exist_ok=True)
        (copy / "warehouse.duckdb").write_bytes((home / NAME).read_bytes())
        faults += [f"snapshot: {fault}" for fault in partition_faults(copy, number)]
    return faults


def landing_faults(home: Path, number: int) -> list[str]:
    """Landings of LANDINGS that are lost or half there: in the store, in the raw tables, or in what was counted."""
    with Warehouse(home).read() as con:
        stored = dict(con.execute("SELECT views, count(*) FROM raw.snapshots GROUP BY ALL").fetchall())
        unequal = con.execute(
            """SELECT landing_id[:12], rows_read, accepted, duplicate, quarantined, coalesce(standing, 0)
               FROM raw.landings LEFT JOIN (
                   SELECT landing_id, count(*) AS standing FROM raw.snapshots GROUP BY ALL) USING (landing_id)
               WHERE rows_read <> accepted + duplicate + quarantined OR accepted <> coalesce(standing, 0)"""
        ).fetchall()
        known = {row[0] for row in con.execute("SELECT landing_id FROM raw.landings").fetchall()}
    faults = [f"{each}: {rows} rows" for each, rows in stored.items() if rows != 500]
    faults += [f"{each} was acknowledged and is not there" for each in range(1, number + 1) if each not in stored]
    faults += [f"landing, read, accepted, duplicate, quarantined, standing: {row}" for row in unequal]
    kept = {path.name: path for path in (home / "landings").glob("??/*")}
    faults += [f"landing {each[:12]} has no bytes" for each in known - kept.keys()]
    for name, path in kept.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() != name:
            faults.append(f"the bytes of landing {name[:12]} are not those that it is named by")
    return faults


def crowded(*, seconds: float) -> list[dict[str, Any]]:
    """Latency of a small write alone, then among 4 writers and 4 readers; and what they lost."""
    with tempfile.TemporaryDirectory(prefix="upswell-crowd-") as folder:
        home = Path(folder)
        alone = _latencies(_together([_start(WRITER, home, 0, max(2.0, seconds / 6), ROWS)])[0])
        crowd = [_start(WRITER, home, day, seconds, ROWS) for day in range(1, WRITERS + 1)]
        crowd += [_start(READER, home, 0, seconds, ROWS) for _ in range(READERS)]
        said = _together(crowd)
        lost = _lost(home, said[:WRITERS])
    writes = [latency for lines in said[:WRITERS] for latency in _latencies(lines)]
    reads = [latency for lines in said[WRITERS:] for latency in _latencies(lines)]
    name, reference = f"{WRITERS} writers, {READERS} readers, {seconds:g} s", statistics.median(alone)
    ratio = _p99(writes) / reference
    return [
        _figure(name, "acknowledged writes lost", lost, "writes", target=0, ok=lost == 0),
        {
            **_figure(name, "p99 of a small write", _p99(writes), "s", target=P99_RATIO, ok=ratio <= P99_RATIO),
            "reference": reference,
            "ratio": ratio,
        },
        _figure(name, "median of a small write", statistics.median(writes), "s"),
        _figure(name, "p99 of a small write alone", _p99(alone), "s"),
        _figure(name, "p99 of a small read", _p99(reads), "s"),
        _figure(name, "writes per second", len(writes) / seconds, "1/s"),
        _figure(name, "reads per second", len(reads) / seconds, "1/s"),
    ]


def _start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _kill_once(script: str, home: Path, number: int, chance: random.Random) -> list[int]:
    """Start a path and kill it somewhere in the write that follows 0 to 3 others; the numbers said to be committed."""
    process = _start(script, home, number)
    output = _output(process)
    started = time.monotonic()
    heard = [output.readline() for _ in range(1 + chance.randint(0, 3))]
    if heard[0] != "ready\n":
        raise RuntimeError(f"the script ended before it was ready (exit code {process.wait()})")
    time.sleep(chance.uniform(0, (time.monotonic() - started) / len(heard)))
    process.kill()
    heard += output.read().splitlines(keepends=True)
    process.wait()
    # A line without its end was cut off by the kill: it acknowledged nothing.
    return [int(line.split()[1]) for line in heard[1:] if line.endswith("\n")]


def _stored_number(home: Path) -> int:
    """The highest number in the file."""
    number: int = Warehouse(home).query("SELECT coalesce(max(views), 0) AS n FROM raw.snapshots")["n"][0].as_py()
    return number


def _together(processes: Sequence[subprocess.Popen[str]]) -> list[list[str]]:
    """Let processes go at once when all are ready; what each said after that."""
    for process in processes:
        if _output(process).readline() != "ready\n":
            raise RuntimeError(f"a script ended before it was ready (exit code {process.wait()})")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate()[0].splitlines() for process in processes]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise RuntimeError(f"a writer or reader failed (exit codes {codes})")
    return outputs


def _output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def _latencies(lines: list[str]) -> list[float]:
    return [float(line.split()[2]) for line in lines]


def _lost(home: Path, said: list[list[str]]) -> int:
    """Writes that were acknowledged last and are not what the file holds, whole."""
    query = (
        "SELECT views, count(*) AS n FROM raw.snapshots WHERE observed_at::DATE = DATE '2024-01-01' + $day GROUP BY 1"
    )
    lost = 0
    for day, lines in enumerate(said, start=1):
        expected = [{"views": int(lines[-1].split()[1]), "n": ROWS}]
        lost += Warehouse(home).query(query, {"day": day}).to_pylist() != expected
    return lost


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * (len(values) - 1))]


def _figure(
    benchmark: str, figure: str, value: float, unit: str, *, target: float | None = None, ok: bool = True
) -> dict[str, Any]:
    return row(benchmark, figure, value, unit, None, target, ok)


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv[1:]), indent=1))
