"""Scores the stored forecasts of all cells: reads evaluations.predictions, writes evaluations.metrics.

The figures are made in `scoring`; nothing here sees a feature or a model.
"""

import pandas as pd
import pyarrow as pa

from assets.evaluations.leaderboard import leaderboard
from assets.evaluations.rows import as_arrow
from assets.evaluations.scoring import evaluate
from assets.models.task import Task
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows


def score_cells(warehouse: Warehouse, settings: Settings) -> int:
    """Replaces the figures of every cell that has forecasts; returns how many figures there are."""
    with warehouse.read() as con:
        cells = con.execute(
            "SELECT DISTINCT source, target, cutoff FROM evaluations.predictions ORDER BY ALL"
        ).fetchall()
    written = 0
    for source, target, cutoff in cells:
        where = {"source": source, "target": target, "cutoff": cutoff}
        predictions = warehouse.query(
            "SELECT * FROM evaluations.predictions WHERE source = $source AND target = $target AND cutoff = $cutoff ORDER BY ALL",
            where,
        ).to_pandas()
        figures = evaluate(predictions, Task.of(settings, target, cutoff))
        curve = warehouse.query(
            """SELECT * FROM evaluations.metrics WHERE slice = 'n_train'
               AND source = $source AND target = $target AND cutoff = $cutoff""",
            where,
        ).to_pandas()
        figures = pd.concat([figures, curve], ignore_index=True) if len(curve) else figures
        with warehouse.write() as con:
            replace_rows(con, table("evaluations.metrics"), as_arrow(figures, "evaluations.metrics"), where)
        written += len(figures)
    return written


def stored_leaderboard(warehouse: Warehouse) -> list[dict[str, object]]:
    """The leaderboard of the stored figures, one row per forecaster, split and origin."""
    figures: pa.Table = warehouse.query("SELECT * FROM evaluations.metrics ORDER BY ALL")
    return leaderboard(figures.to_pandas()) if figures.num_rows else []
