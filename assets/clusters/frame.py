"""What content says of a video, as columns beside the training frame: coordinates, looks, sound, style, neighbours.

Everything that is fitted belongs to the latest content origin at or before the one asked for, so a backtest sees only what
could have been fitted by then. Column names begin with the prefixes of assets/models/columns.
"""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from assets.clusters.performance import style_performance
from assets.embeddings.fusion import fusion_for
from resources.settings import Settings
from warehouse.connection import Warehouse

LOOKS = ("brightness", "contrast", "colourfulness", "colour_entropy", "visual_density", "aspect")
MOTION = ("motion", "cut_rate")
SOUND = ("loudness", "loudness_spread")
_OF_SOURCE = """(SELECT video_id, modality, content_id FROM embeddings.contents WHERE source = $source AND rank = 1)"""


def content_origin(warehouse: Warehouse, origin: date) -> date | None:
    """The latest origin, at or before one, for which content was fitted; None before the first."""
    with warehouse.read() as con:
        row = con.execute("SELECT max(origin) FROM embeddings.coordinates WHERE origin <= ?", [origin]).fetchone()
    return row[0] if row else None


def load_content(warehouse: Warehouse, settings: Settings, source: str, target: str, origin: date) -> pd.DataFrame:
    """What the content of a source's videos says, as fitted by an origin.

    Args:
        warehouse: Where embeddings and clusters are read.
        settings: Says which measured targets a target is made of.
        source: Source.
        target: Target whose earlier outcomes style and neighbours speak of: the first one that it is made of.
        origin: Backtest origin.

    Returns:
        One row per video, indexed by `video_id`: `text_00`.. and likewise per modality and fused; `look_*`, `motion_*`,
        `sound_*`; `style`, `style_*`; `neighbour_*`. Empty where nothing had been fitted.
    """
    fitted = content_origin(warehouse, origin)
    if fitted is None:
        return pd.DataFrame(index=pd.Index([], name="video_id"))
    measured = settings.parts(target)[0]
    parts = [
        *_coordinates(warehouse, source, fitted),
        _interpretation(warehouse, source),
        _styles(warehouse, source, fitted),
        style_performance(warehouse, settings, fitted, source, measured).set_index("video_id"),
        _neighbours(warehouse, settings, source, measured, fitted),
    ]
    said = [part for part in parts if len(part)] or [pd.DataFrame(index=pd.Index([], name="video_id"))]
    return pd.concat(said, axis=1).rename_axis("video_id").sort_index()


def add_content(frame: pd.DataFrame, content: pd.DataFrame) -> pd.DataFrame:
    """A training frame with the columns of content beside its own; videos without content have them missing."""
    return frame.join(content, on="video_id") if len(content.columns) else frame


def _coordinates(warehouse: Warehouse, source: str, origin: date) -> list[pd.DataFrame]:
    rows = warehouse.query(
        """SELECT modality, video_id, coordinates FROM embeddings.coordinates
           WHERE origin = $origin AND source = $source ORDER BY modality, video_id""",
        {"origin": origin, "source": source},
    ).to_pandas()
    return [_spread(str(modality), part) for modality, part in rows.groupby("modality")]


def _spread(modality: str, rows: pd.DataFrame) -> pd.DataFrame:
    values: np.ndarray[Any, Any] = np.stack(list(rows["coordinates"])).astype(np.float64)
    prefix = "film" if modality == "video" else modality  # video_id is no coordinate
    names = [f"{prefix}_{number:02d}" for number in range(values.shape[1])]
    return pd.DataFrame(values, columns=names, index=pd.Index(rows["video_id"], name="video_id"))


def _interpretation(warehouse: Warehouse, source: str) -> pd.DataFrame:
    """Looks of the picture (else of the film), motion of the film, loudness of the sound."""
    looks = ", ".join(f"coalesce(i.{name}, v.{name}) AS look_{name}" for name in LOOKS)
    motion = ", ".join(f"v.{name} AS motion_{name}" for name in MOTION)
    sound = ", ".join(f"coalesce(a.{name}, v.{name}) AS sound_{name}" for name in SOUND)
    return _by_video(
        warehouse,
        f"""WITH contents AS {_OF_SOURCE},
            measured AS (SELECT c.video_id, c.modality, m.* EXCLUDE (content_id) FROM contents c
                         JOIN embeddings.interpretation m USING (content_id)),
            i AS (SELECT * FROM measured WHERE modality = 'image'),
            v AS (SELECT * FROM measured WHERE modality = 'video'),
            a AS (SELECT * FROM measured WHERE modality = 'audio')
            SELECT video_id, {looks}, {motion}, {sound} FROM (SELECT DISTINCT video_id FROM measured)
            LEFT JOIN i USING (video_id) LEFT JOIN v USING (video_id) LEFT JOIN a USING (video_id)""",
        {"source": source},
    ).astype(np.float64)


def _styles(warehouse: Warehouse, source: str, origin: date) -> pd.DataFrame:
    return _by_video(
        warehouse,
        """SELECT video_id, style_id AS style, distance AS style_distance, CAST(outlier AS DOUBLE) AS style_outlier
           FROM clusters.assignments WHERE origin = $origin AND source = $source""",
        {"origin": origin, "source": source},
    )


def _neighbours(warehouse: Warehouse, settings: Settings, source: str, target: str, origin: date) -> pd.DataFrame:
    fusion = fusion_for(warehouse, settings, origin)
    return _by_video(
        warehouse,
        """SELECT video_id, CAST(neighbours AS DOUBLE) AS neighbour_count, similarity AS neighbour_similarity,
                  outcome_mean AS neighbour_mean, outcome_spread AS neighbour_spread
           FROM embeddings.neighbours WHERE source = $source AND target = $target AND fusion = $fusion""",
        {"source": source, "target": target, "fusion": fusion and fusion.fusion},
    )


def _by_video(warehouse: Warehouse, sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
    found: pd.DataFrame = warehouse.query(sql, parameters).to_pandas().set_index("video_id")
    return found
