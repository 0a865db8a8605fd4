"""The champion of a cell, loaded for forecasting from the warehouse of a home.

Which forecaster is champion is decided in the leaderboard; how it forecasts is in `predictor`.
"""

from assets.clusters.frame import add_content, load_content
from assets.evaluations.score_cells import stored_leaderboard
from assets.features.frame import features_fingerprint, load_frame, sources
from assets.models.predictor import ModelError, Predictor
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
    cell = {"source": source, "target": target, "cutoff": cutoff}
    champions = {
        row["forecaster"] for row in stored_leaderboard(warehouse) if row["champion"] and cell.items() <= row.items()
    }
    versions = warehouse.query(
        """SELECT version, forecaster, origin FROM models.versions
           WHERE source = $source AND target = $target AND cutoff = $cutoff ORDER BY origin DESC, forecaster""",
        cell,
    ).to_pylist()
    serving = [row for row in versions if row["forecaster"] in champions]
    if not serving:
        raise ModelError(
            f"no model of {target} at {cutoff} for {source} yet; run `upswell evaluate --target {target} --cutoff {cutoff}`"
        )
    frame = load_frame(warehouse, settings, source, target, cutoff)
    frame = add_content(frame, load_content(warehouse, settings, source, target, serving[0]["origin"]))
    return Predictor.load(warehouse.home, serving[0]["version"], frame, features_fingerprint())
