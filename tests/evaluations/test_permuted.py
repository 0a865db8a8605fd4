"""From raw rows to the leaderboard: where the courses of views are dealt out among the videos anew, no skill is left."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from assets.evaluations import run_cells
from assets.evaluations.grid import Cell
from assets.evaluations.score_cells import score_cells
from tests.evaluations.live_world import NOW, at, raw_world, world_settings
from tests.features.raw_rows import RawRows
from warehouse.connection import Warehouse

CELLS = [Cell("demo", target, "pre") for target in ("views_7d", "viral")]
LEARNED = ("ridge", "hist_gradient_boosting", "hist_gradient_boosting_classifier")


def dealt_anew(raw: RawRows) -> RawRows:
    """Each video's course of views as it was, at the same ages, and of another video."""
    published: dict[str, Any] = {row["video_id"]: row["published_at"] for row in raw.rows["videos"]}
    videos = sorted(published)
    others = dict(zip(videos, np.random.default_rng(0).permutation(videos), strict=True))
    for row in raw.rows["snapshots"]:
        video, other = row["video_id"], str(others[row["video_id"]])
        later = published[other] - published[video]
        row.update(video_id=other, observed_at=row["observed_at"] + later, known_at=row["known_at"] + later)
    return raw


def skills(home: Path, raw: RawRows) -> pd.Series:
    """The skill of the learned forecasters over all origins."""
    warehouse, settings = Warehouse(home, patience_s=10), world_settings()
    raw.write(warehouse)
    at(warehouse, settings, NOW)
    plan = {cell: run_cells.planned(warehouse, settings, [cell], None)[cell] for cell in CELLS}
    run_cells.run_cells(warehouse, settings, plan, date.min, date.max, run_id="run", now=NOW)
    score_cells(warehouse, settings)
    rows = warehouse.query(
        """SELECT forecaster, value FROM evaluations.metrics
           WHERE metric = 'skill' AND split = 'time' AND origin = 'all' AND slice = 'all'"""
    ).to_pandas()
    found: pd.Series = rows.set_index("forecaster")["value"].loc[list(LEARNED)]
    return found


def test_permuted_outcomes_leave_no_skill_on_the_leaderboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_cells, "cpu_count", lambda: 1)
    (tmp_path / "true").mkdir()
    (tmp_path / "permuted").mkdir()
    assert (skills(tmp_path / "true", raw_world()) > 0.05).all()
    assert (skills(tmp_path / "permuted", dealt_anew(raw_world())) < 0.02).all()
