"""Checks on training and evaluation: the leakage audit on a sample of every training set, honest splits, forecasts that differ."""

import dagster as dg

from assets.policies import markdown
from assets.raw.anchors import source_anchors
from resources.home import Home

AUDITED_ROWS = 10


@dg.asset_check(
    asset=["models", "training_sets"],
    name="leakage_audit",
    blocking=True,
    description="A sample of each latest training set is made again from only what was known at each cutoff, and is equal to the bit.",
)
def leakage_audit(home: Home) -> dg.AssetCheckResult:
    """No feature of a training set knew the future."""
    from assets.evaluations.audit_records import audit_latest_training_sets

    result = audit_latest_training_sets(
        home.warehouse, home.settings, source_anchors(home.warehouse), samples=AUDITED_ROWS, now=home.now()
    )
    shown = [vars(difference) for difference in result.differences[:20]]
    return dg.AssetCheckResult(
        passed=not result.differences,
        metadata={"rows": result.sampled, "values": result.compared_values, "differences": markdown(shown)},
    )


@dg.asset_check(
    asset=["models", "versions"],
    name="refit_audit",
    blocking=True,
    description="The newest default model of every source and target is fitted again from its frozen training rows, and is equal to the bit.",
)
def refit_audit(context: dg.AssetCheckExecutionContext, home: Home) -> dg.AssetCheckResult:
    """Nothing that a model learned came from other rows than those of its training set."""
    from assets.evaluations.audit_records import audit_latest_versions

    found = audit_latest_versions(
        home.warehouse, home.settings, lambda version: context.log.info(f"fitting {version} again")
    )
    shown = [{"model": version, "difference": str(one)} for version, ones in found.items() for one in ones[:5]]
    return dg.AssetCheckResult(passed=not shown, metadata={"models": len(found), "differences": markdown(shown)})


@dg.asset_check(
    asset=["evaluations", "splits"],
    name="no_test_row_in_the_fit",
    blocking=True,
    description="No video is on both sides of a split, and every forecast has its test row.",
)
def honest_splits(home: Home) -> dg.AssetCheckResult:
    """Scores are earned on rows that were not in the fit."""
    with home.warehouse.read() as con:
        both = con.execute(
            """SELECT count(*) FROM (SELECT source, target, cutoff, split, origin, video_id FROM evaluations.splits
               GROUP BY ALL HAVING count(DISTINCT role) > 1)"""
        ).fetchone()
        orphans = con.execute(
            """SELECT count(*) FROM evaluations.predictions p ANTI JOIN (SELECT * FROM evaluations.splits WHERE role = 'test') s
               USING (source, target, cutoff, split, origin, video_id)"""
        ).fetchone()
    assert both is not None and orphans is not None
    found = {"videos on both sides": both[0], "forecasts without a test row": orphans[0]}
    return dg.AssetCheckResult(passed=not any(found.values()), metadata=found)


@dg.asset_check(
    asset=["evaluations", "predictions"],
    name="forecasters_differ",
    description="No two learned forecasters said exactly the same of all rows of a cell.",
)
def forecasters_differ(home: Home) -> dg.AssetCheckResult:
    """Configurations that should differ do."""
    from assets.models.forecasters import FORECASTERS

    learned = [name for name, forecaster in FORECASTERS.items() if forecaster.learned]
    with home.warehouse.read() as con:
        same = con.execute(
            """WITH said AS (
                   SELECT source, target, cutoff, split, forecaster, count(*) AS n,
                          bit_xor(hash(video_id, origin, point, probability)) AS answers
                   FROM evaluations.predictions WHERE list_contains($learned, forecaster) GROUP BY ALL)
               SELECT a.source, a.target, a.cutoff, a.split, a.forecaster, b.forecaster AS same_as FROM said a JOIN said b
                 USING (source, target, cutoff, split, n, answers) WHERE a.forecaster < b.forecaster ORDER BY ALL""",
            {"learned": learned},
        ).fetchall()
    names = ("source", "target", "cutoff", "split", "forecaster", "same as")
    return dg.AssetCheckResult(
        passed=not same, metadata={"identical": markdown([dict(zip(names, row, strict=True)) for row in same])}
    )


evaluation_checks = [leakage_audit, refit_audit, honest_splits, forecasters_differ]
