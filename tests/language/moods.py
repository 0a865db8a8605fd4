"""Scored comments written by hand, as `assets.language.course_rows` reads them; other tests may import it."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from assets.language.courses import MOODS

START = datetime(2024, 1, 1)
"""A Monday."""
WEEK = timedelta(days=7)


def comments(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Comments; what a row does not name is usual: known at once, of one video of one channel, no other mood."""
    usual = {"source": "demo", "channel_id": "c", "video_id": "v", "anchor_at": START} | dict.fromkeys(MOODS, 0.0)
    listed = [{**usual, "known_at": row.get("known_at", row["written_at"]), **row} for row in rows]
    frame = pd.DataFrame(listed)
    for name in ("written_at", "known_at", "anchor_at"):
        frame[name] = pd.to_datetime(frame[name])
    return frame


def drifting(channels: int, weeks: int, per_week: int = 12, seed: int = 0) -> pd.DataFrame:
    """Audiences whose mood swings: what was above its mean a few weeks ago is heading below it."""
    rng = np.random.default_rng(seed)
    rows = []
    for channel in range(channels):
        period, phase, level = rng.uniform(6, 9), rng.uniform(0, 6.3), rng.uniform(-0.3, 0.3)
        for week in range(weeks):
            mood = level + 0.35 * np.sin(2 * np.pi * week / period + phase)
            for _ in range(per_week):
                at = START + week * WEEK + timedelta(hours=float(rng.uniform(0, 150)))
                rows.append({"channel_id": f"c{channel}", "written_at": at, "sentiment": mood + rng.normal(0, 0.25)})
    return comments(rows)
