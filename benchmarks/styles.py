"""Styles of 100k videos from table to table, the search against one without shortcuts, and ids over a refit.

The mixture is planted: 20 styles of unequal size, refitted on 90 % of the rows with 3 new styles and 2 gone.
"""

import json
import subprocess
import sys
import tempfile
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from assets.clusters.fit import Labels, Matrix, Search, fit
from assets.clusters.identity import match
from benchmarks.figures import row
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows

ROOT = Path(__file__).parents[1]
ORIGIN = date(2024, 6, 3)
DIM = 384
STYLES, BORN, GONE = 20, 3, 2
WIDE = Search(k_min=18, k_max=23)

CHILD = """
import json, resource, sys, time
from datetime import date, datetime
from pathlib import Path
from assets.clusters.styles import assign_new, fit_styles
from resources.settings import load_settings
from warehouse.connection import Warehouse
warehouse, origin = Warehouse(Path(sys.argv[1])), date.fromisoformat(sys.argv[2])
began = time.perf_counter()
summary = fit_styles(warehouse, load_settings(warehouse.home), "planted", origin, datetime(2025, 1, 1), "benchmark")
took = time.perf_counter() - began
began = time.perf_counter()
assert assign_new(warehouse, origin) == 0
again = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"s": took, "again": again, "gib": peak, "k": summary.k, "fitted": summary.fitted, "reason": summary.reason}))
"""


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Seconds and memory of a fit, its ratio to the plain search, and what a refit does to the ids."""
    return [*_whole(10_000 if quick else 100_000), _search(4_000 if quick else 12_000), *_refits(2 if quick else 5)]


def mixture(seed: int, count: int, styles: int = STYLES) -> tuple[Matrix, Labels]:
    """Vectors of planted styles, of which the largest is about three times the smallest."""
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(1, 3, styles)
    labels = rng.choice(styles, count, p=sizes / sizes.sum())
    centres = rng.normal(size=(styles, DIM)).astype(np.float32)
    return centres[labels] + 1.5 * rng.standard_normal((count, DIM), dtype=np.float32), labels


def _whole(count: int) -> list[dict[str, Any]]:
    """A fit from tables to tables in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Warehouse(Path(folder)), count)
        command = [sys.executable, "-W", "ignore", "-c", CHILD, folder, ORIGIN.isoformat()]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["reason"] is None and found["fitted"] == count, found
    what = f"styles of {count:,} x {DIM} from table to table"
    return [
        row("styles", f"{what} ({found['k']} styles)", found["s"], "s", None, "under 60 s", found["s"] < 60),
        row("styles", f"{what}: peak memory", found["gib"], "GiB", None, "under 4 GB", found["gib"] * 1.074 < 4),
        row(
            "styles",
            f"{what}: a second run without new videos",
            found["again"],
            "s",
            None,
            "under 5 s",
            found["again"] < 5,
        ),
    ]


def _write(warehouse: Warehouse, count: int) -> None:
    """Fused vectors, titles and outcomes of planted styles over the forty weeks before the origin."""
    vectors, styles = mixture(0, count)
    rng = np.random.default_rng(1)
    ids = [f"v{row:06d}" for row in range(count)]
    first = datetime.combine(ORIGIN, datetime.min.time()) - timedelta(weeks=40)
    anchors = [first + timedelta(hours=hours) for hours in np.sort(rng.uniform(0, 40 * 168 - 2, count)).tolist()]
    matured = [anchor + timedelta(days=7) for anchor in anchors]
    words = [[f"word{style:02d}{letter}" for letter in "abcdef"] for style in range(STYLES)]
    titles = [" ".join(["the", "best", *rng.choice(words[style], 3)]) for style in styles]
    known = {
        "source": ["demo"] * count,
        "video_id": ids,
        "anchor_at": anchors,
        "anchor_day": [at.date() for at in anchors],
    }
    flat = pa.array(vectors.ravel())
    lists = pa.ListArray.from_arrays(pa.array(np.arange(0, count * DIM + 1, DIM, dtype=np.int32)), flat)
    flags = dict.fromkeys(("has_text", "has_image", "has_audio", "has_video"), [True] * count)
    fused = {"fusion": ["planted"] * count, "status": ["full"] * count, "version": ["1"] * count, "vector": lists}
    content = {"title": titles, "channel_id": [f"c{each}" for each in rng.integers(0, 2_000, count)]}
    content |= {"first_seen_at": anchors, "known_at": anchors, "duration_s": rng.uniform(5, 60, count)}
    outcome = {"target": ["log_views_7d"] * count, "status": ["matured"] * count, "matured_at": matured}
    outcome |= {"observed_at": matured, "value": rng.normal(size=count)}
    rows = {
        "embeddings.fused": {**known, **fused, **flags},
        "features.content": known | content,
        "features.targets": known | outcome,
    }
    with warehouse.write() as con:
        for name, values in rows.items():
            declared = table(name)
            columns = {column: values.get(column, pa.nulls(count)) for column in declared.column_names}
            replace_rows(con, declared, pa.table(columns), {})


