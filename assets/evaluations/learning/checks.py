"""Checks on models in use: every forecast of the ledger was made before its outcome, of inputs known by then, and none was changed."""

import dagster as dg

from assets.policies import markdown
from resources.home import Home

SHOWN = 20


@dg.asset_check(
    asset=["evaluations", "forecasts"],
    name="made_before_the_outcome",
    blocking=True,
    description="Of every row, found again in the raw tables: inputs known <= made < outcome known, and model origin <= made.",
)
def honest_ledger(home: Home) -> dg.AssetCheckResult:
    """No forecast knew its outcome, on the wall clock or on a replay."""
    from assets.evaluations.ledger_proof import broken_promises

    found = broken_promises(home.warehouse, home.settings)
    rows = home.warehouse.query("SELECT count(*) AS rows FROM evaluations.forecasts").to_pylist()[0]["rows"]
    shown = [{str(name): value for name, value in row.items()} for row in found.head(SHOWN).to_dict("records")]
    return dg.AssetCheckResult(
        passed=found.empty, metadata={"rows": rows, "faults": len(found), "such as": markdown(shown)}
    )


@dg.asset_check(
    asset=["evaluations", "scores"],
    name="scores_are_of_forecasts",
    blocking=True,
    description="Every score has its forecast, by the same model, on the same clock, made before the outcome was known.",
)
def honest_scores(home: Home) -> dg.AssetCheckResult:
    """Nothing is scored that was not promised, and no figure mixes clocks."""
    found = home.warehouse.query(
        """SELECT s.source, s.video_id, s.target, s.cutoff FROM evaluations.scores s
           LEFT JOIN evaluations.forecasts f USING (source, video_id, target, cutoff)
           WHERE f.version IS DISTINCT FROM s.version OR f.clock IS DISTINCT FROM s.clock
              OR f.made_at IS DISTINCT FROM s.made_at OR s.made_at >= s.matured_at ORDER BY ALL"""
    ).to_pylist()
    return dg.AssetCheckResult(passed=not found, metadata={"faults": len(found), "such as": markdown(found[:SHOWN])})


learning_checks = [honest_ledger, honest_scores]
