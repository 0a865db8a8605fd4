"""The model of a cell that serves, loaded for forecasting from the warehouse of a home.

That is the version which the gate promoted. Before any was, it is the newest that the backtests kept of the leaderboard's best
forecaster. How a model forecasts is in `predictor`.
"""

from dataclasses import asdict
from typing import Any

from assets.evaluations.grid import Cell
from assets.evaluations.score_cells import stored_leaderboard
from assets.evaluations.served import frame_as_of
from assets.features.frame import features_fingerprint, sources
from assets.models.predictor import ModelError, Predictor
from assets.models.registry import CHAMPION, registered
from resources.settings import Settings
from warehouse.connection import Warehouse


def champion_predictor(
    warehouse: Warehouse, settings: Settings, source: str | None, target: str, cutoff: str
) -> Predictor:
    """The predictor of a cell's champion, over every video that has features at the cutoff.

    Args:
        warehouse: Where the features and the champion's version are found.
        settings: Defines the target.
        source: Source; may be None where there is only one.
        target: Target.
        cutoff: Cutoff.

    Raises:
        ModelError: The source is not clear, or the cell has no fitted champion yet.
    """
    if source is None:
        known = sources(warehouse)
        if len(known) != 1:
            raise ModelError(f"name the source with --source: there are {', '.join(known) or 'none yet'}")
        source = known[0]
    if target not in settings.targets:
        raise ModelError(f"no target {target!r}; upswell.yaml has {', '.join(settings.targets)}")
    cell = Cell(source, target, cutoff)
    serving = registered(warehouse, cell, CHAMPION) or _best_of_backtests(warehouse, cell)
    if serving is None:
        raise ModelError(
            f"no model of {target} at {cutoff} for {source} yet; run `upswell evaluate --target {target} --cutoff {cutoff}`"
        )
    frame = frame_as_of(warehouse, settings, cell, serving["origin"])
    return Predictor.load(warehouse.home, serving["version"], frame, features_fingerprint())


def _best_of_backtests(warehouse: Warehouse, cell: Cell) -> dict[str, Any] | None:
    """The newest kept model of the leaderboard's best forecaster of a cell."""
    key = asdict(cell)
    best = [
        row["forecaster"] for row in stored_leaderboard(warehouse) if row["champion"] and key.items() <= row.items()
    ]
    versions = warehouse.query(
        """SELECT version, forecaster, origin FROM models.versions
           WHERE source = $source AND target = $target AND cutoff = $cutoff AND made_by = 'backtest'
           ORDER BY origin DESC, forecaster""",
        key,
    ).to_pylist()
    return next((row for row in versions if row["forecaster"] in best), None)