def _search(count: int) -> dict[str, Any]:
    from sklearn.metrics import adjusted_rand_score

    from benchmarks.reference.styles import best_labels

    vectors, _ = mixture(2, count)
    search = Search(19, 21)
    began = time.perf_counter()
    found = fit(vectors, search)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    labels = best_labels(vectors, range(19, 22), search.seeds, search.bootstraps)
    plain = time.perf_counter() - began
    agreement = adjusted_rand_score(labels, found.model.nearest(found.reduced)[0])
    assert agreement > 0.99, f"the search with samples found other styles: ARI {agreement:.3f}"
    figure = f"search of {count:,} x {DIM} over 3 k and 5 seeds, outliers included, against the same on all rows"
    return row("styles", figure, ours, "s", plain, "at most the reference", ours <= plain)


def _refits(seeds: int) -> list[dict[str, Any]]:
    kept, wrong = [], 0
    for seed in range(seeds):
        share, faults = _refit(seed)
        kept.append(share)
        wrong += faults
    what = f"refit on 90 % of the rows, {BORN} styles new, {GONE} gone, {seeds} seeds"
    return [
        row(
            "styles",
            f"{what}: share of the others that keep their id, worst",
            min(kept),
            "",
            None,
            "at least 0.95",
            min(kept) >= 0.95,
        ),
        row("styles", f"{what}: births and deaths that are wrong", wrong, "", None, "0", wrong == 0),
    ]


def _refit(seed: int, count: int = 20_000) -> tuple[float, int]:
    """Share of the remaining styles that keep their id, and how many births and deaths are not the planted ones."""
    vectors, planted = mixture(seed, count, STYLES + BORN)
    videos = np.array([f"v{row}" for row in range(count)])
    rng = np.random.default_rng([seed, 1])
    first = planted < STYLES
    second = (planted >= GONE) & (rng.random(count) < 0.9)
    old = _identified(vectors[first], videos[first], {}, [])
    new = _identified(vectors[second], videos[second], old, sorted(set(old.values())))
    before, after = (_style_of(planted, videos, members) for members in (old, new))
    stay = range(GONE, STYLES)
    born = set(new.values()) - set(old.values())
    died = set(old.values()) - set(new.values())
    wrong = len(born ^ {after[style] for style in range(STYLES, STYLES + BORN)})
    wrong += len(died ^ {before[style] for style in range(GONE)})
    return float(np.mean([before[style] == after[style] for style in stay])), wrong


def _identified(vectors: Matrix, videos: Any, before: dict[str, str], used: list[str]) -> dict[str, str]:
    found = fit(vectors, WIDE)
    clusters = found.model.nearest(found.reduced)[0]
    ids = match(before, videos.tolist(), clusters, used).style_ids
    return {video: ids[cluster] for video, cluster in zip(videos.tolist(), clusters.tolist(), strict=True)}


def _style_of(planted: Labels, videos: Any, members: dict[str, str]) -> dict[int, str]:
    """The id that most videos of each planted style have."""
    counts: dict[int, dict[str, int]] = {}
    for style, video in zip(planted.tolist(), videos.tolist(), strict=True):
        if video in members:
            held = counts.setdefault(style, {})
            held[members[video]] = held.get(members[video], 0) + 1
    return {style: max(held, key=lambda each: held[each]) for style, held in counts.items()}
