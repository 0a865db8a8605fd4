"""Forgetting: one channel with its videos out of a home of snapshots and vectors, stage by stage, and out of a tenth of it."""

import hashlib
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from assets.embeddings.contents import refresh_contents
from assets.embeddings.matrix import vector_column
from assets.forgetting.run import begin, complete, find_subject
from assets.raw.ingest import ingest_all
from benchmarks.figures import row
from resources.settings import load_settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.snapshot import publish
from warehouse.writer import append_rows

NOW = datetime(2026, 1, 1)
START = datetime(2025, 1, 1)
DIM, VIDEOS_PER_CHANNEL = 384, 50
SUBJECT = "UC" + "0" * 22
IDENTITY = {"encoder": "bench", "revision": "1", "precision": "fp32", "preprocessing": "plain"}


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Seconds by stage at full size, and the whole beside a tenth of the input."""
    snapshots, vectors = (20_000, 2_000) if quick else (1_000_000, 100_000)
    tenth, full = _forget(snapshots // 10, vectors // 10), _forget(snapshots, vectors)
    what = f"one channel out of {snapshots:,} snapshots and {vectors:,} x {DIM} vectors"
    whole = sum(full.values())
    rows = [
        row("forgetting", f"{what}: {stage}", seconds, "s", tenth[stage], None, True) for stage, seconds in full.items()
    ]
    return [*rows, row("forgetting", what, whole, "s", sum(tenth.values()), "under 60 s", whole < 60)]


def _forget(snapshots: int, vectors: int) -> dict[str, float]:
    """Seconds of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder) / "home")
        settings = load_settings(warehouse.home)
        files = _landings(Path(folder), snapshots, vectors)
        list(ingest_all(warehouse, settings, files, source="simulator", now=NOW))
        _encode(warehouse)
        publish(warehouse)
        task = begin(warehouse, find_subject(warehouse, SUBJECT, None, "benchmark", NOW))
        done = complete(warehouse, settings, task, NOW)
        assert (done["found"], done["videos"]) == (0, VIDEOS_PER_CHANNEL), done
        assert done["records"] == VIDEOS_PER_CHANNEL * (snapshots // vectors), done
        return {str(stage): max(float(seconds), 0.001) for stage, seconds in done["seconds"].items()}


def _landings(folder: Path, snapshots: int, videos: int) -> list[Path]:
    """One file per observation of every video: each holds the subject."""
    number = np.arange(videos)
    channel = number // VIDEOS_PER_CHANNEL
    ids = [f"v{hashlib.sha256(str(n).encode()).hexdigest()[:10]}" for n in number]
    files = []
    for turn in range(snapshots // videos):
        moment = START + timedelta(hours=6 * (turn + 1))
        columns = {
            "video_id": ids,
            "channel_id": [f"UC{n:022d}" for n in channel],
            "channel_name": [f"The channel of number {n}" for n in channel],
            "subscribers": channel + 100,
            "title": [f"The title of video number {n}" for n in number],
            "description": [f"What is to be said of video number {n}, at some length" for n in number],
            "tags": [""] * videos,
            "duration": [30] * videos,
            "published_at": [START.isoformat()] * videos,
            "collected_at": [moment.isoformat()] * videos,
            **{name: number + turn for name in ("views", "likes", "comments", "shares", "saves")},
            "status": ["live"] * videos,
        }
        files.append(folder / f"{turn:03d}.csv")
        pyarrow.csv.write_csv(pa.table(columns), files[-1])
    return files


def _encode(warehouse: Warehouse) -> None:
    """A vector for the text of every video."""
    refresh_contents(warehouse, NOW)
    ids = warehouse.query("SELECT DISTINCT content_id FROM embeddings.contents ORDER BY ALL")["content_id"].to_pylist()
    rng = np.random.default_rng(0)
    same = {name: pa.repeat(value, len(ids)) for name, value in {**IDENTITY, "run_id": "benchmark"}.items()}
    when = pa.repeat(pa.scalar(NOW, pa.timestamp("us")), len(ids))
    vectors = vector_column(rng.standard_normal((len(ids), DIM), np.float32))
    with warehouse.write() as con:
        append_rows(
            con,
            table("embeddings.text"),
            pa.table({"content_id": pa.array(ids, pa.string()), **same, "vector": vectors, "encoded_at": when}),
        )
