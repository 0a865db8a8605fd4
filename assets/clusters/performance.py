"""How styles do: at an origin against what channel and week lead to expect, and as of the anchor of each video.

The first describes a style to people; the second is a feature of forecasters, so no outcome counts in it that had not
matured by the anchor of the video that it speaks to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from assets.evaluations.bootstrap import Blocks, bounds
from resources.settings import ClassTarget, Settings
from warehouse.connection import Warehouse

Vector = np.ndarray[Any, np.dtype[np.float64]]
SHRINK = 5.0
"""Videos of no effect that a channel's (or a week's) mean is mixed with."""
MIN_MATURED = 20
MIN_CHANNELS = 5


@dataclass(frozen=True)
class Lift:
    """Mean outcome of a style against expectation, with its 95 % interval."""

    target: str
    value: float
    low: float
    high: float


def surprises(outcomes: pd.DataFrame) -> Vector:
    """Outcome less what source, publish week and channel lead to expect.

    The week's mean deviation from its source, and then the mean of what is left over the channel's other videos (without
    the video itself), are both shrunk towards 0 by `SHRINK` videos.

    Args:
        outcomes: source, channel_id (None: a channel of its own), anchor_at, value; a unique index.

    Returns:
        Surprise per row, on the target's scale.
    """
    value = outcomes["value"] - outcomes.groupby("source")["value"].transform("mean")
    anchor = pd.to_datetime(outcomes["anchor_at"])
    week = anchor.dt.normalize() - pd.to_timedelta(anchor.dt.weekday, unit="D")
    grouped = value.groupby([outcomes["source"], week])
    value = value - grouped.transform("sum") / (grouped.transform("count") + SHRINK)
    grouped = value.groupby(channels(outcomes))
    others = (grouped.transform("sum") - value) / (grouped.transform("count") - 1 + SHRINK)
    return np.asarray(value - others, dtype=np.float64)


def channels(videos: pd.DataFrame) -> "pd.Series[Any]":
    """Channel of each video, unique over sources; a video without one is a channel of its own."""
    known = videos["channel_id"].notna()
    own = "video/" + videos["source"] + "/" + videos["video_id"]
    return ("channel/" + videos["source"] + "/" + videos["channel_id"].fillna("")).where(known, own)


def lift(target: str, surprise: Vector, blocks: Sequence[str]) -> Lift | None:
    """Mean surprise of a style's videos with an interval that draws whole channels.

    Args:
        target: Target that the surprise is of.
        surprise: Surprise per matured video of the style.
        blocks: Channel per video.

    Returns:
        None where fewer than `MIN_MATURED` videos or `MIN_CHANNELS` channels tell.
    """
    if len(surprise) < MIN_MATURED or len(set(blocks)) < MIN_CHANNELS:
        return None
    found = bounds(Blocks.of(np.asarray(blocks)).means(surprise))
    return None if found is None else Lift(target, float(surprise.mean()), *found)


def style_performance(warehouse: Warehouse, settings: Settings, origin: date, source: str, target: str) -> pd.DataFrame:
    """How the style of each video had done by the video's anchor.

    Args:
        warehouse: Where styles, anchors and outcomes are read.
        settings: Defines the target; of a class the target that it is made `of` counts.
        origin: Whose styles count.
        source: Videos and outcomes are of this source.
        target: Target.

    Returns:
        One row per video with a style, sorted by anchor and id: video_id, style_mean (mean outcome of other videos of
        its style that had matured at or before its anchor; NaN where there are none) and style_n (how many).
    """
    definition = settings.targets[target]
    con = warehouse.extract(
        {
            "videos": """
                SELECT a.video_id, a.style_id, c.anchor_at, t.value, t.matured_at
                FROM clusters.assignments a
                JOIN features.content c ON c.source = a.source AND c.video_id = a.video_id
                LEFT JOIN features.targets t ON t.source = a.source AND t.video_id = a.video_id
                    AND t.target = $target AND t.status = 'matured'
                WHERE a.origin = $origin AND a.source = $source"""
        },
        {
            "origin": origin,
            "source": source,
            "target": definition.of if isinstance(definition, ClassTarget) else target,
        },
    )
    with con:
        videos = con.execute("SELECT * FROM videos ORDER BY anchor_at, video_id").df()
    mean, count = np.full(len(videos), np.nan), np.zeros(len(videos), np.int64)
    for positions in videos.groupby("style_id").indices.values():
        mean[positions], count[positions] = _as_of(videos.iloc[positions])
    return pd.DataFrame({"video_id": videos["video_id"], "style_mean": mean, "style_n": count})


def _as_of(videos: pd.DataFrame) -> tuple[Vector, np.ndarray[Any, np.dtype[np.int64]]]:
    """Mean and number of the outcomes that had matured by each anchor, without the video's own."""
    anchor = videos["anchor_at"].to_numpy(dtype="datetime64[us]")
    matured_at = videos["matured_at"].to_numpy(dtype="datetime64[us]")
    value = videos["value"].to_numpy(dtype=float)
    known = ~(np.isnan(value) | np.isnat(matured_at))
    order = np.flatnonzero(known)[np.argsort(matured_at[known], kind="stable")]
    total = np.concatenate([[0.0], np.cumsum(value[order])])
    count = np.searchsorted(matured_at[order], anchor, side="right")
    own = known & (matured_at <= anchor)  # an outcome without a horizon may have matured at the anchor
    sums, count = total[count] - np.where(own, value, 0.0), count - own
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan), count.astype(np.int64)
