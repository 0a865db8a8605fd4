"""Content as vectors: a second run over unchanged videos, the cost of new ones, and search in memory and from cold.

The reference of a search in memory is numpy's matrix product alone, without the choice of the best.
"""

import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from assets.embeddings.contents import refresh_contents
from assets.embeddings.encode import Encodings, encode_missing
from assets.embeddings.matrix import Matrix, normalised, vector_column
from assets.embeddings.search import top
from benchmarks.figures import row
from benchmarks.reference import vectors as reference
from resources.encoders.base import Content, Modality, Precision, Vectors
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

NOW = datetime(2026, 1, 1)
DIM, K, BATCH = 384, 10, 64
IDENTITY = {"encoder": "bench", "revision": "1", "precision": "fp32", "preprocessing": "plain"}
COLD = """
import json, resource, sys
from pathlib import Path
from assets.embeddings.search import similar
from resources.settings import load_settings
from warehouse.connection import Warehouse
home = Path(sys.argv[1])
rows = similar(Warehouse(home), home, load_settings(home), sys.argv[2], modality="text", k=10)
print(json.dumps({"rows": len(rows), "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}))
"""


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Seconds of a second run and of one with new content; seconds and memory of searches."""
    return [*_second_run(10_000 if quick else 100_000), *_searches(50_000 if quick else 1_000_000)]


class Cheap:
    """An encoder that costs nothing: the bytes of a hash, over and over."""

    name, revision, preprocessing = IDENTITY["encoder"], IDENTITY["revision"], IDENTITY["preprocessing"]
    modality: Modality = "text"
    precision: Precision = "fp32"
    dim = DIM

    def encode(self, batch: Sequence[Content]) -> Vectors:
        """Vectors of shape (len(batch), DIM)."""
        rows = [np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8) for text in batch]
        return np.tile(np.stack(rows).astype(np.float32), DIM // 32)


def _second_run(videos: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder))
        _add_videos(warehouse, 0, videos)
        first, _ = _materialise(warehouse)
        again, made = _materialise(warehouse)
        assert (made.new, made.changed, made.cached) == (0, 0, videos)
        _add_videos(warehouse, videos, videos // 100)
        grown, made = _materialise(warehouse)
        assert (made.new, made.cached) == (videos // 100, videos)
    what = f"{videos:,} unchanged videos"
    return [
        row("vectors", f"a second run over {what}", again, "s", None, "under 5 s", again < 5),
        row(
            "vectors",
            f"{videos // 100:,} new videos beside {what}, beyond the second run",
            max(grown - again, 0),
            "s",
            first,
            "at most 0.1 times the first run",
            grown - again <= 0.1 * first,
        ),
    ]


def _materialise(warehouse: Warehouse) -> tuple[float, Encodings]:
    began = time.perf_counter()
    refresh_contents(warehouse, NOW)
    made = encode_missing(warehouse, "text", Cheap(), None, now=NOW, run_id="benchmark", batch=4096)
    return time.perf_counter() - began, made


def _add_videos(warehouse: Warehouse, start: int, count: int) -> None:
    """Raw rows of videos with a title and 400 characters of description."""
    with warehouse.write() as con:
        con.execute(
            """INSERT INTO raw.videos BY NAME
               SELECT 'bench' AS source, 'v' || i AS video_id, TIMESTAMP '2025-01-01' AS observed_at,
                      TIMESTAMP '2025-01-01' AS known_at, 'title ' || i AS title, repeat('text ', 80) || i AS description,
                      'landing' AS landing_id, i AS row_number
               FROM range($start, $stop) t(i)""",
            {"start": start, "stop": start + count},
        )


def _searches(n: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    vectors = np.empty((n, DIM), np.float32)
    for start in range(0, n, 50_000):
        vectors[start : start + 50_000] = rng.standard_normal((min(50_000, n - start), DIM), np.float32)
    normalised(vectors)
    ids = np.array([hashlib.sha256(str(row).encode()).hexdigest() for row in range(n)], object)
    queries = normalised(rng.standard_normal((BATCH, DIM), np.float32))
    rows = _in_memory(Matrix(ids, vectors, "bench"), queries)
    with tempfile.TemporaryDirectory() as folder:
        _fill(Warehouse(Path(folder)), ids, vectors)
        del vectors
        return [*rows, *_cold(Path(folder), n)]


def _in_memory(matrix: Matrix, queries: Vectors) -> list[dict[str, Any]]:
    found, _ = top(matrix, queries, K)
    np.testing.assert_array_equal(found, reference.best(reference.cosines(matrix.vectors, queries), K))
    one, product = _alternately(
        lambda: top(matrix, queries[:1], K), lambda: reference.cosines(matrix.vectors, queries[:1])
    )
    batched, _ = _alternately(lambda: top(matrix, queries, K), lambda: None)
    what = f"top {K} of {len(matrix.vectors):,} x {DIM} in memory"
    return [
        row("vectors", f"{what}, one query", one, "s", product, "at most 1.3 times", one <= 1.3 * product),
        row(
            "vectors",
            f"{what}, per query of {BATCH} at once",
            batched / BATCH,
            "s",
            product,
            "at most 0.2 times",
            batched / BATCH <= 0.2 * product,
        ),
    ]


def _alternately(work: Callable[[], Any], beside: Callable[[], Any]) -> tuple[float, float]:
    """Median seconds of two pieces of work done in turn, so that both meet the same load."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(7):
        for kept, each in zip(times, (work, beside), strict=True):
            began = time.perf_counter()
            each()
            kept.append(time.perf_counter() - began)
    return statistics.median(times[0]), statistics.median(times[1])


def _fill(warehouse: Warehouse, ids: Any, vectors: Vectors) -> None:
    """A home with one video per vector."""
    (warehouse.home / "upswell.yaml").write_text("embeddings: {text: bench, image: null, audio: null, video: null}\n")
    fit = dict.fromkeys(("origin", "n_fit", "uri", "sha256"))
    record = {"modality": "text", **IDENTITY, "dim": DIM, **fit, "run_id": "benchmark", "created_at": NOW}
    with warehouse.write() as con:
        append_rows(con, table("embeddings.encoders"), pa.Table.from_pylist([record]))
    for start in range(0, len(ids), 100_000):
        part = ids[start : start + 100_000]
        same = {name: pa.repeat(value, len(part)) for name, value in {**IDENTITY, "run_id": "benchmark"}.items()}
        when = pa.repeat(pa.scalar(NOW, pa.timestamp("us")), len(part))
        content = {"content_id": pa.array(part, pa.string())}
        rows = {**content, **same, "vector": vector_column(vectors[start : start + 100_000]), "encoded_at": when}
        key = {
            "source": pa.repeat("bench", len(part)),
            "video_id": pa.array([f"v{start + i}" for i in range(len(part))]),
        }
        rank = pa.repeat(pa.scalar(1, pa.int32()), len(part))
        with warehouse.write() as con:
            append_rows(con, table("embeddings.text"), pa.table(rows))
            known = {**key, **content, "modality": pa.repeat("text", len(part)), "known_at": when, "rank": rank}
            append_rows(con, table("embeddings.contents"), pa.table(known))


def _cold(home: Path, n: int) -> list[dict[str, Any]]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", COLD, str(home), "bench/v7"], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - began
    said = json.loads(done.stdout)
    assert said["rows"] == K
    what = f"top {K} of {n:,} x {DIM} from a cold command"
    return [
        row("vectors", what, seconds, "s", None, "under 15 s", seconds < 15),
        row("vectors", f"{what}, peak memory", said["gb"], "GB", None, "under 4 GB", said["gb"] < 4),
    ]
