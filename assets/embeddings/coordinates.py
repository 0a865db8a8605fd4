"""Vectors of videos in few dimensions, per modality and fused: `embeddings.coordinates`.

Everything that is fitted (means, scales, directions) is fitted on videos anchored before the origin; all videos get
coordinates. Styles and the map are made elsewhere.
"""

import hashlib
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from assets.embeddings.fusion import Fusion, fusion_for
from assets.embeddings.matrix import read_vectors, vector_column
from resources.encoders.base import Vectors
from resources.settings import Settings, midnight
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows

SAMPLE = 20_000
"""Most videos that a PCA is fitted on."""
_BLOCK = 8_192


def fit_coordinates(
    warehouse: Warehouse, settings: Settings, origin: date, now: datetime, dims: int = 16
) -> dict[str, int]:
    """Replaces the coordinates of an origin.

    Args:
        warehouse: Where vectors are read and coordinates written.
        settings: Decide the encoders and the fusion of the origin.
        origin: What is fitted saw only videos anchored before this day.
        now: Videos anchored later do not exist yet (naive UTC).
        dims: Most coordinates of a video.

    Returns:
        Videos with coordinates, per modality and `fused`; a modality is left out that fewer than two videos had before the
        origin, or that does not vary.
    """
    fusion = fusion_for(warehouse, settings, origin)
    if fusion is None:
        return {}
    parts, counts = [], {}
    for modality in (*fusion.encoders, "fused"):
        rows = _of_modality(warehouse, fusion, modality, origin, now, dims)
        if rows is not None:
            parts.append(rows)
            counts[modality] = rows.num_rows
    declared = table("embeddings.coordinates")
    if parts:
        rows = pa.concat_tables(parts).select(list(declared.column_names))
        with warehouse.write() as con:
            replace_rows(con, declared, rows, {"origin": origin})
    return counts


def pca(vectors: Vectors, fitted: np.ndarray[Any, Any], dims: int) -> Vectors | None:
    """Leading principal components of standardised vectors, each directed so that its largest weight is positive.

    Args:
        vectors: Shape (n, d).
        fitted: Rows that means, scales and directions are fitted on.
        dims: Components; fewer where there are fewer rows or numbers that vary.

    Returns:
        Shape (n, at most dims); None where fewer than two rows are fitted on or nothing varies.
    """
    from sklearn.decomposition import PCA

    known = vectors[fitted].astype(np.float64)
    if len(known) < 2:
        return None
    mean, scale = known.mean(axis=0), known.std(axis=0)
    varies = scale > 1e-9
    kept = min(dims, int(varies.sum()), len(known) - 1)
    if kept < 1:
        return None
    mean, scale = mean[varies], scale[varies]
    directions = PCA(kept, svd_solver="covariance_eigh").fit((known[:, varies] - mean) / scale).components_
    directions *= np.sign(directions[np.arange(kept), np.abs(directions).argmax(axis=1)])[:, None]
    # Unlike a matrix product, einsum gives a row the same numbers whatever rows are beside it.
    found = np.empty((len(vectors), kept), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = (vectors[start : start + _BLOCK][:, varies] - mean) / scale
        found[start : start + _BLOCK] = np.einsum("nd,kd->nk", block, directions)
    return found


def _of_modality(
    warehouse: Warehouse, fusion: Fusion, modality: str, origin: date, now: datetime, dims: int
) -> pa.Table | None:
    """Rows of one modality; None where nothing can be fitted."""
    if modality == "fused":
        made = "SELECT source, video_id, vector FROM embeddings.fused WHERE vector IS NOT NULL AND fusion = ?"
        key = [fusion.fusion]
    else:
        made = f"""SELECT c.source, c.video_id, v.vector
                   FROM embeddings.contents c JOIN embeddings.{modality} v USING (content_id)
                   WHERE c.modality = '{modality}' AND c.rank = 1
                     AND v.encoder = ? AND v.revision = ? AND v.precision = ? AND v.preprocessing = ?"""
        key = [*asdict(fusion.encoders[modality].identity).values()]  # type: ignore[index]
    anchored = f"({made}) v JOIN features.content f USING (source, video_id) WHERE f.anchor_at <= ?"
    with warehouse.read() as con:
        videos = con.execute(
            f"""SELECT source, video_id, source || '/' || video_id AS id, f.anchor_at < ? AS before
                FROM {anchored} ORDER BY f.anchor_at, source, video_id""",
            [midnight(origin), *key, now],
        ).to_arrow_table()
        ids, vectors = read_vectors(con, f"SELECT source || '/' || video_id, vector FROM {anchored}", [*key, now])
    row_of = {each: row for row, each in enumerate(ids)}
    vectors = vectors[[row_of[each] for each in videos.column("id").to_pylist()]]
    coordinates = pca(vectors, _sample(videos), dims)
    if coordinates is None:
        return None
    return pa.table(
        {
            "origin": pa.repeat(pa.scalar(origin, pa.date32()), videos.num_rows),
            "modality": pa.repeat(modality, videos.num_rows),
            "source": videos.column("source"),
            "video_id": videos.column("video_id"),
            "coordinates": vector_column(coordinates),
        }
    )


def _sample(videos: pa.Table) -> np.ndarray[Any, Any]:
    """Rows before the origin, at most SAMPLE of them, chosen by a hash of their id."""
    before = np.flatnonzero(videos.column("before").to_numpy())
    if len(before) <= SAMPLE:
        return before
    ids = videos.column("id").take(pa.array(before)).to_pylist()
    hashes = np.array([hashlib.sha256(each.encode()).hexdigest() for each in ids])
    return np.sort(before[np.argsort(hashes)[:SAMPLE]])
