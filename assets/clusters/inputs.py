"""What styles are made from, read from the warehouse: fused vectors with their videos, measures, outcomes, earlier styles.

What may be fitted on at an origin is decided here: videos that were anchored, and known, before it. Nothing here writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from assets.clusters.fit import Flags, Matrix
from assets.clusters.naming import MEASURES
from resources.settings import midnight
from warehouse.connection import Warehouse

INTERPRETED = (*(name for name in MEASURES if name != "duration_s"), "colour_entropy", "dominant_colours")
"""Columns of `embeddings.interpretation` that describe styles."""
_VIDEOS = """
    SELECT f.source, f.video_id, f.vector, c.anchor_at, c.known_at, c.channel_id, c.title, c.title_length, c.title_words,
           c.duration_s, f.has_image OR f.has_video AS pictured
    FROM embeddings.fused f
    JOIN features.content c ON c.source = f.source AND c.video_id = f.video_id
    WHERE f.fusion = $fusion AND f.vector IS NOT NULL"""
_UNASSIGNED = f"""{_VIDEOS} AND NOT EXISTS (
    FROM clusters.assignments a WHERE a.origin = $origin AND a.source = f.source AND a.video_id = f.video_id)"""

_HAS_VECTOR = """EXISTS (FROM embeddings.fused f WHERE f.fusion = $fusion AND f.vector IS NOT NULL
    AND f.source = a.source AND f.video_id = a.video_id)"""
WITH_VECTOR = f"SELECT * FROM clusters.assignments a WHERE a.origin = $origin AND {_HAS_VECTOR}"
"""Assignments of an origin whose video still has a vector."""


@dataclass(frozen=True)
class Videos:
    """Videos with a fused vector, sorted by source and id.

    Attributes:
        rows: source, video_id, key, anchor_at, known_at, channel_id, title, title_length, title_words, duration_s,
            pictured (whether there is anything to look at).
        vectors: Their vectors, of shape (n, d), all finite.
        left_out: How many had a vector with NaN or infinity in it.
    """

    rows: pd.DataFrame
    vectors: Matrix
    left_out: int

    def before(self, origin: date) -> Flags:
        """Which videos may be fitted on: anchored before the origin and known before it."""
        moment = np.datetime64(midnight(origin))
        return np.asarray((self.rows["anchor_at"] < moment) & (self.rows["known_at"] < moment))


def load_videos(warehouse: Warehouse, fusion: str) -> Videos:
    """Every video with a vector of a fusion."""
    return _videos(warehouse, _VIDEOS, {"fusion": fusion})


def load_unassigned(warehouse: Warehouse, fusion: str, origin: date) -> Videos:
    """The videos with a vector of a fusion that the styles of an origin say nothing of."""
    return _videos(warehouse, _UNASSIGNED, {"fusion": fusion, "origin": origin})


def count_without_vector(warehouse: Warehouse, fusion: str, origin: date) -> int:
    """How many videos have a style of an origin but no vector any more."""
    found = warehouse.query(
        f"SELECT count(*) AS gone FROM clusters.assignments a WHERE a.origin = $origin AND NOT {_HAS_VECTOR}",
        {"fusion": fusion, "origin": origin},
    )
    return int(found.column("gone")[0].as_py())


def _videos(warehouse: Warehouse, query: str, parameters: Mapping[str, object]) -> Videos:
    con = warehouse.extract({"videos": query}, parameters)
    with con:
        found = con.execute("FROM videos ORDER BY source, video_id").to_arrow_table()
    vectors = _matrix(found.column("vector"), str(parameters["fusion"]))
    rows = found.drop_columns(["vector"]).to_pandas()
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        rows, vectors = rows[finite].reset_index(drop=True), vectors[finite]
    rows["key"] = rows["source"] + "/" + rows["video_id"]
    return Videos(rows, vectors, int((~finite).sum()))


def _matrix(column: "pa.ChunkedArray", fusion: str) -> Matrix:
    """List values as a matrix.

    Raises:
        ValueError: They are not all of one length.
    """
    values = column.combine_chunks()
    lengths = np.unique(values.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise ValueError(
            f"embeddings.fused holds vectors of {', '.join(map(str, lengths))} dimensions for fusion {fusion}: "
            "a fusion has one length; fuse its videos again"
        )
    flat = values.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return flat.reshape(len(values), -1) if len(values) else np.empty((0, 0), np.float32)


def load_measures(warehouse: Warehouse, origin: date, keys: Sequence[str]) -> pd.DataFrame:
    """What the videos show and sound like, from the first content of each modality that was known before the origin.

    A film says more than a picture of it, so film, picture and sound are asked in this order.

    Args:
        warehouse: Where contents and interpretation are read.
        origin: Contents that became known later do not count.
        keys: Videos as source/video_id.

    Returns:
        One row per key, in their order: the columns `INTERPRETED`; missing numbers NaN, missing colours None.
    """
    chosen = ", ".join(
        f"arg_min(i.{name}, CASE c.modality WHEN 'video' THEN 1 WHEN 'image' THEN 2 ELSE 3 END) "
        f"FILTER (WHERE i.{name} IS NOT NULL) AS {name}"
        for name in INTERPRETED
    )
    found = warehouse.query(
        f"""SELECT c.source || '/' || c.video_id AS key, {chosen}
            FROM embeddings.contents c JOIN embeddings.interpretation i ON i.content_id = c.content_id
            WHERE c.rank = 1 AND c.modality <> 'text' AND c.known_at < $origin GROUP BY ALL ORDER BY key""",
        {"origin": midnight(origin)},
    )
    measures: pd.DataFrame = found.to_pandas().set_index("key").reindex(keys)
    colours = measures.pop("dominant_colours").to_numpy(dtype=object)
    measures = measures.astype(float)
    measures["dominant_colours"] = [None if isinstance(each, float) else each for each in colours]
    return measures.reset_index(drop=True)


def load_outcomes(warehouse: Warehouse, origin: date, targets: Sequence[str]) -> pd.DataFrame:
    """Outcomes of some targets that had matured before an origin: key, target, value; sorted."""
    found = warehouse.query(
        """SELECT source || '/' || video_id AS key, target, value FROM features.targets
           WHERE status = 'matured' AND matured_at < $origin AND anchor_at < $origin AND list_contains($targets, target)
           ORDER BY ALL""",
        {"origin": midnight(origin), "targets": list(targets)},
    )
    outcomes: pd.DataFrame = found.to_pandas()
    return outcomes


@dataclass(frozen=True)
class Earlier:
    """The styles of earlier origins.

    Attributes:
        members: Style id per video that the latest earlier origin was fitted on.
        styles: Rows of its styles that had not died, by id.
        used: Every id that an earlier origin gave.
    """

    members: Mapping[str, str]
    styles: Mapping[str, Mapping[str, Any]]
    used: Sequence[str]


def load_earlier(warehouse: Warehouse, origin: date) -> Earlier:
    """The styles that those of an origin carry on."""
    with warehouse.read() as con:
        used = con.execute(
            "SELECT DISTINCT style_id FROM clusters.styles WHERE origin < ? ORDER BY 1", [origin]
        ).fetchall()
        latest = "origin = (SELECT max(origin) FROM clusters.styles WHERE origin < ?)"
        styles = (
            con.execute(f"SELECT * FROM clusters.styles WHERE {latest} AND event <> 'died' ORDER BY style_id", [origin])
            .to_arrow_table()
            .to_pylist()
        )
        members = con.execute(
            f"SELECT source || '/' || video_id, style_id FROM clusters.assignments WHERE {latest} AND fitted ORDER BY ALL",
            [origin],
        ).fetchall()
    return Earlier(dict(members), {row["style_id"]: row for row in styles}, [style for (style,) in used])
